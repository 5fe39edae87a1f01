"""`slosh plot`: a live chart of a topic, in the terminal."""

import math
import queue
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click

from slosh.client.errors import ClientError, Unreadable
from slosh.client.items import Item, Note
from slosh.commands.progress import count, were
from slosh.commands.screen import QUIT, Screen, can_draw, find_size, need
from slosh.commands.shared import (
    EXIT_TIMED_OUT,
    ClientCommand,
    complete_topics,
    ending_unread,
    has_colour,
    open_client,
    parse_duration,
    printable,
    tell,
    url_option,
)

if TYPE_CHECKING:
    from slosh.client.iterator import Watch

_MOST_SERIES: Final = 12
_MOST_POINTS: Final = 20_000
"""Points of one series that are kept unchanged. If there are more, they are thinned to what `_COLUMNS` can show."""
_COLUMNS: Final = 2000
"""Columns of the widest terminal, twice: braille has two dots in each."""
_LEFT: Final = 5
"""Most points that thinning leaves of a step."""
_SETTLED: Final = 2.0
"""Seconds after the start until which a message may be one that the server kept."""
_LARGEST: Final = 1e300
"""The largest number that is drawn. plotext adds numbers, and multiplies them, and those near a float's end overflow
there."""
_SPANS: Final = (4, 8, 20, 40, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400, 28800, 86400)
"""Seconds of the axis, until there is enough for the span that is asked for: a quarter of each reads well."""
_FRAME: Final = 0.1
"""Seconds between two drawings."""
_AROUND: Final = 5
"""Lines around the chart: title, frame, times, and a note."""
_PIPE: Final = (100, 30)
"""Columns and lines of a chart for a pipe."""
_SECOND: Final = "\0"
"""Stands for the second column of a wide letter. It is in no text that is `printable`."""


class PlotCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh plot kitchen", "every number in the messages, the last five minutes"),
        ("slosh plot load --path cpu.user --path cpu.sys", "two of the numbers"),
        ("slosh plot 'sensors/*' --span 1h", "several topics"),
        ("slosh plot kitchen --timeout 10s | cat", "the chart after ten seconds, for a pipe"),
    )
    exits = ("0", "2", "4", "124", "130")


@click.command(cls=PlotCommand)
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...", shell_complete=complete_topics)
@click.option(
    "--path", "paths", multiple=True, metavar="PATH", help="Dotted path to a number, all by default; repeatable."
)
@click.option(
    "--span", metavar="TIME", default="5m", show_default=True, callback=parse_duration, help="How far back to draw."
)
@click.option("--count", "most", type=click.IntRange(1), metavar="N", help="End after N messages.")
@click.option("--timeout", metavar="TIME", callback=parse_duration, help="End after this long, with exit code 124.")
@url_option
@click.pass_context
def plot(
    ctx: click.Context,
    topics: tuple[str, ...],
    paths: tuple[str, ...],
    span: float,
    most: int | None,
    timeout: float | None,
    url: str | None,
) -> None:
    """Draw the numbers in the messages of TOPICs as they come, beginning with the messages that the server keeps.

    On a pipe, or where TERM is dumb, the chart is printed once, at the end: after --count or --timeout, by Ctrl-C or
    SIGTERM, or when the topics have ended.
    """
    try:
        import plotext  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise need("terminal", "plotext") from None
    chart = Chart(" ".join(topics), span, paths, several=len(topics) > 1 or "*" in topics[0])
    end = time.monotonic() + timeout if timeout is not None else math.inf
    with open_client(url) as client, client.watch(*topics, since=span, notes=True) as watch:
        feed = _Feed(watch)
        if can_draw():
            with Screen() as screen:
                ended_by = _follow(feed, chart, most, end, screen)
                columns, lines = screen.size
            if ended_by != "key":  # The chart disappeared with the alternate screen, so it is printed again.
                click.echo(chart.render(columns, lines - 1))
        else:
            ended_by = _follow_unseen(feed, chart, most, end, watch.close)
        if ended_by == "time":
            ctx.exit(EXIT_TIMED_OUT)


def _follow_unseen(feed: "_Feed", chart: "Chart", most: int | None, end: float, close: Callable[[], None]) -> str:
    """As `_follow`, without a terminal to draw on: the chart is printed once, at the end.

    Args:
        close: ends the watch, if standard output can no longer be read.
    """
    if most is None and end == math.inf:
        tell("the chart is printed at the end: by Ctrl-C or SIGTERM, or start it with --timeout 10s or --count N")
    with ending_unread(close):
        try:
            return _follow(feed, chart, most, end, None)
        finally:
            if chart.series or not isinstance(sys.exception(), ClientError):
                click.echo(chart.render(*find_size(_PIPE)))


def _follow(feed: "_Feed", chart: "Chart", most: int | None, end: float, screen: Screen | None) -> str:
    """Draw until it ends. Returns why: `count`, `topics` (they ended), `key` or `time`."""
    came = 0
    took = 0.0
    while (left := end - time.monotonic()) > 0:
        # Drawing takes at most half of the time, so that messages and keys are read on a slow machine too.
        for each in feed.take(min(max(_FRAME, took), left)):
            if isinstance(each, Note):
                chart.note(each)
                continue
            chart.add(each)
            came += 1
            if came == most:
                return "count"
        if feed.is_over:
            return "topics"
        if screen is not None:
            began = time.monotonic()
            screen.draw(chart.render(*screen.size))
            took = time.monotonic() - began
            if any(key in QUIT for key in screen.keys(0.001)):
                return "key"
    return "time"


class _Feed:
    """The messages and notes of a watch, collected by a thread, so that keys are read meanwhile."""

    def __init__(self, watch: "Watch[Item | Note]") -> None:
        self._queue: queue.Queue[Item | Note | Exception | None] = queue.Queue(10_000)
        self.is_over = False
        threading.Thread(target=self._gather, args=(watch,), name="slosh plot", daemon=True).start()

    def _gather(self, watch: "Watch[Item | Note]") -> None:
        try:
            for each in watch:
                self._queue.put(each)
        except Exception as error:  # noqa: BLE001 - `take` raises it, so that any error ends the plot
            self._queue.put(error)
        else:
            self._queue.put(None)

    def take(self, seconds: float) -> Iterator[Item | Note]:
        """The messages and notes of this many seconds.

        Raises:
            ClientError: the server refused. Any other error of the watch is raised here too.
        """
        until = time.monotonic() + seconds
        while not self.is_over and (left := until - time.monotonic()) > 0:
            try:
                each = self._queue.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(each, Exception):
                raise each
            if each is None:
                self.is_over = True
                return
            yield each


class Chart:
    """The series of some topics.

    Args:
        title: above the chart.
        span: seconds that are shown at most; the axis grows with what there is.
        paths: into the messages; none for every number.
        several: whether the topic's name stands before the path.
        clock: gives the seconds since 1970, by this machine.
    """

    def __init__(
        self,
        title: str,
        span: float,
        paths: tuple[str, ...] = (),
        *,
        several: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._began = clock()
        self._ahead = 0.0  # seconds by which the server's clock seems to be ahead of this machine's
        self._title = printable(title)
        self._span = span
        self._paths = frozenset(paths)
        self._several = several
        self._hidden: set[str] = set()
        self._others: set[str] = set()  # paths that were not asked for
        self._note = ""
        self._is_away = False  # and the note says so
        self.series: dict[str, list[tuple[float, float]]] = {}

    def add(self, item: Item) -> None:
        """A message has come. If some were lost just before it, or it says null, the lines have a gap."""
        now = self._clock()
        when = item.time if item.time is not None else now
        if when - now > self._ahead or now - self._began > _SETTLED:
            self._ahead = when - now
        if self._is_away:
            self._is_away, self._note = False, ""
        try:
            found = list(numbers(item.message))
        except Unreadable as error:
            self._note = error.detail
            return
        except RecursionError:  # Newer Pythons read more than they can walk through.
            self._note = f"a message of {printable(item.topic)} is nested too deep to draw"
            return
        for path, value in found:
            if self._paths and path not in self._paths:
                if len(self._others) < _MOST_SERIES:
                    self._others.add(path)
                continue
            name = f"{item.topic} {path}".strip() if self._several else path or item.topic
            if abs(value) > _LARGEST:
                self._note = f"a number of {printable(name)} is too large to draw"
            elif name in self.series or not math.isnan(value):
                self._append(name, [(when, math.nan)] * bool(item.lost or item.reset) + [(when, value)])

    def _append(self, name: str, new: list[tuple[float, float]]) -> None:
        if name not in self.series and len(self.series) == _MOST_SERIES:
            self._hidden.add(name)
            return
        points = self.series.setdefault(name, [])
        points += new
        if len(points) > _MOST_POINTS:
            oldest = points[-1][0] - self._span
            thinned = thin([each for each in points if each[0] >= oldest], self._span / _COLUMNS)
            points[:] = thinned[-_MOST_POINTS // 2 :]  # whatever their times are, the next thinning is far

    def note(self, note: Note) -> None:
        """Something happened between the messages."""
        topic = printable(note.topic)
        said = {
            "lost": f"{count(note.count, 'message')} of {topic} {were(note.count)} missed",
            "reset": f"{topic} started again",
            "ended": f"{topic} ended",
            "incomplete": "too many topics match, so some are left out",
            "away": "the server does not answer",
        }
        self._note = said.get(note.kind, self._note)
        self._is_away = note.kind == "away"

    def render(self, width: int, height: int) -> str:
        """The chart as text of this many columns and lines."""
        import plotext  # noqa: PLC0415 - an extra

        now = self._clock() + self._ahead
        if height <= _AROUND:
            return "\n".join([_cut(self._title, width), _cut(self._note or "this window is too low to draw in", width)])
        plotext.clear_figure()
        plotext.theme("pro" if has_colour() else "clear")
        plotext.limit_size(False, False)  # noqa: FBT003 - else it is that of the variables COLUMNS and LINES at most
        plotext.plot_size(width, height - 1)
        plotext.title(_in_columns(self._title))
        span, is_drawn = self._span_at(now), False
        for name, points in sorted(self.series.items()):
            shown = [(when - now, value) for when, value in points if when >= now - self._span]
            newest = points[-1][1]
            label: str | None = f"{printable(name)} {'null' if math.isnan(newest) else f'{newest:.6g}'}"
            for part in _unbroken(thin(shown, span / (2 * width))):
                xs, ys = zip(*part, strict=True)
                plotext.plot(list(xs), list(ys), label=label and _in_columns(label), marker="braille")
                label, is_drawn = None, True  # one entry of the legend for all parts of a line
        plotext.xlim(-span, 0)
        ticks = [-span * part / 4 for part in range(4, -1, -1)]
        plotext.xticks(ticks, [_ago(-each) for each in ticks])
        if not is_drawn:
            plotext.ylim(0, 1)
        line = self._note or ("" if is_drawn else self._describe_waiting())
        if self._hidden:
            line = f"{line}  {len(self._hidden)} more series are not shown; choose with --path".strip()
        drawn = plotext.build().rstrip("\n").replace(_SECOND, "")
        return f"{drawn if has_colour() else plotext.uncolorize(drawn)}\n{_cut(line, width)}"

    def _describe_waiting(self) -> str:
        if self.series:
            return f"no number in the last {_ago(self._span)[1:]}"
        if not self._others:
            return "waiting for numbers"
        return f"no number at --path {', '.join(sorted(self._paths))} yet; there are {', '.join(sorted(self._others))}"

    def _span_at(self, now: float) -> float:
        """Seconds of the axis: as many as there are, rounded up, and no more than the span."""
        oldest = min((points[0][0] for points in self.series.values()), default=now)
        return next((each for each in _SPANS if now - oldest <= each < self._span), self._span)


def numbers(message: object, path: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a message, each with its dotted path. One that is too large for a float is infinite.

    If a message has null in place of a number, as for NaN, it is NaN.
    """
    if message is None:
        yield path, math.nan
    elif isinstance(message, bool):
        yield path, float(message)
    elif isinstance(message, (int, float, Decimal)):
        if isinstance(message, float) and not math.isfinite(message):
            return
        try:
            yield path, float(message)
        except OverflowError:
            yield path, math.inf
    elif isinstance(message, Mapping):
        for name, each in message.items():
            yield from numbers(each, f"{path}.{name}" if path else str(name))
    elif isinstance(message, list):
        for index, each in enumerate(message[:_MOST_SERIES]):
            yield from numbers(each, f"{path}.{index}" if path else str(index))


def thin(points: list[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """Points that look the same if all within a `step`, seconds, stand one above the other.

    Of each step these are left, in their order: the first, the last, the lowest, the highest, and the first gap.
    """
    steps: dict[float, list[int]] = {}
    for at, (when, _) in enumerate(points):
        steps.setdefault(when // step, []).append(at)
    left: set[int] = set()
    for several in steps.values():
        if len(several) > _LEFT:
            real = [at for at in several if not math.isnan(points[at][1])]
            gap = next((at for at in several if math.isnan(points[at][1])), several[0])
            extremes = [choose(real, key=lambda at: points[at][1]) for choose in (min, max) if real]
            several = [several[0], several[-1], gap, *extremes]  # noqa: PLW2901 - what is left of it
        left.update(several)
    return [points[at] for at in sorted(left)]


def _unbroken(points: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """The parts of a line between its gaps."""
    part: list[tuple[float, float]] = []
    for point in points:
        if math.isnan(point[1]):
            if part:
                yield part
            part = []
        else:
            part.append(point)
    if part:
        yield part


def _in_columns(text: str) -> str:
    """Printable text with a second letter, `_SECOND`, behind each that takes two columns of a terminal.

    What counts letters counts columns then. Take the second ones out again of what it gives.
    """
    return "".join(each + _SECOND if unicodedata.east_asian_width(each) in "WF" else each for each in text)


def _cut(text: str, width: int) -> str:
    """As much of a printable text as this many columns have room for."""
    return _in_columns(text)[: max(width, 0)].replace(_SECOND, "")


def _ago(seconds: float) -> str:
    if seconds == 0:
        return "now"
    if seconds < 120:
        return f"-{seconds:g}s"
    return f"-{seconds / 60:g}m" if seconds < 7200 else f"-{seconds / 3600:g}h"
