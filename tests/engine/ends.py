"""What every engine promises of topics that publishers open and end; a part of the contract."""

import pytest

from slosh.core.cursor import Cursor
from slosh.core.reading import Earliest
from slosh.core.topic import Topic
from slosh.engine.base import Published, TopicFacts
from slosh.errors import NoWatchers, SloshError, TooManyTopics, TopicEnded
from tests.core.hubs import Roomy
from tests.engine.contract import EngineContract, Harness, Poller


class Following(Roomy):
    """Reads by a pattern: watches what is created, and has all of it."""

    def __init__(self, harness: Harness, pattern: str) -> None:
        self.harness = harness
        self.pollers: list[Poller] = []
        gathered: list[SloshError | None] = []
        harness.engine.gather([pattern], harness.now, gathered.append)
        harness.settle()
        assert gathered == [None]
        harness.engine.hub.listeners.follow(pattern, self)

    def topic_created(self, topic: Topic) -> None:
        """As a follower."""
        self.pollers.append(Poller(self.harness, topic.name, Earliest()))


class EndsContract(EngineContract):
    """The whole contract, with ends and openings."""

    # The end.

    def test_a_reader_is_given_the_last_message_then_the_end(self, harness: Harness) -> None:
        reader = Poller(harness, "a")
        harness.settle()
        harness.taken("a", b"1")
        published = harness.taken("a", b"2", b"3", ends=True)
        assert (published.newest, published.accepted, published.watchers) == (3, 2, 1)
        assert (reader.got, reader.ended, reader.refused) == ([b"1", b"2", b"3"], 1, [])

    def test_a_topic_ends_without_a_message_too(self, harness: Harness) -> None:
        reader = Poller(harness, "a")
        harness.settle()
        assert harness.taken("a", ends=True).accepted == 0
        assert (reader.got, reader.ended) == ([], 1)

    def test_everybody_is_told_once(self, harness: Harness) -> None:
        readers = [Poller(harness, "a") for _ in range(300)]
        harness.settle()
        harness.taken("a", b"1", ends=True)
        assert {(reader.ended, tuple(reader.got)) for reader in readers} == {(1, (b"1",))}

    def test_a_late_reader_is_given_the_whole_and_the_end(self, harness: Harness) -> None:
        harness.opened("a")
        epoch = harness.taken("a", b"1").epoch
        harness.taken("a", b"2", ends=True)
        for since in (None, Cursor(epoch, 0)):
            reading = harness.look("a", since)
            assert (reading.messages, reading.ended, reading.reset) == ([b"1", b"2"], True, False)
        assert harness.look("a", Cursor(epoch, 2)).ended

    @pytest.mark.parametrize(("opens", "ends"), [(False, False), (False, True), (True, False), (True, True)])
    def test_nothing_comes_after_the_end(self, harness: Harness, opens: bool, ends: bool) -> None:
        harness.opened("a")
        harness.taken("a", b"1", ends=True)
        assert isinstance(harness.publish("a", b"2", opens=opens, ends=ends), TopicEnded)
        assert harness.look("a").messages == [b"1"]

    def test_an_end_without_a_message_may_be_repeated(self, harness: Harness) -> None:
        harness.opened("a")
        first = harness.taken("a", ends=True)
        assert harness.taken("a", ends=True) == first
        assert harness.engine.hub.finished == 1

    def test_of_many_ends_at_once_one_is_taken(self, harness: Harness) -> None:
        reader = Poller(harness, "a")
        harness.settle()
        answers = [harness.publish_soon("a", b"%d" % number, ends=True) for number in range(8)]
        harness.settle()
        taken = [number for number in range(8) if isinstance(answers[number][0], Published)]
        assert len(taken) == 1
        assert (reader.got, reader.ended) == ([b"%d" % taken[0]], 1)

    def test_what_is_not_active_cannot_end(self, harness: Harness) -> None:
        assert isinstance(harness.publish("a", b"1", ends=True), NoWatchers)
        assert isinstance(harness.publish("a", ends=True), NoWatchers)
        reading = harness.look("a")
        assert (reading.newest, reading.ended) == (0, False)

    def test_an_ended_topic_lingers_and_then_its_name_is_free(self) -> None:
        with self.make(linger=5.0) as harness:
            first = harness.opened("a").epoch
            harness.taken("a", b"1", ends=True)
            harness.advance(4.0)
            assert harness.look("a").messages == [b"1"]
            harness.advance(4.0)
            assert isinstance(harness.publish("a", b"2"), TopicEnded), "it lingers from its last reader on"
            harness.advance(1.5)
            assert isinstance(harness.publish("a", b"2"), NoWatchers)
            assert harness.opened("a").epoch != first
            assert harness.taken("a", b"2").newest == 1
            assert not harness.look("a").ended

    def test_readers_of_patterns_that_return_do_not_let_an_ended_topic_linger(self) -> None:
        """Its end was given to them. Else very many such topics would be active, and in their places, for ever."""
        with self.make(linger=5.0) as harness:
            harness.opened("s/1")
            harness.taken("s/1", b"1", ends=True)
            for _ in range(4):
                gathered: list[SloshError | None] = []
                harness.engine.gather(["s/*"], harness.now, gathered.append)
                harness.settle()
                assert gathered == [None]
                harness.advance(2.0)
            assert isinstance(harness.publish("s/1", b"2"), NoWatchers)
            assert not list(harness.engine.hub)

    def test_with_keep_too(self) -> None:
        with self.make(keep=True, linger=5.0) as harness:
            assert isinstance(harness.publish("a", ends=True), NoWatchers)
            assert harness.taken("a", b"1", ends=True).newest == 1
            for _ in range(4):
                harness.advance(1.0)
                assert isinstance(harness.publish("a", b"2"), TopicEnded)
            harness.advance(1.5)
            again = harness.taken("a", b"2")
            assert again.newest == 1, "what was refused does not make it linger on"
            assert not harness.look("a").ended

    def test_an_end_that_comes_again_with_its_key_is_answered_as_the_first_time(self, harness: Harness) -> None:
        harness.opened("a")
        first = harness.taken("a", b"1", key="k", ends=True)
        assert first.ended
        assert harness.taken("a", b"1", key="k", ends=True) == first.again()

    def test_a_key_that_comes_again_with_another_kind_of_request_is_answered_as_the_first_time(
        self, harness: Harness
    ) -> None:
        """So whether the topic ended is said as it was, whatever the second request wants."""
        harness.opened("a")
        first = harness.taken("a", b"1", b"2", key="publish")
        assert not first.ended
        assert harness.taken("a", key="publish", ends=True) == first.again()
        assert harness.taken("a", b"3", key="publish", ends=True) == first.again()
        assert not harness.look("a").ended
        last = harness.taken("a", b"3", key="end", ends=True)
        assert last.ended
        assert harness.taken("a", b"4", key="end") == last.again()
        assert harness.taken("a", key="end", opens=True) == last.again()
        assert harness.taken("a", ends=True).ended

    def test_the_list_says_which_topics_have_ended(self, harness: Harness) -> None:
        harness.opened("a")
        harness.opened("b")
        harness.taken("b", b"1", ends=True)
        told: list[list[TopicFacts]] = []
        harness.engine.list_topics("", 10, harness.now, told.append)  # type: ignore[arg-type]  # no error comes
        harness.settle()
        assert [(facts.name, facts.ended) for facts in told[0]] == [("a", False), ("b", True)]

    def test_a_look_sees_the_end(self, harness: Harness) -> None:
        harness.opened("a")
        harness.taken("a", b"1", ends=True)
        looked: list[object] = []
        harness.engine.look("a", harness.now, looked.append, fresh=True)
        harness.settle()
        assert isinstance(looked[0], Topic)
        assert looked[0].ended

    def test_readers_of_a_pattern_get_what_is_created_and_ends_at_once(self, harness: Harness) -> None:
        following = Following(harness, "gen/*")
        assert isinstance(harness.publish("gen/1", ends=True), NoWatchers)
        harness.taken("gen/1", b"1", ends=True)
        (poller,) = following.pollers
        assert (poller.got, poller.ended) == ([b"1"], 1)

    def test_who_sleeps_until_a_topic_is_watched_sleeps_on_when_one_reads_an_ended_one(self, harness: Harness) -> None:
        harness.opened("a")
        harness.taken("a", ends=True)
        woken: list[int] = []

        class Sleeper:
            def topic_watched(self, watchers: int) -> None:
                woken.append(watchers)

        harness.engine.expect("a", Sleeper())
        harness.settle()
        reader = Poller(harness, "a")
        harness.settle()
        assert (reader.ended, woken) == (1, [])

    # Opening.

    def test_an_opened_topic_is_active_for_linger_without_a_reader(self) -> None:
        with self.make(linger=5.0) as harness:
            assert harness.taken("a", b"1", opens=True) == Published(harness.look("a").epoch, 1, 0)
            harness.advance(4.0)
            harness.taken("a", b"2")
            harness.advance(1.5)
            assert isinstance(harness.publish("a", b"3"), NoWatchers), "a producer that is never read learns it"

    def test_a_reader_that_comes_in_time_has_all(self, harness: Harness) -> None:
        harness.taken("a", opens=True)
        harness.taken("a", b"1")
        harness.advance(10.0)
        assert harness.look("a").messages == [b"1"]
        assert harness.engine.hub.opened == 1

    def test_a_topic_may_be_opened_again_and_lingers_again(self) -> None:
        with self.make(linger=5.0) as harness:
            first = harness.taken("a", b"1", opens=True)
            harness.advance(4.0)
            second = harness.taken("a", b"2", opens=True)
            assert (second.epoch, second.newest) == (first.epoch, 2)
            harness.advance(4.0)
            assert harness.taken("a", b"3").newest == 3
            assert harness.engine.hub.opened == 1

    def test_one_may_open_and_end_in_one_step(self, harness: Harness) -> None:
        assert harness.taken("a", b"1", opens=True, ends=True).newest == 1
        reading = harness.look("a")
        assert (reading.messages, reading.ended) == ([b"1"], True)

    def test_an_opened_topic_counts(self) -> None:
        with self.make(max_topics=1) as harness:
            harness.taken("a", opens=True)
            harness.settle()
            assert isinstance(harness.publish("b", b"1", opens=True), TooManyTopics)
            assert isinstance(harness.publish("b", b"1"), NoWatchers)
