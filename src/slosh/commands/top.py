"""`slosh top`: the active topics, live."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from io import StringIO
from typing import Final

import click

from slosh.client.answers import is_passing
from slosh.client.errors import ClientError
from slosh.client.synchronous import Client
from slosh.commands.progress import count
from slosh.commands.screen import QUIT, Screen, can_draw, find_size, need
from slosh.commands.shared import (
    MORE_TO_LIST,
    ClientCommand,
    has_colour,
    lists_more,
    open_client,
    parse_duration,
    printable,
    tell,
    url_option,
)

Row = dict[str, object]

_COLUMNS: Final = (("name", "TOPIC"), ("watchers", "WATCHERS"), ("rate", "RATE/S"), ("max", "MAX"), ("age", "AGE"))
_PATIENCE: Final = 2.0
"""Seconds that an answer may take while topics are shown: keys wait for it."""
_GAP: Final = 2
"""Columns of the terminal between two of the table."""
_SHORTEST_NAME: Final = 12
"""Columns of the terminal that names have at least; the last columns of the table make room."""
_KEYS: Final = {"t": "name", "w": "watchers", "r": "rate", "m": "max", "a": "age"}
_HELP: Final = "sort: t topic, w watchers, r rate, m max, a age; again turns it round; q quits"


class TopCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh top", "live, until you press q"),
        ("slosh top --sort watchers --filter 'sensors/*'", "the most watched of some topics first"),
        ("slosh top | cat", "once, for a pipe"),
    )


@click.command(cls=TopCommand)
@click.option(
    "--sort",
    type=click.Choice([name for name, _ in _COLUMNS]),
    default="rate",
    show_default=True,
    help="Column to sort by.",
)
@click.option("--filter", "pattern", metavar="PATTERN", help="Show only topics whose names match, as in 'sensors/*'.")
@click.option(
    "--every",
    metavar="TIME",
    default="1s",
    show_default=True,
    callback=parse_duration,
    help="Time between two updates.",
)
@url_option
def top(sort: str, pattern: str | None, every: float, url: str | None) -> None:
    """Show the active topics, live: watchers, messages a second, the newest offset and the age of each.

    On a pipe, or where TERM is dumb, they are shown once.
    """
    try:
        import rich  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise need("terminal", "rich") from None
    view = View(sort, pattern)
    with open_client(url) as client:
        if not can_draw():
            click.echo(view.render(client.topics(), find_size((100, 0))[0], 10**6), nl=False)
            if lists_more(client):
                tell(MORE_TO_LIST)
            return
        rows = client.topics()
        view.note = MORE_TO_LIST if lists_more(client) else ""
    with Screen() as screen, open_client(url, _PATIENCE) as client:
        _watch(client, screen, view, every, rows)


def _watch(client: Client, screen: Screen, view: "View", every: float, rows: Iterable[Row]) -> None:
    trouble = ""
    while True:
        screen.draw(view.render(rows, *screen.size, trouble))
        for key in screen.keys(every):
            if key in QUIT:
                return
            if view.press(key):
                screen.draw(view.render(rows, *screen.size, trouble))
        try:
            rows, trouble = client.topics(), ""
            view.note = MORE_TO_LIST if lists_more(client) else ""
        except ClientError as error:
            if not is_passing(error):
                raise
            trouble = error.detail


class View:
    """How topics are shown.

    Args:
        sort: the column that they are sorted by.
        pattern: shell-like; only topics whose names it fits are shown. None for all.

    Attributes:
        note: what is said of the topics as a whole, in place of the keys' help; empty for nothing.
    """

    def __init__(self, sort: str, pattern: str | None = None) -> None:
        self._sort = sort
        self._turned = False
        self._pattern = pattern
        self.note = ""

    def press(self, key: str) -> bool:
        """A key was pressed. Whether that changes what is shown."""
        column = _KEYS.get(key)
        if column is None:
            return False
        self._turned = not self._turned if column == self._sort else False
        self._sort = column
        return True

    def rows(self, topics: Iterable[Row]) -> list[Row]:
        """The topics that are shown, in their order. Numbers begin with the largest, names with the first."""
        found = [each for each in topics if self._pattern is None or fnmatchcase(str(each["name"]), self._pattern)]
        found.sort(key=lambda each: str(each["name"]))

        def size(row: Row) -> float:
            return float(str(row.get(self._sort, 0)))

        if self._sort != "name":
            found.sort(key=size, reverse=True)
        return found[::-1] if self._turned else found

    def render(self, topics: Iterable[Row], width: int, height: int, trouble: str = "") -> str:
        """The table, as text of at most this many columns and lines.

        Args:
            trouble: why these are the topics of a while ago; empty if they are not.
        """
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        rows = self.rows(topics)
        watchers = sum(int(str(each.get("watchers", 0))) for each in rows)
        rate = sum(float(str(each.get("rate", 0))) for each in rows)
        line = trouble or f"{count(len(rows), 'topic')}, {count(watchers, 'watcher')}, {rate:,.1f} messages a second"
        room = max(1, height - 4)
        cells = [_cells_of(each) for each in rows[:room]]
        columns, for_names = _fit(cells, width)
        table = Table(box=None, pad_edge=False, header_style="bold", expand=width < 100)
        for name, title in columns:
            mark = ("↑" if self._turned != (name == "name") else "↓") if name == self._sort else ""
            is_name = name == "name"
            least = None if is_name else len(title) + 1
            table.add_column(
                f"{title}{mark}",
                justify="left" if is_name else "right",
                no_wrap=True,
                min_width=least,
                max_width=for_names if is_name else None,
            )
        for each, (topic, *numbers) in zip(rows, cells, strict=False):
            live = float(str(each.get("rate", 0))) > 0
            table.add_row(Text(topic, style="cyan" if live else ""), *numbers[: len(columns) - 1])
        console = Console(
            file=StringIO(), width=width, force_terminal=has_colour(), color_system="standard" if has_colour() else None
        )
        with console.capture() as capture:
            console.print(Text(line), overflow="ellipsis", no_wrap=True)
            console.print(table)
            if len(rows) > room:
                console.print(Text(f"… and {len(rows) - room:,} more"))
            if height < 10**6:
                console.print(
                    Text(self.note or _HELP, style="" if self.note else "dim"), overflow="ellipsis", no_wrap=True
                )
        return capture.get()


def _cells_of(row: Row) -> tuple[str, ...]:
    """What is shown of a topic, in the order of the columns."""
    return (
        printable(str(row["name"])),
        f"{int(str(row.get('watchers', 0))):,}",
        f"{float(str(row.get('rate', 0))):,.1f}",
        f"{int(str(row.get('max', 0))):,}",
        age_of(float(str(row.get("age", 0)))),
    )


def _fit(cells: Sequence[tuple[str, ...]], width: int) -> tuple[Sequence[tuple[str, str]], int]:
    """The columns that there is room for, and how wide names may be. Names are cut before a number is."""
    widths = [
        max(len(title) + 1, *(len(row[index]) for row in cells)) if cells else len(title) + 1
        for index, (_, title) in enumerate(_COLUMNS)
    ]
    shown = len(_COLUMNS)
    while shown > 2 and width - sum(widths[1:shown]) - _GAP * (shown - 1) < _SHORTEST_NAME:
        shown -= 1
    return _COLUMNS[:shown], max(1, width - sum(widths[1:shown]) - _GAP * (shown - 1))


def age_of(seconds: float) -> str:
    """`42s`, `3m 20s`, `5h 07m`, `12d 3h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"
