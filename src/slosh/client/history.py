"""A topic's history as columns, for programs that plot or compute. No I/O here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Literal

from slosh.client.addresses import check_text
from slosh.client.dataframe import load
from slosh.client.errors import BadUse, show
from slosh.client.request import check_number, is_several, write_seconds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Figure = Literal["mean", "min", "max", "count"]
"""What is known of the numbers of a step."""

_MOST_STEPS = 1 << 20
"""Steps of a history at most; a server gives 4096."""

Column = list[float | None]
"""An element for each step; None if no number came."""


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers at one path.

    Attributes:
        path: of the numbers in the messages, with dots; empty for messages that are numbers.
        by: the value of the member that tells series apart; None if none was named.
        count: how many numbers came in each step.
        min, max, mean: of each step.
    """

    path: str
    by: str | None
    count: list[int]
    min: Column
    max: Column
    mean: Column

    @property
    def name(self) -> str:
        """The path, `value` if that is empty, and behind it the value of the member that tells series apart."""
        path = self.path or "value"
        return path if self.by is None else f"{path} {self.by}"


@dataclass(frozen=True, slots=True)
class History:
    """What the numbers of a topic were.

    Attributes:
        times: when each step begins, seconds since 1970.
        step: seconds.
        series: in columns, each of as many elements as there are times.
        next: the place after the last message that is in them: give it to `watch` as `since`.
        known_from: seconds since 1970; what came before that is not known. 0.0 if all of it is.
        unlisted: numbers that were left out, because there were too many series.
        missed: messages that were left out, because they were too large or too many at a time.
    """

    times: list[float]
    step: float
    series: list[Series]
    next: str
    known_from: float
    unlisted: int
    missed: int

    def to_arrays(self, figure: Figure = "mean") -> "tuple[np.ndarray[Any, Any], dict[str, np.ndarray[Any, Any]]]":
        """The times, as numpy's `datetime64[ms]` in UTC, and each series by its name, NaN if no number came.

        If two series have one name, as that of `{"value": 1}` and that of `1`, the second is called `value (2)`.

        Raises:
            BadUse: numpy is not installed, or `figure` is not valid.
        """
        numpy = load("numpy")
        times = numpy.array([round(time * 1000) for time in self.times], dtype="datetime64[ms]")
        # numpy makes NaN of None.
        columns = (numpy.array(_column(each, figure), dtype=float) for each in self.series)
        return times, dict(zip(_tell_apart([each.name for each in self.series]), columns, strict=True))

    def to_dataframe(self, figure: Figure = "mean") -> "pd.DataFrame":
        """A row for each step, with its time (UTC) as index, and a column for each series, NaN if no number came.

        Raises:
            BadUse: pandas is not installed, or `figure` is not valid.
        """
        pandas = load("pandas")
        times, columns = self.to_arrays(figure)
        return pandas.DataFrame(columns, index=pandas.DatetimeIndex(times, tz="UTC", name="time"))


def _tell_apart(names: Sequence[str]) -> list[str]:
    """The names, those that stood there before with a number behind."""
    chosen: dict[str, None] = {}
    for name in names:
        candidates = chain([name], (f"{name} ({number})" for number in count(2)))
        chosen[next(each for each in candidates if each not in chosen)] = None
    return list(chosen)


def _column(series: Series, figure: str) -> Sequence[float | None]:
    if figure not in ("mean", "min", "max", "count"):
        raise BadUse(f"figure is mean, min, max or count, not {show(figure)}.")
    column: Sequence[float | None] = getattr(series, figure)
    return column


def history_query(span: str | float, points: int | None, paths: Sequence[str], by: str) -> dict[str, str]:
    """The query of a request for a history.

    Raises:
        BadUse: it makes no sense.
    """
    if not is_several(paths):
        raise BadUse(f"paths is several paths, as [{str(paths)!r}].")
    query = {
        "history": check_text("span", span if isinstance(span, str) else write_seconds("span", span)),
    }
    if points is not None:
        query["points"] = str(check_number("points", points))
    if names := [check_text("A path", each) for each in paths]:
        query["path"] = ",".join(names)
    if by:
        query["by"] = check_text("by", by)
    return query


def read_history(said: Mapping[str, Any]) -> History:
    """The history that a server has answered with.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is no history.
    """
    steps = range(said["from"], said["to"], said["step"])
    if len(steps) > _MOST_STEPS:  # not a slosh server's: an answer of some bytes would fill the memory
        raise ValueError
    return History(
        times=[time / 1000 for time in steps],
        step=said["step"] / 1000,
        series=[_read_series(each, len(steps)) for each in said["series"]],
        next=str(said["next"]),
        known_from=said.get("known_from", 0) / 1000,
        unlisted=int(said.get("unlisted", 0)),
        missed=int(said.get("missed", 0)),
    )


def _read_series(said: Mapping[str, Any], size: int) -> Series:
    columns = [list(said[name]) for name in ("count", "min", "max", "mean")]
    if any(len(column) != size for column in columns):
        raise ValueError
    return Series(str(said["path"]), said.get("by"), *columns)
