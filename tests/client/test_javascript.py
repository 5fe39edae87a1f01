"""The cases that know no language (cases.yaml), against slosh.js in Node."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

import slosh
from benchmarks.processes import run_group
from slosh.client import Item, Note
from tests.client.scripted import Scripted
from tests.client.test_cases import CASES, Seen, judge
from tests.conftest import need

SCRIPT = Path(slosh.__file__).parent / "web" / "static" / "slosh.js"
RUNNER = Path(__file__).with_name("cases.mjs")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Seen, Scripted]]:
    """What each case came to: all are read at the same time, so a pause in one costs nothing."""
    folder = tmp_path_factory.mktemp("scripts")
    script = scripts_in(folder)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Scripted(case["connections"])) for case in CASES]
        told = {
            "script": str(script),
            "cases": [
                {"case": case, "url": server.url, "used": server.used_port}
                for case, server in zip(CASES, servers, strict=True)
            ],
        }
        (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")
        done = run_group([need("node"), RUNNER, folder / "told.json"], check=True)
        return list(zip(map(read, json.loads(done.stdout)), servers, strict=True))


def scripts_in(folder: Path) -> Path:
    """slosh.js with what it imports, where Node takes them for modules."""
    for path in (SCRIPT, *SCRIPT.with_suffix("").glob("*.js")):
        copy = folder / path.relative_to(SCRIPT.parent)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (folder / "package.json").write_text('{"type": "module"}')
    return folder / "slosh.js"


def read(found: dict[str, Any]) -> Seen:
    """What a reader in another language was given, as the other clients' tests have it."""
    seen = Seen()
    for each in found["items"]:
        seen.items.append(Item(each["message"], "", each["offset"], None, ""))
    seen.notes = [Note(kind, topic, count) for kind, topic, count in found["notes"]]
    seen.refused, seen.place, seen.over = found["refused"], found["place"], found["over"]
    return seen


@pytest.mark.parametrize("number", range(len(CASES)), ids=[each["name"] for each in CASES])
def test_a_script(played: list[tuple[Seen, Scripted]], number: int) -> None:
    judge(CASES[number], *played[number])


#: A connection for two; the first one's stream is answered only once the second one was asked for its place.
SHARING = """
import http from "node:http";
import { follow } from %(script)s;
const seen = [];
let answerFirst;
const asked = new Promise((resolve) => (answerFirst = resolve));
const server = http.createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  if (searchParams.get("wait") === "0") {
    const topic = pathname.slice("/topics/".length);
    response.end(JSON.stringify({ saw: 0, delivering: 0, res: [], max: 0, next: topic === "a" ? "e.0" : "*" }));
    if (topic !== "a") setTimeout(answerFirst);
    return;
  }
  if (!pathname.includes("*")) {
    follow("c/*", note("c/*"));
    await asked;
  }
  seen.push("stream of " + pathname.slice("/topics/".length));
  const type = pathname.includes(",") ? "application/x-ndjson" : "text/event-stream";
  response.writeHead(200, { "Content-Type": type, "Slosh-Next": "*,a=e.0" });
  response.write(type === "text/event-stream" ? ": here\\n\\n" : "\\n");
});
const note = (topic) => ({
  server: `http://127.0.0.1:${server.address().port}`,
  shared: true,
  onState: ({ name }) => {
    if (name === "live") seen.push("live: " + topic);
    if (name === "live" && topic !== "a") (console.log(JSON.stringify(seen)), process.exit());
  },
});
server.listen(0, "127.0.0.1", () => follow("a", note("a")));
"""


def test_who_shares_a_connection_is_live_when_its_topics_are_on_it(tmp_path: Path) -> None:
    """A publish to a topic of a reader that calls itself live is not refused because nobody watches."""
    (tmp_path / "sharing.mjs").write_text(SHARING % {"script": json.dumps(str(scripts_in(tmp_path)))}, encoding="utf-8")
    done = run_group([need("node"), tmp_path / "sharing.mjs"], check=True)
    assert json.loads(done.stdout) == ["stream of a", "live: a", "stream of a,c/*", "live: c/*"]
