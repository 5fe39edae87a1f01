"""What all feeders share: they post at a steady pace, rest while nobody looks, and outlive the server."""

import itertools

import pytest
from feeding import PROBE, Feeder, Publisher, Refused, Unreachable, exit_code

from tests.feeders.conftest import Stage
from tests.running import PATIENCE


class Numbers:
    """A source that counts; a number is given until it was taken."""

    def __init__(self) -> None:
        self.next = 1

    def reading(self) -> int:
        return self.next

    def taken(self, watchers: int) -> None:  # noqa: ARG002  # the protocol's
        self.next += 1


class Scripted(Publisher):
    """A publisher without a network: it answers as told, each answer taking `cost` seconds."""

    def __init__(self, answers: "list[int | Exception | None]", clock: "Clock", cost: float = 0.0) -> None:
        super().__init__("http://127.0.0.1:1", "t")
        self.answers = iter(answers)
        self.clock = clock
        self.cost = cost
        self.posted: list[object] = []

    def post(self, value: object) -> int | None:
        answer = next(self.answers, None)
        if isinstance(answer, Exception):
            raise answer
        self.clock.now += self.cost
        if answer is not None:
            self.posted.append(value)
        return answer


class Clock:
    """Time that passes only when somebody sleeps; after `sleeps` of them the person at the terminal presses Ctrl-C."""

    def __init__(self, sleeps: int) -> None:
        self.now = 0.0
        self.left = sleeps
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.slept.append(round(seconds, 6))
        self.now += seconds


def feed(
    answers: "list[int | Exception | None]", *, interval: float = 0.5, cost: float = 0.0
) -> tuple[Scripted, Clock, list[str]]:
    """Run a feeder through these answers; return what it used and what it said."""
    clock = Clock(len(answers) - 1)
    publisher = Scripted(answers, clock, cost)
    said: list[str] = []
    feeder = Feeder(publisher, Numbers(), interval, say=said.append, clock=clock, sleep=clock.sleep)
    assert exit_code(feeder.run) == 0
    return publisher, clock, said


def test_readings_keep_a_steady_pace_however_long_a_post_takes() -> None:
    publisher, clock, _ = feed([1, 1, 1, 1], interval=0.5, cost=0.1)
    assert publisher.posted == [1, 2, 3, 4]
    assert clock.slept == [0.4, 0.4, 0.4]


def test_a_post_that_took_too_long_is_not_caught_up_on_in_a_burst() -> None:
    _, clock, _ = feed([1, 1, 1], interval=0.5, cost=2.0)
    assert clock.slept == [0.0, 0.0]


def test_readings_stay_apart_when_the_machine_wakes_the_feeder_late() -> None:
    clock = Clock(3)
    late = iter([0.49, 0.0, 0.0])
    began: list[float] = []

    class Watched(Numbers):
        def reading(self) -> int:
            began.append(clock.now)
            return super().reading()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        clock.now += next(late)

    publisher = Scripted([1, 1, 1, 1], clock)
    exit_code(Feeder(publisher, Watched(), 0.5, say=lambda _: None, clock=clock, sleep=sleep).run)
    gaps = [round(after - before, 6) for before, after in itertools.pairwise(began)]
    assert gaps == [0.99, 0.25, 0.5], "the second reading would have come 0.01 s after the first"


def test_nobody_looking_is_told_once_and_so_is_the_return_of_a_watcher() -> None:
    publisher, clock, said = feed([1, None, None, None, 2, 2])
    assert said == ["somebody looks at t, feeding", "nobody looks at t, sleeping", "somebody looks at t, feeding again"]
    assert clock.slept == [0.5, PROBE, PROBE, PROBE, 0.5]
    assert publisher.posted == [1, 2, 3], "what was not taken is given again, and nothing is skipped"


def test_asleep_it_never_asks_more_often_than_it_would_feed() -> None:
    _, clock, _ = feed([None, None], interval=10)
    assert clock.slept == [10]


def test_a_server_out_of_reach_is_told_once_and_its_return_too() -> None:
    gone = Unreachable("Connection refused")
    publisher, clock, said = feed([1, gone, gone, 1])
    assert said == [
        "somebody looks at t, feeding",
        "http://127.0.0.1:1 cannot be reached (Connection refused), trying again",
        "somebody looks at t, feeding again",
    ]
    assert clock.slept == [0.5, PROBE, PROBE]
    assert publisher.posted == [1, 2]


def test_a_server_that_is_started_together_with_its_feeder_is_no_alarm() -> None:
    """It is a moment slower. One that is not there after ten seconds is told."""
    gone = Unreachable("Connection refused")
    _, _, said = feed([gone, gone, 1])
    assert said == ["somebody looks at t, feeding"]
    _, _, said = feed([gone] * 9)
    assert said == ["http://127.0.0.1:1 cannot be reached (Connection refused), trying again"]


def test_a_refusal_for_good_ends_the_feeder_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(5)
    feeder = Feeder(
        Scripted([Refused("413 too large")], clock), Numbers(), 1, say=print, clock=clock, sleep=clock.sleep
    )
    assert exit_code(feeder.run) == 1
    assert capsys.readouterr().err == "error: 413 too large\n"


def test_a_message_arrives_as_json_and_the_watchers_are_told(stage: Stage) -> None:
    stage.watchers = 3
    assert Publisher(stage.url, "t").post({"word": "grün", "n": 1.5}) == 3
    assert stage.taken.get(timeout=PATIENCE) == {"word": "grün", "n": 1.5}


def test_many_messages_go_over_one_connection(stage: Stage) -> None:
    publisher = Publisher(stage.url, "t")
    for watchers in itertools.islice(itertools.cycle([1, 0]), 20):
        stage.watchers = watchers
        publisher.post(1)
    publisher.close()
    assert len(stage.paths) == 20
    assert stage.connections == 1


def test_nobody_watching_is_an_answer_and_another_404_an_error(stage: Stage) -> None:
    stage.watchers = 0
    assert Publisher(stage.url, "t").post(1) is None
    stage.refusal = (404, b"<html>no such page on this host")
    with pytest.raises(Refused, match="404"):
        Publisher(stage.url, "t").post(1)


@pytest.mark.parametrize(("status", "error"), [(503, Unreachable), (502, Unreachable), (400, Refused), (413, Refused)])
def test_only_what_may_pass_is_tried_again(stage: Stage, status: int, error: type[Exception]) -> None:
    stage.refusal = (status, b'{"code":"some_code","detail":"A sentence."}')
    with pytest.raises(error, match=f"{status} A sentence"):
        Publisher(stage.url, "t").post(1)


def test_a_restarted_server_costs_a_reconnect_and_not_the_feeder() -> None:
    with Stage() as first:
        publisher = Publisher(first.url, "t")
        assert publisher.post("before") == 1
    with pytest.raises(Unreachable):
        publisher.post("while it is down")
    with Stage(first.port) as second:
        assert publisher.post("after") == 1
        assert second.taken.get(timeout=PATIENCE) == "after"
        publisher.close()


def test_a_topic_keeps_its_segments_and_a_server_its_prefix(stage: Stage) -> None:
    Publisher(f"{stage.url}/behind/a/proxy/", "house/küche 1").post(1)
    assert stage.paths == ["/behind/a/proxy/topics/house/k%C3%BCche%201"]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "", "http://host:port"])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"it looks like http://127\.0\.0\.1:8000"):
        Publisher(url, "t")


def test_what_json_cannot_say_is_never_posted(stage: Stage) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Publisher(stage.url, "t").post(float("nan"))
    assert not stage.paths
