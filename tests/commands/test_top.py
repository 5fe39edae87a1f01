"""`slosh top`: a table that lives, on a real terminal and on a pipe."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ports import free_port
from slosh.cli import main
from slosh.client import Client
from slosh.commands.top import View, age_of
from slosh.testing.server import TestingServer
from tests.commands.terminal import Terminal
from tests.e2e.server import Serving
from tests.running import PATIENCE

TOPICS: list[dict[str, object]] = [
    {"name": "b", "watchers": 10, "rate": 0.5, "max": 7, "age": 5},
    {"name": "a", "watchers": 9, "rate": 2.0, "max": 100, "age": 4000},
    {"name": "c/x", "watchers": 0, "rate": 0.0, "max": 0, "age": 90000},
]


def names(view: View) -> list[object]:
    return [each["name"] for each in view.rows(TOPICS)]


def test_numbers_begin_with_the_largest_and_a_second_press_turns_them_round() -> None:
    view = View("rate")
    assert names(view) == ["a", "b", "c/x"]
    assert view.press("w")
    assert names(view) == ["b", "a", "c/x"]
    assert view.press("w")
    assert names(view) == ["c/x", "a", "b"]
    assert view.press("t")
    assert names(view) == ["a", "b", "c/x"]
    assert not view.press("z")


def test_a_pattern_chooses() -> None:
    assert names(View("rate", "c/*")) == ["c/x"]


@pytest.mark.parametrize(("width", "height"), [(40, 6), (80, 24), (200, 5)])
def test_the_table_fits_its_screen_and_says_what_does_not(width: int, height: int) -> None:
    many = [{"name": f"topic {n} \x1b[31m" + "x" * 60, "watchers": n, "rate": n, "max": n, "age": n} for n in range(50)]
    lines = View("max").render(many, width, height).split("\n")
    assert len(lines) <= height + 1
    assert max(map(len, lines)) <= width
    assert "\x1b" not in "".join(lines)
    assert any("more" in line for line in lines)


@pytest.mark.parametrize(("width", "told"), [(40, ["9", "2.0", "100"]), (60, ["9", "2.0", "100", "1h 06m"])])
def test_on_a_narrow_screen_names_are_cut_and_numbers_are_whole(width: int, told: list[str]) -> None:
    long = [each | {"name": f"{each['name']}/{'x' * 60}"} for each in TOPICS]
    row = next(line for line in View("rate").render(long, width, 20).splitlines() if line.startswith("a/x"))
    name, *numbers = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert (name[-1], numbers) == ("…", told)


def test_ages() -> None:
    assert [age_of(each) for each in (0, 59.9, 200, 4000, 90000)] == ["0s", "59s", "3m 20s", "1h 06m", "1d 1h"]


def test_on_a_terminal_it_lives_and_q_ends_it(slosh: TestingServer) -> None:
    with slosh.watch("kitchen"), Terminal("top", "--every=100ms", url=slosh.url) as terminal:
        assert "1 watcher," in terminal.until("kitchen")
        with slosh.watch("garage", "kitchen"):
            terminal.until("3 watchers")
        terminal.resize(50, 10)
        terminal.press("t")
        terminal.until("TOPIC↓|TOPIC↑")
        terminal.press("q")
        assert terminal.process.wait(PATIENCE) == 0
        assert terminal.written.rstrip().endswith("\x1b[?25h\x1b[?1049l")


def test_a_server_that_is_away_is_told_and_waited_for(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with Serving(tmp_path, port=free_port()) as serving:
            terminal = stack.enter_context(Terminal("top", "--every=100ms", url=serving.url))
            terminal.until("0 topics")
        terminal.until("the connection was refused")
        stack.enter_context(Serving(tmp_path, port=serving.port))
        client = stack.enter_context(Client(serving.url))
        client.publish("kitchen", 1, open=True)
        terminal.until("1 topic,")
        terminal.press("q")
        assert terminal.process.wait(PATIENCE) == 0


def test_on_a_pipe_it_is_one_table(slosh: TestingServer) -> None:
    with slosh.watch("kitchen"):
        done = CliRunner().invoke(main, ["top"])
    assert done.exit_code == 0
    first, head, row = done.output.splitlines()
    assert first.startswith("1 topic, 1 watcher, ")
    assert (head.split()[:2], row.split()[:2]) == (["TOPIC", "WATCHERS"], ["kitchen", "1"])
