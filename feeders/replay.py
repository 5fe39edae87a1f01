"""Replay a public data set as a stream, row by row, at a speed of your choice, for ever.

    python feeders/replay.py --url http://127.0.0.1:8000 --speed 10

The data sets are those of the package vega_datasets (`pip install --no-deps vega_datasets`), read from its own
files: nothing is fetched. Any other CSV file with a header line: --file. One message is one row, numbers as numbers:

    {"row": 64, "of": 1461, "date": "2012-03-04", "precipitation": 0.0, "temp_max": 11.7, …}

It works only while somebody looks at the topic, and goes on at the row where it stopped: see feeding.py.
"""

import csv
import re
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from feeding import Feeder, Publisher, arguments, main, say, seconds

#: Each one is a series over time. The package has more, of other shapes.
DATASETS = ("seattle-weather", "sf-temps", "seattle-temps", "us-employment", "stocks")
#: Seconds between two lines of progress where the output is no terminal.
REPORT = 10.0


class Replay:
    """A source that gives a data set's rows in order, and starts over after the last. Tells how far it is."""

    def __init__(self, rows: list[dict[str, object]], *, live: bool = False) -> None:
        """`live`: the output is a terminal, so one line of progress can be written over and over."""
        self._rows = rows
        self._live = live
        self._index = 0
        self._loop = 1
        self._reported = 0.0

    def reading(self) -> dict[str, object]:
        """The row that is next; the same one until it was taken."""
        return {"row": self._index + 1, "of": len(self._rows), **self._rows[self._index]}

    def taken(self, watchers: int) -> None:
        """Go on to the next row."""
        self._report(watchers)
        self._index += 1
        if self._index == len(self._rows):
            self._index = 0
            self._loop += 1

    def _report(self, watchers: int) -> None:
        now = time.monotonic()
        line = f"row {self._index + 1} of {len(self._rows)}, round {self._loop}, {watchers} watching"
        if self._live:
            print(f"\r\x1b[K{line}", end="", flush=True)
        elif now - self._reported >= REPORT:
            self._reported = now
            say(line)


def load(path: Path) -> list[dict[str, object]]:
    """The rows of a CSV file whose first line names its columns. Raises ValueError, with the fix."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [{name: _value(text) for name, text in row.items() if name} for row in csv.DictReader(file)]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise ValueError(f"{path} has no row below its header line")
    return rows


def locate(dataset: str) -> Path:
    """Where the package keeps a data set. Raises ValueError when the package is not there."""
    # Found, not imported: importing the package brings in pandas, which one CSV file does not need.
    spec = find_spec("vega_datasets")
    if spec is None or spec.origin is None:
        raise ValueError("the data comes from a package: pip install --no-deps vega_datasets (or use --file)")
    return Path(spec.origin).parent / "_data" / f"{dataset}.csv"


def _value(text: str | None) -> object:
    """A cell as the JSON value it means: a number, nothing, a date as ISO 8601, or the text itself."""
    if text is None or not text.strip():
        return None
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    # The sets write 2012/01/31; every JavaScript engine reads 2012-01-31.
    return re.sub(r"^(\d{4})/(\d\d)/(\d\d)", r"\1-\2-\3", text)


def run() -> None:
    """Read the command line and feed until interrupted."""
    parser = arguments("Replay a public data set to a slosh topic, row by row.", "replay")
    parser.add_argument("--data", choices=DATASETS, default=DATASETS[0], help="data set (default: %(default)s)")
    parser.add_argument("--file", type=Path, help="a CSV file of your own instead")
    parser.add_argument("--speed", type=seconds, default=10.0, help="rows a second (default: %(default)g)")
    options = parser.parse_args()
    publisher = Publisher(options.url, options.topic)
    rows = load(options.file or locate(options.data))
    name = options.file.name if options.file else options.data
    say(f"replay.py: {name}, {len(rows)} rows, {options.speed:g} a second, to {options.topic} on {options.url}")
    live = sys.stdout.isatty()
    tell = _over_progress if live else say
    Feeder(publisher, Replay(rows, live=live), 1 / options.speed, say=tell).run()


def _over_progress(line: str) -> None:
    """Write a line where the progress stands, so that the terminal stays readable."""
    say(f"\r\x1b[K{line}")


if __name__ == "__main__":
    sys.exit(main(run))
