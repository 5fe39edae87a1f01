"""A terminal that cannot be drawn on in place, as the shell of an editor is, gets lines and no escape sequences."""

from pathlib import Path

from slosh.testing.server import TestingServer
from tests.commands.terminal import Terminal
from tests.running import PATIENCE


def test_a_dumb_terminal_gets_plain_lines(slosh: TestingServer, tmp_path: Path) -> None:
    """It got the alternate screen, and a line that was to be written again and again."""
    slosh.client.open("run")
    slosh.client.publish("run", {"loss": 0.25}, end=True)
    recorded = str(tmp_path / "run.ndjson")
    for words, told in (
        (("plot", "run"), "loss 0.25"),
        (("top",), "run"),
        (("record", "run", "--since=earliest", "--output", recorded), "1 message"),
    ):
        with Terminal(*words, url=slosh.url, columns=60, environment={"TERM": "dumb"}) as terminal:
            assert terminal.process.wait(PATIENCE) == 0, terminal.written
        assert told in terminal.written
        assert "\x1b" not in terminal.written
        drawn = [line for line in terminal.written.splitlines() if not line.startswith("slosh: ")]
        assert max(map(len, drawn), default=0) <= 60, words
