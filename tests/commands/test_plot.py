"""`slosh plot`: what is drawn of which messages."""

import math
import re
import signal
import subprocess
import time
import unicodedata
from collections.abc import Callable
from decimal import Decimal

import plotext
import pytest
from click.testing import CliRunner

from benchmarks.processes import ProcessGroup
from slosh.cli import main
from slosh.client.items import Item, Note
from slosh.client.iterator import Watch
from slosh.client.protocol import WatchState
from slosh.commands.plot import Chart, numbers, thin
from slosh.commands.shared import EXIT_TIMED_OUT
from slosh.testing.server import TestingServer
from tests.cases import each_of
from tests.commands.terminal import Terminal
from tests.running import PATIENCE, SLOSH, clean_environment

BRAILLE = re.compile("[\u2801-\u28ff]")


def columns(text: str) -> int:
    """Of a terminal."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def item(message: object, when: float, topic: str = "k", **more: int) -> Item:
    return Item(message, topic, None, when, "e.1", **more)  # type: ignore[arg-type]  # lost and reset


def test_every_number_has_its_path() -> None:
    message = {
        "t": 21.5,
        "cpu": {"user": 1, "on": True},
        "xs": [1, None, 3],
        "s": "text",
        "n": None,
        "inf": float("inf"),
    }
    found = [("t", 21.5), ("cpu.user", 1.0), ("cpu.on", 1.0), ("xs.0", 1.0), ("xs.1", None), ("xs.2", 3.0), ("n", None)]
    assert [(path, None if math.isnan(value) else value) for path, value in numbers(message)] == found
    assert list(numbers(7)) == [("", 7.0)]


def test_lines_are_drawn_with_their_newest_value_and_broken_where_something_was_lost() -> None:
    chart = Chart("kitchen", 60.0, clock=lambda: 1019.0)
    for second in range(20):
        chart.add(item({"t": second, "u": 20 - second}, 1000.0 + second, lost=int(second == 10)))
    drawn = chart.render(80, 20)
    assert "kitchen" in drawn
    assert "t 19" in drawn
    assert "u 1" in drawn
    assert BRAILLE.search(drawn)
    assert len([each for each in chart.series["t"] if each[1] != each[1]]) == 1
    assert max(len(line) for line in drawn.split("\n")) <= 80
    assert len(drawn.split("\n")) <= 20


@each_of(
    ("seconds", "span", "axis"),
    [
        (5, 300.0, "-8s"),
        (0, 300.0, "-4s"),
        (200, 300.0, "-5m"),
        (5000, 300.0, "-5m"),
        (5, 6.0, "-6s"),
        (3000, 7200.0, "-60m"),
    ],
)
def test_the_axis_is_as_long_as_what_there_is(seconds: int, span: float, axis: str) -> None:
    chart = Chart("kitchen", span, clock=lambda: 1000.0 + seconds)
    for second in range(seconds + 1):
        chart.add(item({"t": second % 7}, 1000.0 + second))
    lines = chart.render(100, 20).splitlines()
    [ticks] = [line for line in lines if "now" in line]
    assert ticks.split()[0] == axis
    # The line is no bar at one side.
    columns = [at for line in lines for at, character in enumerate(line) if BRAILLE.match(character)]
    assert max(columns) - min(columns) > (40 if seconds else -1)


def test_paths_choose_and_too_many_series_are_told() -> None:
    chosen = Chart("k", 60.0, ("a.b",))
    chosen.add(item({"a": {"b": 1, "c": 2}}, 1.0))
    assert list(chosen.series) == ["a.b"]
    many = Chart("k", 60.0, several=True)
    many.add(item({f"p{n:02}": n for n in range(20)}, 1.0))
    assert len(many.series) == 12
    assert "8 more series" in many.render(80, 20)


def test_wide_letters_take_the_columns_that_a_terminal_gives_them() -> None:
    """Else a row is wider than the terminal, wraps, and moves the picture."""
    chart = Chart("温度 kitchen", 60.0, clock=lambda: 1019.0)
    for second in range(20):
        chart.add(item({"a": second, "温度 °C": 2 * second}, 1000.0 + second))
    chart.note(Note("lost", "한국어" * 30, 3))
    *drawn, told = chart.render(60, 20).split("\n")
    assert {columns(line) for line in drawn} == {60}
    assert any("温度 °C 38" in line for line in drawn)
    assert 58 <= columns(told) <= 60


@each_of("height", range(1, 30))
def test_a_low_window_has_no_wrong_labels(height: int) -> None:
    """A value beside the axis stands for one row, and not where there is no row for it."""
    chart = Chart("kitchen", 60.0, clock=lambda: 1019.0)
    for second in range(20):
        chart.add(item(3600 * second / 19, 1000.0 + second))
    lines = chart.render(60, height).split("\n")
    assert len(lines) <= max(height, 2)
    labels = [int(found[1]) for line in lines if (found := re.match(r" *(\d+)", line))]
    assert all("┤" in line for line in lines if re.match(r" *\d", line))
    assert labels == sorted(set(labels), reverse=True)
    assert bool(labels) == (height >= 6) or "too low" in lines[-1]


def test_what_happened_is_told_below() -> None:
    chart = Chart("k\x1b]0;title\x07", 60.0)
    assert "waiting for numbers" in chart.render(80, 20)
    chart.note(Note("lost", "k", 3))
    assert "3 messages of k were missed" in chart.render(80, 20)
    assert "\x1b" not in chart.render(80, 20)


def test_that_the_server_does_not_answer_is_told_until_it_does() -> None:
    """It stood there for as long as the chart did."""
    chart = Chart("k", 60.0)
    chart.note(Note("away", "", 2))
    assert "the server does not answer" in chart.render(80, 20)
    chart.add(item(1, time.time()))
    assert "the server does not answer" not in chart.render(80, 20)
    chart.note(Note("lost", "k", 3))
    chart.add(item(2, time.time()))
    assert "3 messages of k were missed" in chart.render(80, 20)


def right_end(chart: Chart) -> int:
    """The column in which the line ends; -1 where there is none."""
    lines = chart.render(100, 20).splitlines()
    return max((at for line in lines for at, each in enumerate(line) if BRAILLE.match(each)), default=-1)


def test_now_is_now_and_not_the_newest_message() -> None:
    """A topic that had been silent for minutes looked as one that goes on."""
    now = 1000.0
    chart = Chart("k", 60.0, clock=lambda: now)
    for second in range(-30, 1):
        chart.add(item(second, 1000.0 + second))
    assert right_end(chart) >= 95
    now = 1030.0
    assert 40 < right_end(chart) < 60
    now = 1090.0
    assert right_end(chart) == -1
    assert "no number in the last 60s" in chart.render(100, 20)
    kept = Chart("k", 60.0, clock=lambda: now)
    kept.add(item(1, 1031.0))
    kept.add(item(2, 1060.0))
    assert 40 < right_end(kept) < 60


@each_of("ahead", [-3600.0, 3600.0])
def test_now_is_by_the_clock_of_the_server(ahead: float) -> None:
    """As soon as a message comes that cannot be one that was kept."""
    now = 1000.0
    chart = Chart("k", 60.0, clock=lambda: now)
    for second in range(30):
        now = 1000.0 + second
        chart.add(item(second, now + ahead))
    assert right_end(chart) >= 95
    now += 30.0
    assert 40 < right_end(chart) < 60


def test_what_a_server_kept_whose_clock_is_ahead_is_in_the_picture() -> None:
    chart = Chart("k", 60.0, clock=lambda: 1000.0)
    for second in range(30):
        chart.add(item(second, 4600.0 + second))
    assert right_end(chart) >= 95


def test_null_is_a_gap() -> None:
    """Publisher makes it of NaN: the loss of a run that diverged went straight on, with the last good value."""
    chart = Chart("run", 60.0, clock=lambda: 1002.0)
    for when, value in enumerate([1.0, None, 3.0]):
        chart.add(item({"loss": value, "never": None}, 1000.0 + when))
    assert list(chart.series) == ["loss"]
    assert [math.isnan(value) for _, value in chart.series["loss"]] == [False, True, False]
    chart.add(item({"loss": None}, 1002.0))
    assert "loss null" in chart.render(80, 20)


def test_very_many_points_are_drawn_as_quickly_as_a_chart_of_few_with_each_spike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """20,000 points took 11 s to draw; meanwhile no key was heard, and messages were lost."""
    points = [(number / 100, 0.0) for number in range(20_000)]
    points[7777] = (77.77, 9.0)
    points[5555] = (55.55, -9.0)
    points[3333] = (33.33, math.nan)
    left = thin(points, 1.0)
    assert len(left) <= 5 * 200
    assert {(77.77, 9.0), (55.55, -9.0), points[0], points[-1]} <= set(left)
    assert [each[0] for each in left if math.isnan(each[1])] == [33.33]
    assert [each[0] for each in left] == sorted(each[0] for each in left)
    few = [(number / 2, float(number)) for number in range(100)]
    assert thin(few, 1.0) == few
    chart = Chart("k", 300.0, clock=lambda: 200.0)
    for when, value in points:
        chart.add(item(value, when))
    drawn: list[float] = []
    monkeypatch.setattr(plotext, "plot", lambda xs, *_, **__: drawn.extend(xs))
    chart.render(100, 20)
    assert 200 < len(drawn) <= 5 * 200


@each_of(
    ("behind", "is_kept"),
    [
        (lambda _: 0.0, True),
        (lambda number: number % 2, True),  # it comes from servers whose clocks differ
        (lambda number: 500 * (number % 2), False),
        (lambda number: number % 20_011, False),
    ],
)
def test_a_quick_topic_is_kept_for_the_whole_span_and_thinned_now_and_then(
    behind: Callable[[int], float], is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1,000 messages a second the last 20 s were left, whatever --span said.

    While times stepped back and forth, each new point had all others thinned again, and the terminal stood still.
    """
    times = 0
    now = 0.0

    def count(points: list[tuple[float, float]], step: float) -> list[tuple[float, float]]:
        nonlocal times
        times += 1
        assert times <= 5, "of 60,000 points 10,000 are left each time"
        return thin(points, step)

    chart = Chart("k", 100.0, clock=lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr("slosh.commands.plot.thin", count)
        for number in range(60_000):
            now = number / 500
            chart.add(item(number, now - behind(number)))
    [points] = chart.series.values()
    assert len(points) <= 20_001
    if is_kept:
        assert points[0][0] < now - 99.0
        assert right_end(chart) >= 95


def test_a_path_that_no_message_has_is_told_with_those_there_are() -> None:
    chart = Chart("k", 60.0, ("cpu.usr",))
    chart.add(item({"cpu": {"user": 1, "sys": 2}}, time.time()))
    assert "no number at --path cpu.usr yet; there are cpu.sys, cpu.user" in chart.render(100, 20)


def test_the_size_is_that_of_the_window_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell may export COLUMNS as it was before the window grew; and a pipe had 80 columns in place of 100."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")
    chart = Chart("k", 60.0)
    chart.add(item(1, time.time()))
    lines = chart.render(120, 33).splitlines()
    assert (max(map(len, lines)), len(lines)) == (120, 32)


def test_on_a_terminal_its_end_leaves_the_chart_there(slosh: TestingServer) -> None:
    """A topic that had ended left nothing: the chart went with the screen on which it was drawn."""
    slosh.client.open("run")
    slosh.client.publish("run", {"loss": 0.25}, end=True)
    with Terminal("plot", "run", url=slosh.url) as terminal:
        assert terminal.process.wait(PATIENCE) == 0
    assert "loss 0.25" in terminal.written.rpartition("\x1b[?1049l")[2]


def test_on_a_terminal_it_lives_and_q_ends_it(slosh: TestingServer) -> None:
    with Terminal("plot", "kitchen", url=slosh.url) as terminal:
        terminal.until("waiting for numbers")
        assert slosh.client.watchers("kitchen", wait=PATIENCE) == 1
        for value in range(5):
            slosh.client.publish("kitchen", {"temp": value})
        terminal.until("temp 4")
        terminal.press("q")
        assert terminal.process.wait(PATIENCE) == 0


def test_on_a_pipe_it_is_one_chart(slosh: TestingServer) -> None:
    with slosh.watch("kitchen"):
        slosh.client.publish_many("kitchen", [1, 2, 3])
        done = subprocess.run(
            [*SLOSH, "plot", "kitchen", "--count=3"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=clean_environment(SLOSH_URL=slosh.url),
        )
    assert (done.returncode, "kitchen 3" in done.stdout, "\x1b" in done.stdout) == (0, True, False), done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_a_pipe_a_signal_prints_the_chart_and_standard_error_says_so(
    slosh: TestingServer, number: signal.Signals
) -> None:
    """It printed nothing for as long as it ran, told nobody why, and a signal lost the chart."""
    environment = clean_environment(SLOSH_URL=slosh.url)
    pipe = subprocess.PIPE
    plot = ProcessGroup([*SLOSH, "plot", "kitchen"], stdout=pipe, stderr=pipe, text=True, env=environment)
    assert plot.stderr is not None
    told = plot.stderr.readline()
    assert all(each in told for each in ("at the end", "Ctrl-C", "SIGTERM", "--timeout", "--count")), told
    assert slosh.client.watchers("kitchen", wait=PATIENCE) == 1
    plot.send_signal(number)
    drawn, more = plot.communicate(timeout=PATIENCE)
    assert (plot.returncode, more) == (130 if number == signal.SIGINT else -signal.SIGTERM, "")
    assert "kitchen" in drawn.splitlines()[0]


def test_on_a_pipe_that_ends_by_itself_nothing_is_told_and_one_that_nobody_reads_ends(slosh: TestingServer) -> None:
    environment = clean_environment(SLOSH_URL=slosh.url)
    pipe = subprocess.PIPE
    done = subprocess.run(
        [*SLOSH, "plot", "kitchen", "--timeout=100ms"], capture_output=True, check=False, timeout=60, env=environment
    )
    assert (done.returncode, done.stderr) == (EXIT_TIMED_OUT, b"")
    unread = ProcessGroup([*SLOSH, "plot", "kitchen", "--count=9"], stdout=pipe, env=environment)
    assert slosh.client.watchers("kitchen", wait=PATIENCE) == 1
    assert unread.stdout is not None
    unread.stdout.close()
    assert unread.wait(PATIENCE) == 128 + signal.SIGPIPE


def test_time_that_runs_out_is_an_exit_code(slosh: TestingServer) -> None:
    assert CliRunner().invoke(main, ["plot", "silent", "--timeout=300ms"]).exit_code == EXIT_TIMED_OUT


def test_whatever_ends_the_watch_ends_the_plot(slosh: TestingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch of its own thread that fails with what is no error of the client's; it was waited for for ever."""

    def fail(_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Watch, "__next__", fail)
    done = CliRunner().invoke(main, ["plot", "silent", f"--timeout={PATIENCE}s"])
    assert isinstance(done.exception, RuntimeError)


@pytest.mark.parametrize("command", ["plot", "top"])
def test_without_its_library_it_names_the_extra(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, {"plot": "plotext", "top": "rich"}[command], None)
    done = CliRunner().invoke(main, [command, *(["kitchen"] if command == "plot" else [])])
    assert done.exit_code == 2
    assert "slosh-server[terminal]" in done.output


@each_of("size", [(100, 30), (20, 5), (1, 1)])
@each_of("numbers", [(1e300, -1e300), (1e308, -1e308), (0, 1e307), (5e-324, 0), (0.3, 0.1 + 0.2)])
def test_every_number_that_a_publisher_can_send_leaves_the_chart_standing(
    numbers: tuple[float, float], size: tuple[int, int]
) -> None:
    chart = Chart("k", 60.0, clock=lambda: 1.0)
    for when, number in enumerate(numbers):
        chart.add(item({"t": number}, float(when)))
    assert chart.render(*size)


def test_numbers_too_large_to_draw_and_messages_that_cannot_be_read_are_told() -> None:
    for large in (10**400, -(10**400), Decimal("1e400"), 1e308, -1e308, 1.1e300):
        chart = Chart("k", 60.0)
        chart.add(item({"t": large, "u": 1}, 1.0))
        assert list(chart.series) == ["u"]
        assert "a number of t is too large to draw" in chart.render(80, 20)
    chart = Chart("k", 60.0)
    deep = "[" * 100_000 + "]" * 100_000
    (unread,) = WatchState(["k"], {}).event("message", f'{{"time":1,"message":{deep}}}', "aaaaaaaa.1")
    assert isinstance(unread, Item)
    chart.add(unread)
    assert "The message of k before the place aaaaaaaa.1 cannot be read" in chart.render(100, 20)
    nested: object = 1
    for _ in range(3_000):  # which Python 3.13 reads, but not by a function that calls itself
        nested = [nested]
    chart.add(item(nested, 1.0))
    assert "a message of k is nested too deep to draw" in chart.render(100, 20)
