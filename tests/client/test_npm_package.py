"""The package for npm: made of the script that the server serves, and imported as users do."""

import json
import shutil
from pathlib import Path

from benchmarks.processes import run_group
from slosh import __version__
from tests.client.scripted import Scripted
from tests.conftest import need

ROOT = Path(__file__).parents[2]
PROGRAM = """
import { watch, publish, publishBatch, follow, SloshError, stream, longPoll } from "slosh-client";
for await (const { message, topic, offset, lost } of watch("kitchen", { server: process.argv[2] })) {
  console.log(JSON.stringify({ message, topic, offset, lost }));
  break;
}
"""


def test_it_is_packed_and_imported_in_node(tmp_path: Path) -> None:
    npm, node = need("npm"), need("node")
    for name in ("js", "src/slosh/web/static"):
        shutil.copytree(ROOT / name, tmp_path / name)
    run_group([npm, "pack", "--silent", "--offline"], cwd=tmp_path / "js", check=True)
    (packed,) = (tmp_path / "js").glob(f"slosh-client-{__version__}.tgz")
    shutil.unpack_archive(packed, tmp_path / "unpacked")
    home = tmp_path / "node_modules" / "slosh-client"
    shutil.copytree(tmp_path / "unpacked" / "package", home)
    assert {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()} == {
        *("package.json", "README.md", "slosh.js", "slosh.d.ts", "slosh/wire.js", "slosh/tabs.js", "slosh/hidden.js"),
    }
    (tmp_path / "program.mjs").write_text(PROGRAM, encoding="utf-8")
    stream = 'id: aaaaaaaa.1\ndata: {"time":1,"message":{"t":1}}\n\n'
    with Scripted([{"stream": stream, "then": "hang"}]) as server:
        done = run_group([node, tmp_path / "program.mjs", server.url], check=True)
    assert json.loads(done.stdout) == {"message": {"t": 1}, "topic": "kitchen", "offset": 1, "lost": 0}
