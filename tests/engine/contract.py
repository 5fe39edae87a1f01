"""What every engine promises (`slosh/engine/base.py`), as tests.

An engine joins by a subclass of `EngineContract` whose `make` gives a `Harness`. Nothing here assumes when
an engine answers: `settle` lets everything come that is on its way, and time stands still until `advance`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.classes import TopicClass
from slosh.core.cursor import MAX_OFFSET, Cursor
from slosh.core.reading import Earliest, Now, Place, Reading, Since, locate, read
from slosh.core.topic import Shared, Topic, Watcher
from slosh.core.window import Window, work_out_columns
from slosh.engine.base import Engine, Published
from slosh.errors import (
    Draining,
    EngineBusy,
    EngineFailed,
    EngineFull,
    EngineUnreachable,
    MemoryFull,
    NoWatchers,
    SloshError,
    TooManyTopics,
    TooManyWatchers,
    TopicEnded,
)
from tests.properties import STORY

REFUSALS = (EngineUnreachable, EngineBusy, EngineFull, EngineFailed, Draining)
"""Errors that any method may give its callback."""
PUBLISH_REFUSALS = (*REFUSALS, NoWatchers, TopicEnded, MemoryFull, TooManyTopics)
OPEN_REFUSALS = (*REFUSALS, TooManyTopics)


class Harness(ABC):
    """One engine, started, with its hub on virtual time.

    Attributes:
        engine: the engine.
        now: seconds on the clock that the engine and the hub are told.
    """

    engine: Engine
    now: float

    @abstractmethod
    def settle(self) -> None:
        """Let all that is on its way come: answers, mirrored messages, flushes. Time does not go on."""

    @abstractmethod
    def advance(self, seconds: float) -> None:
        """Let time go on, with all that comes due meanwhile."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the engine. Calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # What clients do.

    def publish_soon(
        self, name: str, *messages: bytes, key: str = "", opens: bool = False, ends: bool = False
    ) -> list[Published | SloshError]:
        """Begin a publish; what becomes of it is in the list once it is known."""
        answers: list[Published | SloshError] = []
        self.engine.publish(name, messages, self.now, answers.append, key, opens=opens, ends=ends)
        return answers

    def publish(
        self, name: str, *messages: bytes, key: str = "", opens: bool = False, ends: bool = False
    ) -> Published | SloshError:
        """Publish and wait for what becomes of it."""
        answers = self.publish_soon(name, *messages, key=key, opens=opens, ends=ends)
        self.settle()
        assert len(answers) == 1, "every callback is called exactly once"
        assert isinstance(answers[0], (Published, *PUBLISH_REFUSALS)), "an error that the contract does not name"
        return answers[0]

    def taken(self, name: str, *messages: bytes, key: str = "", opens: bool = False, ends: bool = False) -> Published:
        """Publish what must be taken."""
        answer = self.publish(name, *messages, key=key, opens=opens, ends=ends)
        assert isinstance(answer, Published), answer
        return answer

    def open(self, name: str) -> Topic | SloshError:
        """Open a topic and wait for it."""
        answers: list[Topic | SloshError] = []
        self.engine.open(name, self.now, answers.append)
        self.settle()
        assert len(answers) == 1, "every callback is called exactly once"
        assert isinstance(answers[0], (Topic, *OPEN_REFUSALS)), "an error that the contract does not name"
        return answers[0]

    def opened(self, name: str) -> Topic:
        """Open what must be there."""
        topic = self.open(name)
        assert isinstance(topic, Topic), topic
        return topic

    def look(self, name: str, since: Since | None = None) -> Reading:
        """What a GET with `wait=0` says."""
        topic = self.opened(name)
        return read(topic, locate(topic, since or Earliest(), self.now))


class Poller(Watcher):
    """A client that polls without end: each answer's cursor is the next question's.

    Args:
        harness: the engine it asks.
        name: of the topic.
        since: where it starts.
    """

    def __init__(self, harness: Harness, name: str, since: Since | None = None) -> None:
        self.harness = harness
        self.name = name
        self.since: Since = since or Now()
        self.readings: list[Reading] = []
        self.refused: list[SloshError] = []
        self.topic: Topic | None = None
        self.place = Place(0)
        self.gone = False
        self.ended = 0  # how often it was told so
        self.ask()

    def ask(self) -> None:
        """Send the next request."""
        self.harness.engine.open(self.name, self.harness.now, self._opened)

    def _opened(self, topic: Topic | SloshError) -> None:
        if self.gone:
            return
        if isinstance(topic, SloshError):
            self.refused.append(topic)
            return
        self.topic = topic
        self.place = locate(topic, self.since, self.harness.now)
        try:
            self.harness.engine.hub.watch(topic, self, self.place.offset)
        except SloshError as error:
            self.refused.append(error)

    def wake(self, topic: Topic, shared: Shared) -> None:  # noqa: ARG002 - of the protocol
        """Take the answer and ask for more."""
        self.harness.engine.hub.leave(topic, self, self.harness.now)
        reading = read(topic, self.place)
        self.readings.append(reading)
        self.since = Cursor(reading.epoch, reading.place)
        if reading.ended:
            self.ended += 1
        else:
            self.ask()

    def moved(self, topic: Topic, successor: Topic) -> None:  # noqa: ARG002 - of the protocol
        """Wait on in the life that has begun in place of this one."""
        self.topic, self.place = successor, Place(0, reset=True)
        self.harness.engine.hub.watch(successor, self, 0)

    def go(self) -> None:
        """Go away without a word."""
        self.gone = True
        if self.topic is not None:
            self.harness.engine.hub.leave(self.topic, self, self.harness.now)

    @property
    def got(self) -> list[bytes]:
        """All the messages of all its answers."""
        return [message for reading in self.readings for message in reading.messages]

    @property
    def lost(self) -> int:
        """How many it was told that it missed."""
        return sum(reading.lost for reading in self.readings)


Make = Callable[..., Harness]


class EngineContract(ABC):
    """The suite. Bounds that `make` takes: keep, queue, queue_bytes, linger, max_topics, max_watchers."""

    @abstractmethod
    def make(self, **bounds: Any) -> Harness:
        """A harness with a new, empty engine. The caller must call `stop`."""

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        with self.make() as harness:
            yield harness

    @pytest.fixture
    def keeping(self) -> Iterator[Harness]:
        """An engine with `unwatched = keep`."""
        with self.make(keep=True) as harness:
            yield harness

    # Order, and all or none.

    def test_offsets_count_from_one_without_gaps(self, harness: Harness) -> None:
        harness.opened("a")
        assert [harness.taken("a", b"%d" % number).newest for number in range(1, 6)] == [1, 2, 3, 4, 5]

    def test_the_messages_of_one_publish_stand_next_to_each_other_in_their_order(self, harness: Harness) -> None:
        harness.opened("a")
        answers = [harness.publish_soon("a", *[b"%d%d" % (who, each) for each in range(5)]) for who in range(8)]
        harness.settle()
        newest = [answer.newest for (answer,) in answers if isinstance(answer, Published)]
        assert sorted(newest) == list(range(5, 45, 5))
        messages = harness.look("a").messages
        for who, last in enumerate(newest):
            assert messages[last - 5 : last] == [b"%d%d" % (who, each) for each in range(5)]

    def test_a_publisher_that_waits_sees_its_messages_in_its_order(self, harness: Harness) -> None:
        reader = Poller(harness, "a")
        harness.settle()
        for number in range(20):
            harness.taken("a", b"%d" % number)
        assert reader.got == [b"%d" % number for number in range(20)]

    def test_every_reader_sees_the_one_order(self, harness: Harness) -> None:
        readers = [Poller(harness, "a") for _ in range(5)]
        harness.settle()
        answers = [harness.publish_soon("a", b"%d" % number) for number in range(30)]
        harness.settle()
        ranked = sorted(range(30), key=lambda number: _newest(answers[number]))
        assert all(reader.got == [b"%d" % number for number in ranked] for reader in readers)

    def test_topics_do_not_mix(self, harness: Harness) -> None:
        readers = {name: Poller(harness, name) for name in ("a", "b", "a/b", "A")}
        harness.settle()
        for name in readers:
            assert harness.taken(name, name.encode()).newest == 1
        assert {name: reader.got for name, reader in readers.items()} == {n: [n.encode()] for n in readers}

    def test_messages_come_back_as_the_bytes_that_were_posted(self, harness: Harness) -> None:
        messages = [
            b"null",
            b'"\xc3\xa9\\u00e9\xf0\x9f\x98\x80"',
            b'{ "b" : 1,\n"a":2 }',
            b"9" * 400,
            b"-0",
            b"1E400",
            b'"' + b"x" * 100_000 + b'"',
            b'"\\r\\n\\u0000 $0 *1"',
        ]
        harness.opened("a")
        harness.taken("a", *messages)
        assert harness.look("a").messages == messages

    # Acknowledgement.

    def test_what_was_acknowledged_is_there_for_whoever_comes(self, harness: Harness) -> None:
        harness.opened("a")
        published = harness.taken("a", b"1", b"2")
        assert harness.look("a", Cursor(published.epoch, 0)).messages == [b"1", b"2"]
        assert harness.look("a", Cursor(published.epoch, 1)).messages == [b"2"]
        assert harness.look("a", Cursor(published.epoch, 2)).saw == 0

    def test_the_answer_is_the_cursor_behind_its_messages(self, harness: Harness) -> None:
        topic = harness.opened("a")
        published = harness.taken("a", b"1", b"2")
        assert (published.epoch, published.newest) == (topic.epoch, 2)
        assert 0 < published.newest <= MAX_OFFSET

    def test_a_waiting_reader_is_given_the_message_and_waits_on(self, harness: Harness) -> None:
        reader = Poller(harness, "a")
        harness.settle()
        harness.taken("a", b"1")
        harness.taken("a", b"2")
        assert [reading.messages for reading in reader.readings] == [[b"1"], [b"2"]]
        assert not any(reading.reset or reading.lost for reading in reader.readings)

    def test_a_thousand_waiting_readers_are_all_given_it_once(self, harness: Harness) -> None:
        readers = [Poller(harness, "a") for _ in range(1000)]
        harness.settle()
        assert harness.taken("a", b"1").watchers == 1000
        assert [reader.got for reader in readers] == [[b"1"]] * 1000

    def test_a_full_ring_forgets_the_oldest_and_readers_are_told(self) -> None:
        with self.make(queue=3) as harness:
            epoch = harness.opened("a").epoch
            harness.taken("a", *[b"%d" % number for number in range(10)])
            reading = harness.look("a", Cursor(epoch, 2))
            assert (reading.saw, reading.lost, reading.messages) == (8, 5, [b"7", b"8", b"9"])

    def test_a_ring_is_bounded_in_bytes_too_but_keeps_the_newest(self) -> None:
        with self.make(queue_bytes=10) as harness:
            epoch = harness.opened("a").epoch
            harness.taken("a", b"1" * 4, b"2" * 4, b"3" * 4)
            assert harness.look("a", Cursor(epoch, 0)).messages == [b"2222", b"3333"]
            harness.taken("a", b"4" * 50)
            reading = harness.look("a", Cursor(epoch, 0))
            assert (reading.messages, reading.lost) == ([b"4" * 50], 3)

    def test_an_answer_lost_on_the_wire_is_given_again(self, harness: Harness) -> None:
        epoch = harness.opened("a").epoch
        harness.taken("a", b"1")
        assert harness.look("a", Cursor(epoch, 0)) == harness.look("a", Cursor(epoch, 0))

    # The mailbox rule.

    def test_a_publish_to_a_topic_that_nobody_watches_is_refused_and_leaves_no_trace(self, harness: Harness) -> None:
        assert isinstance(harness.publish("a", b"1"), NoWatchers)
        reading = harness.look("a")
        assert (reading.newest, reading.messages) == (0, [])
        assert harness.taken("a", b"2").newest == 1

    def test_a_topic_lives_on_for_linger_after_its_last_get(self) -> None:
        with self.make(linger=30.0) as harness:
            first = harness.opened("a")
            harness.advance(29.0)
            assert harness.taken("a", b"1").watchers == 0
            harness.advance(1.5)
            assert isinstance(harness.publish("a", b"2"), NoWatchers)
            assert harness.opened("a").epoch != first.epoch

    def test_a_watched_topic_lives_on_for_any_time(self) -> None:
        with self.make(linger=5.0) as harness:
            reader = Poller(harness, "a")
            harness.settle()
            for _ in range(20):
                harness.advance(4.0)
            harness.taken("a", b"1")
            assert reader.got == [b"1"]

    def test_linger_begins_when_the_last_reader_leaves(self) -> None:
        with self.make(linger=5.0) as harness:
            one, other = Poller(harness, "a"), Poller(harness, "a")
            harness.settle()
            one.go()
            harness.advance(100.0)
            assert harness.taken("a", b"1").watchers == 1
            other.go()
            harness.settle()
            harness.advance(4.0)
            assert harness.taken("a", b"2").watchers == 0
            harness.advance(1.5)
            assert isinstance(harness.publish("a", b"3"), NoWatchers)

    def test_without_linger_a_topic_is_there_for_those_who_wait_and_for_nobody_else(self) -> None:
        with self.make(linger=0.0) as harness:
            reader = Poller(harness, "a")
            harness.settle()
            harness.taken("a", b"1")
            harness.taken("a", b"2")
            assert (reader.got, reader.refused) == ([b"1", b"2"], [])
            reader.go()
            harness.advance(2.0)
            assert isinstance(harness.publish("a", b"3"), NoWatchers)

    def test_a_cursor_of_a_former_life_is_told_so(self) -> None:
        """The first life had 1, 2, 3; the second has 1, 2, 3, 4, and 4 is not all that is new."""
        with self.make(linger=5.0) as harness:
            harness.opened("a")
            former = harness.taken("a", b"1", b"2", b"3")
            harness.advance(6.0)
            harness.opened("a")
            harness.taken("a", b"4", b"5", b"6", b"7")
            reading = harness.look("a", Cursor(former.epoch, former.newest))
            assert reading.reset
            assert reading.messages == [b"4", b"5", b"6", b"7"]

    def test_with_keep_a_publish_creates_a_topic(self, keeping: Harness) -> None:
        published = keeping.taken("a", b"1")
        assert (published.newest, published.watchers) == (1, 0)
        assert keeping.look("a", Cursor(published.epoch, 0)).messages == [b"1"]

    def test_with_keep_each_publish_begins_linger_again(self) -> None:
        with self.make(keep=True, linger=5.0) as harness:
            for number in range(5):
                harness.taken("a", b"%d" % number)
                harness.advance(4.0)
            assert len(harness.look("a").messages) == 5
            harness.advance(6.0)
            assert harness.look("a").messages == []

    def test_how_many_watch_is_told(self, harness: Harness) -> None:
        readers = [Poller(harness, "a") for _ in range(3)]
        harness.settle()
        assert harness.taken("a", b"1").watchers == 3
        readers[1].go()
        harness.settle()
        assert harness.taken("a", b"2").watchers == 2

    # Idempotency keys.

    def test_a_publish_that_comes_again_with_its_key_is_taken_once(self, harness: Harness) -> None:
        reader = Poller(harness, "a")
        harness.settle()
        first = harness.taken("a", b"1", b"2", key="k")
        harness.taken("a", b"3")
        again = harness.taken("a", b"1", b"2", key="k")
        assert (first.replayed, again) == (False, first.again())
        assert reader.got == [b"1", b"2", b"3"]

    def test_two_at_once_with_one_key_are_taken_once(self, harness: Harness) -> None:
        harness.opened("a")
        answers = [harness.publish_soon("a", b"1", key="k") for _ in range(5)]
        harness.settle()
        assert sorted(answer.replayed for (answer,) in answers if isinstance(answer, Published)) == [False] + [True] * 4
        assert harness.look("a").messages == [b"1"]

    def test_a_key_holds_for_its_topic_alone(self, harness: Harness) -> None:
        harness.opened("a")
        harness.opened("b")
        assert not harness.taken("a", b"1", key="k").replayed
        assert not harness.taken("b", b"1", key="k").replayed
        assert not harness.taken("a", b"1", key="K").replayed

    def test_a_key_holds_for_five_minutes(self) -> None:
        with self.make(linger=1000.0) as harness:
            harness.opened("a")
            harness.taken("a", b"1", key="k")
            harness.advance(299.0)
            assert harness.taken("a", b"1", key="k").replayed
            harness.advance(2.0)
            assert not harness.taken("a", b"1", key="k").replayed

    def test_what_was_refused_may_try_again_with_its_key(self, harness: Harness) -> None:
        assert isinstance(harness.publish("a", b"1", key="k"), NoWatchers)
        harness.opened("a")
        assert not harness.taken("a", b"1", key="k").replayed

    def test_how_many_were_accepted_is_told(self, harness: Harness) -> None:
        harness.opened("a")
        assert [harness.taken("a", *[b"1"] * count).accepted for count in (1, 3)] == [1, 3]

    # Bounds.

    def test_a_topic_too_many_is_refused_to_readers_and_the_others_live_on(self) -> None:
        with self.make(max_topics=2) as harness:
            harness.opened("a")
            harness.opened("b")
            assert isinstance(harness.open("c"), TooManyTopics)
            assert isinstance(harness.publish("c", b"1"), NoWatchers)
            assert harness.taken("a", b"1").newest == 1

    def test_a_topic_too_many_is_refused_to_publishers_with_keep(self) -> None:
        with self.make(max_topics=1, keep=True) as harness:
            harness.taken("a", b"1")
            assert isinstance(harness.publish("b", b"1"), TooManyTopics)
            assert harness.taken("a", b"2").newest == 2

    def test_a_watcher_too_many_is_refused_and_the_others_wait_on(self) -> None:
        with self.make(max_watchers=2) as harness:
            readers = [Poller(harness, "a") for _ in range(3)]
            harness.settle()
            assert [len(reader.refused) for reader in readers] == [0, 0, 1]
            assert isinstance(readers[2].refused[0], TooManyWatchers)
            harness.taken("a", b"1")
            assert [reader.got for reader in readers] == [[b"1"], [b"1"], []]

    # Registering and reading the backlog are one step.

    def test_no_message_falls_between_opening_and_waiting(self, harness: Harness) -> None:
        """A reader and a publisher at the same time: the reader has the message once, or was not there yet."""
        old = Poller(harness, "a")
        harness.settle()
        epoch = harness.opened("a").epoch
        readers: list[Poller] = []
        for number in range(10):
            readers.append(Poller(harness, "a", Cursor(epoch, number)))
            harness.publish_soon("a", b"%d" % number)
            readers.append(Poller(harness, "a", Cursor(epoch, number)))
            harness.settle()
        assert old.got == [b"%d" % number for number in range(10)]
        for index, reader in enumerate(readers):
            assert reader.got == old.got[index // 2 :]

    def test_a_reader_is_not_answered_with_nothing(self, harness: Harness) -> None:
        """One that asks for what comes from now on, while a message is on its way to others, waits."""
        Poller(harness, "a")
        harness.settle()
        harness.publish_soon("a", b"1")
        late = Poller(harness, "a")
        harness.settle()
        harness.taken("a", b"2")
        assert all(reading.saw for reading in late.readings)
        assert late.got in ([b"2"], [b"1", b"2"])

    def test_what_is_open_already_is_what_open_gives(self, harness: Harness) -> None:
        """At once or not at all; and it begins `linger` again, as any reader does."""
        topic = harness.opened("a")
        harness.taken("a", b"1")
        harness.advance(20.0)
        assert harness.engine.find_open("a", harness.now) in (topic, None)
        assert harness.opened("a") is topic
        harness.advance(20.0)
        assert harness.taken("a", b"2").newest == 2

    def test_what_is_taken_at_once_is_what_publish_takes(self, harness: Harness) -> None:
        """At once or not at all, and then nothing was stored."""
        harness.opened("a")
        harness.taken("a", b"1")
        outcome = harness.engine.accept("a", (b"2", b"3"), harness.now)
        if outcome is not None:
            assert isinstance(outcome, Published)
            assert (outcome.newest, outcome.accepted) == (3, 2)
            assert isinstance(harness.engine.accept("nobody", (b"1",), harness.now), NoWatchers)
        assert harness.taken("a", b"4").newest == (2 if outcome is None else 4)

    # Callbacks.

    def test_ready_once_started(self, harness: Harness) -> None:
        assert harness.engine.ready()

    def test_nothing_is_called_after_stop(self, harness: Harness) -> None:
        harness.opened("a")
        harness.settle()
        answers: list[object] = []
        for _ in range(5):
            harness.engine.publish("a", (b"1",), harness.now, answers.append)
            harness.engine.open("b", harness.now, answers.append)
        harness.stop()
        before = len(answers)
        harness.settle()
        harness.advance(100.0)
        assert len(answers) == before <= 10

    # All of it, in any order.

    @STORY
    @given(data=st.data())
    def test_nothing_is_lost_doubled_or_disordered_whatever_happens_when(self, data: Any) -> None:
        """Readers come and go, publishers publish without waiting, time goes on; then the ledgers are compared."""
        with self.make(queue=data.draw(st.integers(1, 6), "queue"), linger=2.0) as harness:
            pending: list[tuple[list[bytes], list[Published | SloshError]]] = []
            readers: list[Poller] = []
            for number in range(data.draw(st.integers(1, 40), "steps")):
                what = data.draw(st.sampled_from(["read", "publish", "publish", "settle", "settle", "go", "wait"]))
                if what == "read":
                    readers.append(Poller(harness, "a"))
                elif what == "publish":
                    batch = [b"%d.%d" % (number, each) for each in range(data.draw(st.integers(1, 3)))]
                    pending.append((batch, harness.publish_soon("a", *batch)))
                elif what == "go" and readers:
                    data.draw(st.sampled_from(readers)).go()
                else:
                    harness.settle()
                if what == "wait":
                    harness.advance(data.draw(st.sampled_from([0.1, 1.0, 3.0])))
            harness.settle()
            ledger = keep_books(pending)
            for reader in readers:
                check(reader, ledger)

    def test_a_topic_has_the_bounds_of_its_class(self) -> None:
        rules = [TopicClass("gen/**", queue=2, queue_bytes=1000, linger=60.0, keeps=True)]
        with self.make(rules=rules, queue=5, linger=5.0) as harness:
            assert isinstance(harness.publish("other", b"0"), NoWatchers)
            harness.taken("gen/a", b"0")
            harness.opened("other")
            for number in range(6):
                harness.taken("gen/a", b"%d" % number)
                harness.taken("other", b"%d" % number)
            assert harness.look("gen/a").messages == [b"4", b"5"]
            assert harness.look("other").messages == [b"1", b"2", b"3", b"4", b"5"]
            harness.advance(20.0)
            assert isinstance(harness.publish("other", b"6"), NoWatchers)
            assert harness.taken("gen/a", b"6").newest == 8

    def test_the_history_of_a_topic_has_each_message_once_and_tells_the_place_behind_them(self) -> None:
        """With a class from the topic's creation on, without one from what the ring holds."""
        rules = [TopicClass("kept/**", queue=2, queue_bytes=1000, linger=60.0, history=3600.0)]
        with self.make(rules=rules, queue=3) as harness:
            for name, expected in (("kept/a", [*range(6)]), ("other", [1, 2, 3, 4, 5])):
                topic = harness.opened(name)
                poller = Poller(harness, name)
                for number in range(4):
                    harness.taken(name, b'{"x":%d}' % number)
                rollups = harness.engine.hub.begin_history(topic, "")
                for number in range(4, 6):
                    harness.taken(name, b'{"x":%d}' % number)
                harness.settle()
                group = rollups.group("")
                assert group is not None
                (series,) = group.series()
                window = Window(3600.0, 1, topic.latest_wall)
                told = work_out_columns(series, window)[1]
                assert (told["count"], told["min"], told["max"]) == ([len(expected)], [expected[0]], [5.0])
                assert rollups.rolled == topic.last == 6
                poller.gone = True

    def test_messages_leave_when_they_are_as_old_as_the_class_of_their_topic_allows(self) -> None:
        with self.make(rules=[TopicClass("gen/**", queue=9, queue_bytes=1000, linger=600.0, age=10.0)]) as harness:
            first = harness.opened("gen/a").epoch
            for number in range(4):
                harness.taken("gen/a", b"%d" % number)
                harness.advance(4.0)
            old = harness.look("gen/a")
            assert (old.epoch, old.saw, old.lost, old.messages) == (first, 4, 2, [b"2", b"3"])
            harness.advance(30.0)
            empty = harness.look("gen/a")
            assert (empty.epoch, empty.saw, empty.lost, empty.messages) == (first, 4, 4, [])


def keep_books(answered: list[tuple[list[bytes], list[Published | SloshError]]]) -> dict[str, dict[int, bytes]]:
    """What was acknowledged: the message at each offset of each life, without gaps and without doubles."""
    ledger: dict[str, dict[int, bytes]] = {}
    for batch, answers in answered:
        (answer,) = answers
        if isinstance(answer, Published):
            offsets = range(answer.newest - len(batch) + 1, answer.newest + 1)
            life = ledger.setdefault(answer.epoch, {})
            assert not set(life) & set(offsets)
            life.update(zip(offsets, batch, strict=True))
    for life in ledger.values():
        assert sorted(life) == list(range(1, len(life) + 1))
    return ledger


def check(reader: Poller, ledger: dict[str, dict[int, bytes]]) -> None:
    """Hold the answers that one reader got against what was acknowledged, and at the end it has all."""
    place: dict[str, int] = {}
    for reading in reader.readings:
        assert reading.saw == len(reading.messages) + reading.lost > 0
        start = reading.place - reading.saw
        assert place.setdefault(reading.epoch, start) == start
        place[reading.epoch] = reading.place
        assert reading.messages == [ledger[reading.epoch][offset] for offset in reading.offsets]
        assert list(reading.offsets) == list(range(start + reading.lost + 1, reading.place + 1))
    if not reader.gone and reader.readings:
        epoch = reader.readings[-1].epoch
        assert place[epoch] == len(ledger[epoch])


def _newest(answers: list[Published | SloshError]) -> int:
    (answer,) = answers
    assert isinstance(answer, Published)
    return answer.newest
