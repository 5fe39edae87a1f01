"""A training run: values by step, in a topic of its own, that ends."""

import re
import warnings
from pathlib import Path

import pytest

from slosh.client import Client, run
from slosh.client.errors import BadUse
from slosh.client.log_handler import Handler
from slosh.testing.server import TestingServer
from tests.cases import each_of
from tests.running import PATIENCE


@pytest.mark.slosh(unwatched="keep")
def test_values_have_their_steps_and_the_topic_ends(slosh: TestingServer) -> None:
    with run("train", config={"lr": 0.01, "model": "small"}, client=slosh.client) as training:
        training.log(loss=1.0)
        training.log(loss=0.5, step=10)
        training.log(loss=float("nan"))
    with slosh.client.watch("runs/train", since="earliest", deadline=PATIENCE) as watch:
        assert [item.message for item in watch] == [
            {"config": "lr=0.01, model=small"},
            {"step": 0, "loss": 1.0},
            {"step": 10, "loss": 0.5},
            {"step": 11, "loss": None},
        ]
        assert watch.ended


@pytest.mark.slosh(unwatched="keep", linger=60)
def test_a_second_run_under_the_name_of_one_that_has_ended_is_warned(
    slosh: TestingServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its values are not stored, and whoever looks sees the first run's."""
    with run("again", client=slosh.client) as first:
        first.log(loss=1.0)
    second = run("again", client=slosh.client)
    second.log(loss=2.0)
    assert second.publisher.flush(60.0)
    with pytest.warns(RuntimeWarning, match=r"runs/again.*has ended.*name of its own"):
        second.log(loss=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        second.finish()
    assert second.publisher.refused == 2
    assert not [each for each in caplog.records if each.name.startswith("slosh.client")]


@pytest.mark.slosh(unwatched="keep", max_message=10)
def test_another_name_is_no_remedy_for_another_refusal(slosh: TestingServer) -> None:
    training = run("large", client=slosh.client)
    training.log(text="x" * 100)
    assert training.publisher.flush(60.0)
    with pytest.warns(RuntimeWarning, match="max_message") as warned:
        training.finish()
    assert "name of its own" not in str(warned[0].message)


@each_of("counted", ["sent", "unwatched", "refused"])
def test_where_the_server_answered_what_was_dropped_may_be_the_config_or_a_step(counted: str) -> None:
    with Client("http://127.0.0.1:1", timeout=0.2) as client:
        training = run("away", config={"lr": 0.01}, client=client)
        training.publisher._timeout = 0.0
        assert training._describe(2) == "The config and 1 step of runs/away were"
        setattr(training.publisher, counted, 1)
        assert training._describe(2) == "2 messages of runs/away were"
        training.publisher.close()


def test_a_run_without_a_name_has_that_of_its_time(slosh: TestingServer) -> None:
    training = run(client=slosh.client)
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", training.topic)
    with pytest.raises(BadUse, match="log"):
        training.log()
    training.finish()


@each_of("name", ["x,y", "a/b*", "a//b", "/a", "..", "x" * 255, "a\n"])
def test_a_name_that_no_topic_can_have_is_told_before_the_loop_begins(name: str) -> None:
    with pytest.raises(BadUse, match="topic"):
        run(name, client="http://127.0.0.1:1")
    with pytest.raises(BadUse, match="topic"):
        Handler(f"log/{name}", "http://127.0.0.1:1")


def test_what_nobody_watched_is_told_at_the_end_of_a_run(slosh: TestingServer) -> None:
    """A run whose page was opened late lost its config and its first steps without a word."""
    training = run("alone", client=slosh.client)
    training.log(loss=1.0)
    with pytest.warns(RuntimeWarning, match="Nothing of runs/alone was stored, because nobody watched it"):
        training.finish()
    for config, told in (({"lr": 0.1}, "2 messages of runs/late were"), (None, "1 message of runs/later was")):
        training = run(told.split()[3].removeprefix("runs/"), config=config, client=slosh.client)
        training.log(loss=1.0)
        assert training.publisher.flush(PATIENCE)
        slosh.client.open(training.topic)
        training.log(loss=2.0)
        with pytest.warns(RuntimeWarning) as warned:
            training.finish()
        [said] = [str(each.message) for each in warned]
        assert said.startswith(f"{told} not stored, because nobody watched it then. Open /view/runs/** before")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it is said once
            training.finish()
    slosh.client.open("runs/watched")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with run("watched", client=slosh.client) as training:
            training.log(loss=1.0)


def test_a_server_that_is_away_stops_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    with Client("http://127.0.0.1:1", timeout=0.2) as client:
        training = run("away", client=client)
        training.publisher._timeout = 0.1
        training.log(loss=1.0)
        with pytest.warns(RuntimeWarning, match="1 step of runs/away was not stored"):
            training.finish()
        assert training.publisher.dropped == 1
    assert not [each for each in caplog.messages if "not published" in each], "it is told once"


def test_without_a_server_the_end_tells_what_was_not_stored_and_waits_for_the_publisher_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(Client, "end", lambda _, topic: ended.append(topic))
    training = run("away", client=Client("http://127.0.0.1:1"))
    training.publisher._timeout = 0.2
    training.log(loss=1.0)
    with pytest.warns(RuntimeWarning, match="1 step of runs/away was not stored"):
        training.finish()
    assert ended == []


@each_of(
    ("steps", "has_config", "told"),
    [
        (100, True, "The config and 100 steps of runs/away were not stored"),
        (1, True, "The config and 1 step of runs/away were not stored"),
        (0, True, "The config of runs/away was not stored"),
        (2, False, "2 steps of runs/away were not stored"),
    ],
)
def test_the_config_is_no_step_where_what_was_not_stored_is_told(steps: int, has_config: bool, told: str) -> None:
    """It counted as a value: `101 values` after 100 steps."""
    with Client("http://127.0.0.1:1", timeout=0.2) as client:
        training = run("away", config={"lr": 0.01} if has_config else None, client=client)
        training.publisher._timeout = 0.1
        for _ in range(steps):
            training.log(loss=1.0, accuracy=0.5)
        with pytest.warns(RuntimeWarning) as warned:
            training.finish()
        [said] = [str(each.message) for each in warned]
        assert said.startswith(told)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it is said once
            training.finish()


def test_what_was_dropped_during_the_loop_is_told_at_its_end_too() -> None:
    """It was counted by `dropped`, and left out of what the warning said."""
    with Client("http://127.0.0.1:1", timeout=0.2) as client:
        training = run("away", client=client)
        training.publisher._timeout = 0.1
        training.publisher._max_bytes = 1000
        for _ in range(100):
            training.log(text="x" * 100)
        assert training.publisher.dropped
        with pytest.warns(RuntimeWarning, match="100 steps of runs/away were not stored"):
            training.finish()


@pytest.mark.slosh(unwatched="keep")
def test_the_example_of_the_viewer_fits_what_a_run_publishes(slosh: TestingServer) -> None:
    page = (Path(__file__).parents[2] / "docs/viewer.md").read_text(encoding="utf-8")
    found = re.search(r"training runs, as in `/view/([^?`]+)\?x=(\w+)&only=(\w+)`", page)
    assert found is not None
    pattern, x, path = found.groups()
    with run("shown", client=slosh.client) as training:
        training.log(loss=1.0)
    with slosh.client.watch(pattern, since="earliest", deadline=PATIENCE) as watch:
        message = next(watch).message
    assert isinstance(message, dict)
    assert {x, path} <= message.keys()
