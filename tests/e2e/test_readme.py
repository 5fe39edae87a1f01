"""The README's lines of the shell, as they stand there, in a fresh copy of the repository."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ports import free_port
from benchmarks.processes import run_group
from slosh.client import Client
from tests.conftest import need
from tests.e2e.server import until
from tests.running import Running, environment_for_make, get, lives

CHECKOUT = Path(__file__).parents[2]
ELSEWHERE = {
    "make test": "is what runs this",
    "slosh serve --engine redis://store.example/0": "the store is an example; tests/engine has real ones",
    "slosh serve --workers 4": "tests/test_private_store.py has the workers and their store",
}
"""Lines that are not run here, and why."""


def shell_lines() -> list[str]:
    """All of them, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


class Copy:
    """A fresh copy, with the server on a port of its own in place of 8000."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment_for_make(SLOSH_PORT=str(self.port), SLOSH_URL=self.url)

    @contextlib.contextmanager
    def run(self, line: str) -> Iterator[Running]:
        """Run a line as a person would, in the environment that the README asks for."""
        line = line.replace("8000", str(self.port))
        activate = ". .venv/bin/activate; " if not line.startswith("make") else ""
        with Running(["sh", "-c", activate + line], self.folder, self.environment) as running:
            yield running

    def until_ready(self) -> None:
        """Wait until a server answers, and see that its chart is there."""

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return get(f"{self.url}/-/healthy") == b"ok\n"
            return False

        until(answers, bool)

    def stop(self, server: Running) -> None:
        """Press Ctrl-C, which goes to all that the terminal runs, or end what has gone into the background.

        It ends by itself and takes its twistd.pid away: one that was left of a process that is not quite gone keeps
        the next twistd in this folder from its start.
        """
        file = self.folder / "twistd.pid"
        if server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGINT)
            server.end()
        elif file.exists():
            number = int(file.read_text())
            os.kill(number, signal.SIGTERM)
            until(lambda: lives(number), lambda runs: not runs)
        assert not file.exists(), server.output


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Cloned and installed, by the README's first line."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("this is no checkout of git")
    folder = tmp_path_factory.mktemp("fresh") / "slosh"
    run_group([need("git"), "clone", "--quiet", str(CHECKOUT), str(folder)], check=True, timeout=200)
    copy = Copy(folder)
    assert shell_lines()[0] == "make run"
    installing = [need("make"), ".venv/.installed"]
    run_group(installing, cwd=folder, env=environment_for_make(), check=True, timeout=600)
    return copy


def test_each_line_is_run_here_or_said_why_not() -> None:
    assert set(shell_lines()) == {*ELSEWHERE, *LINES, ". .venv/bin/activate", "make run"}


LINES = (
    "slosh serve --port 8000 --root example --linger 5m",
    "cp slosh.tac.sample slosh.tac; twistd -ny slosh.tac",
    "twistd slosh --port 8000 --root example",
)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_make_run_serves_and_what_stands_below_it_works_in_the_same_folder(copy: Copy) -> None:
    with copy.run("make run") as server:
        server.hear(rf"is ready on {copy.url}, serving example/")
        assert b"<html" in get(f"{copy.url}/")
        with copy.run("slosh sub kitchen --count 1") as reader:
            until(lambda: get(f"{copy.url}/topics/kitchen?watchers"), lambda told: b'"watchers":1' in told)
            with copy.run("slosh pub kitchen '{\"t\":21.5}'") as writer:
                assert writer.end() == 0
            assert reader.end() == 0
            assert '{"t":21.5}' in reader.output
        copy.stop(server)
        assert "Error" not in server.output


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("line", LINES)
def test_a_door_of_the_readme_opens(copy: Copy, line: str) -> None:
    if "slosh.tac" in line:
        sample = copy.folder / "slosh.tac.sample"
        sample.write_text(sample.read_text().replace("8000", str(copy.port)))
    with copy.run(line) as server:
        try:
            if line.startswith("twistd slosh"):
                assert server.end() == 0  # and the server runs on, out of its group
            copy.until_ready()
            assert get(f"{copy.url}/")
        finally:
            copy.stop(server)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_pages_of_ones_own_are_served(copy: Copy) -> None:
    """With the README's first page, and without a 404 for an icon that it does not name."""
    (page,) = re.findall(
        r"```html\n(<!doctype html>\n<pre id=\"out\"></pre>\n<script type=\"module\">.*?)```",
        (CHECKOUT / "README.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    with copy.run("mkdir site; slosh serve --root site") as server:
        server.hear("is ready on")
        (copy.folder / "site" / "index.html").write_text(page, encoding="utf-8")
        assert get(f"{copy.url}/").decode() == page
        assert get(f"{copy.url}/favicon.ico") == b""
        assert b"export" in get(f"{copy.url}/-/slosh.js")
        copy.stop(server)


def test_the_sensor_goes_on_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = (
        each
        for each in re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        if "while True" in each
    )
    monkeypatch.setenv("SLOSH_URL", "http://127.0.0.1:1")
    monkeypatch.setitem(Client.__init__.__kwdefaults__ or {}, "timeout", 0.1)
    rests = iter(range(3))
    monkeypatch.setattr(time, "sleep", lambda seconds: next(rests) if seconds == 1 else None)
    names: dict[str, Any] = {}
    with pytest.raises(StopIteration):
        exec(program, names)
    names["publisher"]._timeout = 0.0
    names["publisher"].close()
