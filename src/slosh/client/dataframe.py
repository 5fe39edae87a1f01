"""Messages and histories as pandas data frames and numpy arrays.

Both libraries are optional (`pip install 'slosh-server[data]'`) and are loaded by the functions that need them.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from slosh.client.errors import BadUse
from slosh.client.items import Item

if TYPE_CHECKING:
    import pandas as pd


def load(module: str) -> Any:  # noqa: ANN401 - a module
    """An optional library.

    Raises:
        BadUse: it is not installed; the detail says how to.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise BadUse(f"This needs {module}: pip install 'slosh-server[data]'") from None


def to_dataframe(items: Iterable[Item]) -> "pd.DataFrame":
    """Messages as rows, in their order.

    The index is the time at which the server took each message (UTC), NaT if the server did not say; if there
    are several topics, the topic stands before it. The columns are the members of the messages, named by their paths
    with dots (`cpu.load`). Messages that are no objects stand in the column `value`. If two members of a message
    have one path, as those of `{"cpu": {"load": 1}, "cpu.load": 2}`, the second is called `cpu.load (2)`.

    >>> to_dataframe([Item({"t": 21.5}, "kitchen", 1, 0.0, "e.1")])
                                  t
    time...
    1970-01-01 00:00:00+00:00  21.5

    Args:
        items: as `Client.watch` gives them. It is read to its end, so give the watch a `deadline`, or a part of it.

    Raises:
        BadUse: pandas is not installed.
    """
    pandas = load("pandas")
    kept = list(items)
    rows = [_distinct(each.message) if isinstance(each.message, dict) else {"value": each.message} for each in kept]
    # As whole milliseconds, which they are: as fractions of seconds they would be off by some nanoseconds.
    stamps = pandas.Series([None if each.time is None else round(each.time * 1000) for each in kept], dtype="Int64")
    times = pandas.DatetimeIndex(pandas.to_datetime(stamps, unit="ms", utc=True), name="time")
    frame = pandas.json_normalize(rows) if rows else pandas.DataFrame()
    topics = [each.topic for each in kept]
    index = times if len(set(topics)) < 2 else pandas.MultiIndex.from_arrays([topics, times], names=["topic", "time"])
    frame.index = index
    return frame


def _distinct(message: Mapping[str, object]) -> Mapping[str, object]:
    """A message whose members have a path each: itself, or one if a path that comes again has a number."""
    found = list(_walk(message))
    if len({path for path, _ in found}) == len(found):
        return message
    distinct: dict[str, object] = {}
    for path, value in found:
        name = path
        number = 2
        while name in distinct:
            name = f"{path} ({number})"
            number += 1
        distinct[name] = value
    return distinct


def _walk(message: Mapping[str, object], front: str = "") -> Iterator[tuple[str, object]]:
    """The members of a message and of the objects in it, with their paths."""
    for name, each in message.items():
        if isinstance(each, dict):
            yield from _walk(each, f"{front}{name}.")
        else:
            yield front + name, each
