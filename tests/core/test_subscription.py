"""A reader's places in one topic or in several: the same rules, and places that move only where it read."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.classes import Classes, TopicClass
from slosh.core.hub import Hub
from slosh.core.reading import ALL, Filter, Place
from slosh.core.several import PatternSubscription, Room, SeveralTopics
from slosh.core.subscription import Batch, OneTopic, Subscription
from slosh.core.topic import Shared, Topic, Watcher
from slosh.errors import TooManyWatchers
from tests.core.hubs import HubOnLoop, generous
from tests.core.loops import Loop
from tests.properties import PROPERTY
from tests.timing import assert_quick


class Waiting(Watcher):
    """A watcher that counts."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, topic: Topic, shared: Shared) -> None:  # noqa: ARG002 - of the protocol
        self.woken.append(topic.name)

    def moved(self, topic: Topic, successor: Topic) -> None:
        """As the protocol says; each test that meets it says what is due."""


@pytest.fixture
def hub() -> Hub:
    return make_hub()


def make_hub() -> Hub:
    epochs = (f"e{number}" for number in itertools.count())
    return Hub(
        generous(Classes(TopicClass(queue=5, queue_bytes=1000, linger=30.0)), max_topics=10, max_watchers=1),
        new_epoch=lambda: next(epochs),
        wake=lambda: None,
        arm=lambda _: None,
    )


MAKERS: list[Callable[[Hub, Topic, Place], Subscription]] = [
    OneTopic,
    lambda hub, topic, place: SeveralTopics(hub, {topic: place}),
]


@pytest.mark.parametrize("make", MAKERS)
class TestBoth:
    """What holds for one topic and for several alike."""

    def test_all_who_watch_a_life_that_is_lost_wait_on_also_where_fewer_may_by_now(
        self, make: Callable[[Hub, Topic, Place], Subscription], hub: Hub
    ) -> None:
        """One beyond a `max_watchers` that was lowered waited at neither life: it was told of nothing any more."""

        class Moving(Waiting):
            def __init__(self, reader: Subscription) -> None:
                super().__init__()
                self.reader = reader

            def moved(self, topic: Topic, successor: Topic) -> None:
                self.reader.move(topic, successor, self)

        hub.set_bounds(generous(hub.classes, max_watchers=3), 0.0)
        topic = hub.open("a", 0.0)
        readers = [Moving(make(hub, topic, Place(0))) for _ in range(3)]
        for each in readers:
            each.reader.watch(each, 0.0)
        hub.set_bounds(generous(hub.classes, max_watchers=1), 0.0)
        successor = hub.replace(topic, "other", 0.0)
        hub.append(successor, [b"1"], 0.0)
        hub.flush(0.0)
        assert [each.woken for each in readers] == [["a"]] * 3
        with pytest.raises(TooManyWatchers):
            make(hub, successor, Place(0)).watch(Waiting(), 0.0)

    def test_reading_moves_nothing_until_advance_is_told(
        self, hub: Hub, make: Callable[[Hub, Topic, Place], Subscription]
    ) -> None:
        topic = hub.open("a", 0.0)
        subscription = make(hub, topic, Place(0))
        hub.append(topic, [b"1", b"2"], 0.0)
        batch = subscription.read(ALL)
        assert subscription.read(ALL) == batch
        assert subscription.is_behind()
        subscription.advance(batch)
        assert not subscription.is_behind()
        assert subscription.cursor() == batch.cursor
        assert subscription.read(ALL).saw == 0

    def test_the_places_move_by_parts(self, hub: Hub, make: Callable[[Hub, Topic, Place], Subscription]) -> None:
        topic = hub.open("a", 0.0)
        subscription = make(hub, topic, Place(0))
        hub.append(topic, [b"1", b"2", b"3"], 0.0)
        got: list[bytes] = []
        while subscription.is_behind():
            batch = subscription.read(ALL, max_bytes=1)
            got += batch.parts[0][1].messages
            subscription.advance(batch)
        assert got == [b"1", b"2", b"3"]

    def test_a_reset_is_told_once(self, hub: Hub, make: Callable[[Hub, Topic, Place], Subscription]) -> None:
        topic = hub.open("a", 0.0)
        subscription = make(hub, topic, Place(0, reset=True))
        hub.append(topic, [b"1"], 0.0)
        batch = subscription.read(ALL)
        subscription.advance(batch)
        hub.append(topic, [b"2"], 0.0)
        assert [each.parts[0][1].reset for each in (batch, subscription.read(ALL))] == [True, False]

    def test_its_watcher_is_woken_for_what_is_there_and_for_what_comes(
        self, hub: Hub, make: Callable[[Hub, Topic, Place], Subscription]
    ) -> None:
        topic, watcher = hub.open("a", 0.0), Waiting()
        hub.append(topic, [b"1"], 0.0)
        subscription = make(hub, topic, Place(0))
        subscription.watch(watcher, 0.0)
        hub.flush(0.0)
        assert watcher.woken == ["a"]
        hub.append(topic, [b"2"], 0.0)
        hub.flush(0.0)
        assert watcher.woken == ["a", "a"]
        subscription.leave(watcher, 1.0)
        assert hub.watching == 0

    def test_equal_keys_mean_equal_readings(self, hub: Hub, make: Callable[[Hub, Topic, Place], Subscription]) -> None:
        topic = hub.open("a", 0.0)
        hub.append(topic, [b"1"], 0.0)
        places = [Place(0), Place(1), Place(0, reset=True)]
        keys = [make(hub, topic, place).key() for place in places]
        assert len({keys[0], keys[1], keys[2]}) == 3
        assert make(hub, topic, Place(0)).key() == keys[0]
        assert make(hub, hub.open("b", 0.0), Place(0)).key() != keys[0]


@pytest.mark.parametrize("make", MAKERS)
def test_moving_to_the_life_that_began_in_place_of_a_lost_one_tells_of_the_reset(
    hub: Hub, make: Callable[[Hub, Topic, Place], Subscription]
) -> None:
    topic = hub.open("a", 0.0)
    hub.append(topic, [b"1", b"2"], 0.0)
    subscription = make(hub, topic, Place(2))
    watcher = Waiting()
    subscription.watch(watcher, 0.0)
    successor = hub.replace(topic, "other", 1.0)
    subscription.move(topic, successor, watcher)
    assert (list(successor.watchers), subscription.is_reset(), subscription.is_behind()) == ([watcher], True, False)
    hub.append(successor, [b"3"], 1.0)
    hub.flush(0.0)
    assert watcher.woken == ["a"]
    ((_, reading),) = subscription.read(ALL).parts
    assert (reading.reset, reading.messages, reading.lost, str(reading.cursor)) == (True, [b"3"], 0, "other.1")
    subscription.leave(watcher, 2.0)
    assert not successor.watchers


class TestSeveral:
    """What is said of several topics alone."""

    def several(self, hub: Hub, **offsets: int) -> SeveralTopics:
        return SeveralTopics(hub, {hub.open(name, 0.0): Place(offset) for name, offset in offsets.items()})

    def publish(self, hub: Hub, name: str, *messages: bytes) -> None:
        hub.append(hub.open(name, 0.0), messages, 0.0)

    def parts(self, batch: Batch) -> dict[str, list[bytes]]:
        return {name: reading.messages for name, reading in batch.parts}

    def test_only_topics_that_have_something_are_in_it(self, hub: Hub) -> None:
        subscription = self.several(hub, a=0, b=0, c=0)
        self.publish(hub, "c", b"1")
        self.publish(hub, "a", b"2")
        batch = subscription.read(ALL)
        assert self.parts(batch) == {"a": [b"2"], "c": [b"1"]}
        assert batch.cursor == "a=e0.1,b=e1.0,c=e2.1"
        assert batch.saw == 2

    def test_a_place_moves_only_if_its_topic_was_read(self, hub: Hub) -> None:
        subscription = self.several(hub, a=0, b=0)
        self.publish(hub, "a", b"1")
        batch = subscription.read(ALL)
        self.publish(hub, "b", b"2")  # after the reading, before the reader moves on
        subscription.advance(batch)
        assert sorted(subscription.cursor().split(",")) == ["a=e0.1", "b=e1.0"]
        assert self.parts(subscription.read(ALL)) == {"b": [b"2"]}

    def test_the_filter_holds_for_each_topic(self, hub: Hub) -> None:
        subscription = self.several(hub, a=0, b=0)
        self.publish(hub, "a", b"1", b"2")
        self.publish(hub, "b", b"3", b"4")
        assert self.parts(subscription.read(Filter(limit=1))) == {"a": [b"2"], "b": [b"4"]}

    @PROPERTY
    @given(
        lengths=st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4),
        max_bytes=st.integers(1, 200),
        limit=st.integers(0, 3),
        more=st.booleans(),
    )
    def test_a_portion_of_all_topics_together_holds_its_bound_and_none_starves(
        self, lengths: list[list[int]], max_bytes: int, limit: int, more: bool
    ) -> None:
        """Also while the first topic is never done; at the end all have given what they would have at once."""
        hub = make_hub()
        names = [f"t{number}" for number in range(len(lengths))]
        subscription = self.several(hub, **dict.fromkeys(names, 0))
        for name, sizes in zip(names, lengths, strict=True):
            self.publish(hub, name, *(b"x" * size for size in sizes))
        wanted = Filter(limit)
        whole = self.parts(subscription.read(wanted))
        got: dict[str, list[bytes]] = {}
        for _ in range(100):
            if not subscription.is_behind():
                break
            batch = subscription.read(wanted, max_bytes, tells_places=True)
            given = [message for _, reading in batch.parts for message in reading.messages]
            besides = sum(len(name) + 16 for name in names)  # what an event stream says with each message
            assert len(given) == 1 or 0 < sum(map(len, given)) + besides * len(given) <= max_bytes
            for name, reading in batch.parts:
                got.setdefault(name, []).extend(reading.messages)
            subscription.advance(batch)
            if more:
                self.publish(hub, names[0], b"x")
                got.setdefault(names[0], [])
        for name in names[1:] if more else names:
            assert got.get(name, []) == whole.get(name, [])

    def test_its_watcher_waits_at_all_or_at_none(self, hub: Hub) -> None:
        """The room at `b` is taken, so it does not stay at `a` either."""
        self.several(hub, b=0).watch(Waiting(), 0.0)
        with pytest.raises(TooManyWatchers):
            self.several(hub, a=0, b=0, c=0).watch(Waiting(), 0.0)
        assert hub.watching == 1
        hub.expire(31.0)
        assert [topic.name for topic in hub] == ["b"]

    def test_leaving_leaves_all(self, hub: Hub) -> None:
        subscription, watcher = self.several(hub, a=0, b=0), Waiting()
        subscription.watch(watcher, 0.0)
        assert hub.watching == 2
        subscription.leave(watcher, 0.0)
        assert hub.watching == 0


def make_pattern_reader(hub: Hub) -> PatternSubscription:
    """A reader of all topics, who has seen all that there is."""
    places = {topic: Place(topic.last) for topic in hub}
    room = Room(10, 1000, lambda name, cursor: len(name) + len(str(cursor)))
    return PatternSubscription(hub, places, ["*"], room)


def test_to_leave_topics_that_have_ended_counts_as_work(hub: Hub) -> None:
    """Else very many readers that share what they are given leave very many topics in one turn."""
    for number in range(8):
        hub.end(hub.open(f"t/{number}", 0.0))
    reader, waiting = make_pattern_reader(hub), Waiting()
    reader.watch(waiting, 0.0)
    batch = reader.read(ALL)
    room = hub.room
    reader.leave_ended(batch, waiting, 0.0)
    assert room - hub.room >= 8 * 200
    assert hub.watching == 0


def test_very_many_readers_with_very_many_topics_that_have_ended_are_asked_quickly_whether_they_have_room() -> None:
    """Each publish to a new topic asks all whose patterns take it in, where none of those has room."""
    hub = HubOnLoop(Loop(), max_topics=1000)
    over = [hub.get(f"o/{number}") for number in range(200)]
    for topic in over:
        hub.end(topic)
    readers = []
    for _ in range(1000):
        reader = PatternSubscription(hub, {}, ["a/*"], Room(200, 10**6, lambda name, _: len(name)), over)
        reader.watch(Waiting(), 0.0)
        readers.append(reader)
    assert not hub.listeners.is_wanted("a/1")

    def ask() -> None:
        for number in range(10):
            assert not hub.listeners.is_wanted(f"a/{number}")

    assert_quick(ask, 0.1)
    hub.loop.advance(20.0)
    hub.get("o/7")  # as a GET, so that it lingers longer than the others
    hub.loop.advance(20.0)
    hub.turn()
    assert len(hub) == 1
    assert hub.listeners.count_followers("a/1") == 1000
    hub.replace(hub.get("o/7"), "other", hub.loop.now())
    assert all(reader.has_room_for("a/1") for reader in readers)


def test_a_topic_too_many_is_left_out_and_that_is_told_once(hub: Hub) -> None:
    told: list[bool] = []
    room = Room(2, 1000, lambda name, cursor: len(name) + len(str(cursor)))
    reader, waiting = PatternSubscription(hub, {hub.open("a", 0.0): Place(0)}, ["*"], room), Waiting()
    reader.watch(waiting, 0.0)
    reader.on_incomplete(lambda: told.append(reader.is_incomplete()))
    hub.append(hub.open("b", 0.0), [b"1"], 0.0)
    key = reader.key()
    assert (reader.is_incomplete(), reader.read(ALL).incomplete) == (False, False)
    for name in ("c", "d"):
        hub.append(hub.open(name, 0.0), [b"2"], 0.0)
    assert told == [True]
    batch = reader.read(ALL)
    assert ([name for name, _ in batch.parts], batch.incomplete) == (["b"], True)
    assert batch.cursor == "*,a=e0.0,b=e1.1", "what was left out is new to the reader when it returns"
    assert reader.key() != key, "who has all is not given the same answer"


def test_a_life_that_is_lost_is_read_on_once_by_a_reader_of_patterns(hub: Hub) -> None:
    """It is moved there, and then told that the topic was created."""

    class Moving(Waiting):
        def moved(self, topic: Topic, successor: Topic) -> None:
            reader.move(topic, successor, self)

    topic = hub.open("a", 0.0)
    reader = make_pattern_reader(hub)
    reader.watch(Moving(), 0.0)
    successor = hub.replace(topic, "other", 0.0)
    hub.append(successor, [b"1"], 0.0)
    ((name, reading),) = reader.read(ALL).parts
    assert (name, reading.messages, reading.reset) == ("a", [b"1"], True)


def test_a_life_behind_an_end_that_the_store_forgot_is_read_by_a_reader_of_patterns(hub: Hub) -> None:
    topic = hub.open("a", 0.0)
    reader, waiting = make_pattern_reader(hub), Waiting()
    reader.watch(waiting, 0.0)
    hub.end(topic)
    batch = reader.read(ALL)
    reader.advance(batch)
    reader.leave_ended(batch, waiting, 0.0)
    assert reader.cursor() == "*,a=e0.end"
    successor = hub.replace(topic, "other", 0.0)
    hub.append(successor, [b"1"], 0.0)
    ((name, reading),) = reader.read(ALL).parts
    assert (name, reading.messages, reading.reset) == ("a", [b"1"], False)
    assert reader.cursor() == "*,a=other.0"
