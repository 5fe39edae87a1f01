"""Messages as a data frame: rows in their order, columns by path, times of arrival as index; pandas is optional."""

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

import slosh as package
from slosh.client import BadUse, Item, Unreadable
from slosh.client.dataframe import load, to_dataframe
from slosh.client.protocol import WatchState
from tests.conftest import need
from tests.running import PATIENCE

if TYPE_CHECKING:
    from slosh.testing.server import TestingServer


def item(message: object, topic: str = "kitchen", time: float | None = 1.0) -> Item:
    return Item(message, topic, 1, time, "e.1")


def test_members_are_columns_and_arrival_is_the_index() -> None:
    need("module:pandas")
    frame = to_dataframe([item({"cpu": {"load": 1.5}, "host": "a"}, time=0.25), item({"cpu": {"load": 2}}, time=None)])
    assert sorted(frame.columns) == ["cpu.load", "host"]
    assert frame["cpu.load"].tolist() == [1.5, 2.0]
    assert str(frame.index[0]) == "1970-01-01 00:00:00.250000+00:00"
    assert frame.index.isna().tolist() == [False, True]
    assert frame.index.name == "time"


def test_messages_that_are_no_objects_and_several_topics() -> None:
    need("module:pandas")
    frame = to_dataframe([item(1), item(2.5, "cellar"), item(3)])
    assert frame["value"].tolist() == [1.0, 2.5, 3.0]
    assert frame.loc["kitchen"]["value"].tolist() == [1.0, 3.0]
    assert frame.index.names == ["topic", "time"]
    assert len(to_dataframe([])) == 0


def test_two_members_with_one_path_are_two_columns() -> None:
    """Of two values in one column, one would be lost in silence."""
    need("module:pandas")
    first = {"cpu": {"load": 1, "user": 3}, "cpu.load": 2, "cpu.load (2)": 4}
    frame = to_dataframe([item(first), item({"cpu.load": {"x": 5}, "cpu": {"load.x": 6, "load": {"x": 7}}})])
    assert sorted(frame.columns) == [
        "cpu.load",
        "cpu.load (2)",
        "cpu.load (2) (2)",
        "cpu.load.x",
        "cpu.load.x (2)",
        "cpu.load.x (3)",
        "cpu.user",
    ]
    assert frame.iloc[0].dropna().tolist() == [1.0, 3.0, 2.0, 4.0]
    assert frame.iloc[1].dropna().tolist() == [5.0, 6.0, 7.0]


@pytest.mark.slosh(unwatched="keep")
def test_a_watch_that_ends_is_a_frame(slosh: "TestingServer") -> None:
    need("module:pandas")
    slosh.client.publish_many("kitchen", [{"t": 21.5}, {"t": None}], end=True)
    frame = package.to_dataframe(package.watch("kitchen", since="earliest", deadline=PATIENCE))
    assert frame["t"].tolist()[0] == 21.5
    assert frame["t"].isna().tolist() == [False, True]


def test_a_library_that_is_not_there_is_told_with_what_to_install() -> None:
    with pytest.raises(BadUse, match=r"needs no_such_library: pip install 'slosh-server\[data\]'"):
        load("no_such_library")


def test_numbers_are_exact_and_what_cannot_be_read_is_told() -> None:
    need("module:pandas")
    assert to_dataframe([item(Decimal("1e400"))])["value"].tolist() == [Decimal("1e400")]
    reader = WatchState(["kitchen"], {})
    deep = "[" * 100_000 + "]" * 100_000
    unread = list(reader.event("message", f'{{"time":1,"message":{deep}}}', "aaaaaaaa.1"))
    with pytest.raises(Unreadable, match=r"kitchen before the place aaaaaaaa\.1"):
        to_dataframe([each for each in unread if isinstance(each, Item)])


def test_times_are_whole_milliseconds() -> None:
    need("module:pandas")
    frame = to_dataframe([item(1, time=1795864236.649), item(2, time=None)])
    assert str(frame.index[0]) == "2026-11-28 11:10:36.649000+00:00"
    assert frame.index.isna().tolist() == [False, True]
