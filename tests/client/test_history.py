"""A history as columns, by both clients, and the reading on from its place."""

import asyncio
import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

import pytest

from slosh.client import AsyncClient, BadUse, Client, History, Refused
from slosh.client.history import history_query, read_history
from slosh.client.request import watchers_query
from tests.conftest import need
from tests.e2e.server import Serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server"), "--unwatched=keep") as serving:
        yield serving.url


def test_the_columns_have_a_time_for_each_element_and_reading_goes_on_behind_them(server: str) -> None:
    with Client(server) as client:
        client.publish_many("a", [{"host": "web1", "t": 1}, {"host": "web1", "t": 3}, {"host": "web2", "t": 7}])
        past = client.history("a", "1h", points=6, paths=["t"], by="host")
        client.publish("a", 4)
        with client.watch("a", since=past.next) as watch:
            assert next(watch).message == 4
    assert len(past.times) == 6
    assert past.times[1] - past.times[0] == past.step == 600.0
    assert [(each.path, each.by, each.count[-1], each.max[-1]) for each in past.series] == [
        ("t", "web1", 2, 3),
        ("t", "web2", 1, 7),
    ]
    assert past.series[0].mean == [None] * 5 + [2.0]
    assert (past.unlisted, past.missed) == (0, 0)
    assert past.times[-1] < past.known_from


def test_the_client_with_a_loop_has_the_same(server: str) -> None:
    async def work() -> History:
        async with AsyncClient(server) as client:
            await client.publish("b", 5)
            return await client.history("b", 60, points=60)

    (series,) = asyncio.run(work()).series
    assert (series.path, series.by, sum(series.count)) == ("", None, 1)


def test_more_than_is_kept_is_refused_in_words(server: str) -> None:
    with Client(server) as client, pytest.raises(Refused, match="3600 s at most"):
        client.history("a", "1d")


def test_all_that_is_kept_is_a_span_too(server: str) -> None:
    with Client(server) as client:
        for span in ("all", "1d,all"):
            assert len(client.history("a", span).times) == 600  # of six seconds each


def test_what_an_answer_leaves_out_is_nothing() -> None:
    told = {"from": 0, "to": 2000, "step": 1000, "max": 0, "next": "e.0", "series": []}
    assert read_history(told) == History([0.0, 1.0], 1.0, [], "e.0", 0.0, 0, 0)
    with pytest.raises(BadUse, match="several paths"):
        history_query("1h", 600, "cpu", "")


def test_columns_are_arrays_and_frames_with_nan_where_no_number_came() -> None:
    need("module:numpy")
    need("module:pandas")
    series: list[dict[str, Any]] = [
        {"path": "", "by": None, "count": [0, 2], "min": [None, 1], "max": [None, 3], "mean": [None, 2.0]},
        {"path": "t", "by": "web1", "count": [1, 0], "min": [5, None], "max": [5, None], "mean": [5, None]},
    ]
    past = read_history({"from": 1000, "to": 3000, "step": 1000, "max": 0, "next": "e.0", "series": series})
    times, columns = past.to_arrays()
    assert times.tolist() == [dt.datetime(1970, 1, 1, 0, 0, second) for second in (1, 2)]  # noqa: DTZ001 - as numpy has it
    assert {name: str(column.dtype) for name, column in columns.items()} == {"value": "float64", "t web1": "float64"}
    assert [math.isnan(number) for number in columns["value"]] == [True, False]
    assert past.to_arrays("max")[1]["value"][1] == 3.0
    frame = past.to_dataframe("count")
    assert frame["t web1"].tolist() == [1.0, 0.0]
    assert str(frame.index[0]) == "1970-01-01 00:00:01+00:00"
    named = [{**series[0], "path": path} for path in ("", "value", "value (2)", "value")]
    told = {"from": 1000, "to": 3000, "step": 1000, "max": 0, "next": "e.0", "series": named}
    columns = read_history(told).to_arrays()[1]
    assert list(columns) == ["value", "value (2)", "value (2) (2)", "value (3)"], "no series takes the place of another"
    with pytest.raises(BadUse, match="mean, min, max or count"):
        past.to_arrays("median")  # type: ignore[arg-type]  # that is the mistake


@pytest.mark.parametrize("span", [math.nan, math.inf, -1.0, 1e10, True])
def test_a_span_that_is_no_time_is_not_sent(span: float) -> None:
    with pytest.raises(BadUse, match="span is a number of seconds"):
        history_query(span, 60, (), "")


def test_a_long_span_is_written_without_an_exponent() -> None:
    assert history_query(20 * 86400.0, 60, (), "")["history"] == "1728000"


@pytest.mark.parametrize("wait", [math.nan, math.inf, -1.0])
def test_a_wait_that_is_no_time_is_not_sent(wait: float) -> None:
    with pytest.raises(BadUse, match="wait is a number of seconds"):
        watchers_query(wait)
    assert watchers_query(2e6) == {"watchers": "", "wait": "2000000"}
