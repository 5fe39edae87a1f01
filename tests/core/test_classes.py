"""Which class a topic has: that of the first pattern which takes its name in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.classes import DEFAULT, Classes, TopicClass
from slosh.core.patterns import matches
from slosh.core.reading import Earliest, locate, read
from slosh.core.topic import Topic
from tests.cases import each_of
from tests.core.hubs import HubOnLoop, Watching, generous
from tests.core.loops import Loop
from tests.core.test_patterns import NAMES, PATTERNS
from tests.properties import PROPERTY
from tests.timing import assert_quick


def make(pattern: str = DEFAULT, **settings: Any) -> TopicClass:
    values: dict[str, Any] = {"queue": 10, "queue_bytes": 1000, "linger": 30.0}
    return TopicClass(pattern, **(values | settings))


def make_rules() -> tuple[TopicClass, ...]:
    """Each has counts of its own."""
    return make("gen/*/raw", queue=1), make("gen/**", queue=50, linger=60.0), make("alarm", keeps=True)


RULES = make_rules()


@pytest.fixture
def hub() -> HubOnLoop:
    return HubOnLoop(Loop(), queue=10, rules=make_rules())


@each_of(
    ("name", "pattern"),
    [
        ("gen/a/raw", "gen/*/raw"),
        ("gen/a", "gen/**"),
        ("gen/a/raw/b", "gen/**"),
        ("gen", DEFAULT),
        ("alarm", "alarm"),
        ("alarm/x", DEFAULT),
    ],
)
def test_the_first_pattern_that_takes_a_name_in_decides(name: str, pattern: str) -> None:
    assert Classes(make(), RULES).find(name).pattern == pattern


@PROPERTY
@given(st.lists(PATTERNS, max_size=6), NAMES)
def test_the_class_is_that_of_a_look_at_each_rule(patterns: list[str], name: str) -> None:
    rules = [make(pattern) for pattern in patterns]
    default = make()
    expected = next((rule for rule in rules if matches(rule.pattern, name)), default)
    assert Classes(default, rules).find(name) is expected


def test_a_class_among_very_many_is_found_without_a_look_at_each() -> None:
    """A topic that is created, a line of a batch and a reload look for it, a reload for that of each topic."""
    classes = Classes(make(), [make(f"gen/{number}/**") for number in range(2000)])
    assert_quick(lambda: [classes.find(f"gen/{number * 9}/x") for number in range(200)], 0.02)


def test_what_all_classes_have_in_common() -> None:
    classes = Classes(make(linger=5.0), RULES)
    assert classes.longest_linger == 60.0
    assert classes.keeps_some
    assert not Classes(make(), RULES[:2]).keeps_some


def fill(hub: HubOnLoop, name: str, count: int = 60) -> Topic:
    topic = hub.get(name)
    for number in range(count):
        hub.append(topic, [b"%d" % number], hub.loop.now())
    return topic


def test_a_ring_and_its_lingering_are_as_the_class_has_them(hub: HubOnLoop) -> None:
    kept = {name: len(fill(hub, name).after(0)) for name in ("gen/a/raw", "gen/a", "other")}
    assert kept == {"gen/a/raw": 1, "gen/a": 50, "other": 10}
    hub.loop.advance(40.0)
    assert hub.find("gen/a", hub.loop.now()) is not None
    assert hub.find("other", hub.loop.now()) is None


def test_a_message_leaves_the_ring_when_it_is_as_old_as_its_class_allows_and_counts_as_lost() -> None:
    hub = HubOnLoop(Loop(), rules=[make("gen/**", age=10.0)])
    topic, other = hub.get("gen/a"), hub.get("other")
    reader = Watching(hub, topic, 0, stays=True)
    Watching(hub, other, 0, stays=True)
    for _ in range(3):
        hub.post("gen/a", b"1")
        hub.post("other", b"1")
        hub.loop.advance(3.0)
    hub.loop.advance(1.0)
    assert [topic.first, topic.last] == [1, 3]
    hub.loop.advance(0.06)  # The timers have a twentieth of a second.
    assert [topic.first, topic.last] == [2, 3]
    late = read(topic, locate(topic, Earliest(), hub.loop.now()))
    assert (late.saw, late.lost, len(late.messages)) == (3, 1, 2)
    hub.loop.advance(60.0)
    assert (topic.first, topic.last, topic.size) == (4, 3, 0)
    assert hub.fell_off == 3
    assert other.first == 1
    assert reader.waits


def test_a_topic_that_ends_is_not_looked_at_when_its_messages_would_grow_old() -> None:
    hub = HubOnLoop(Loop(), linger=1.0, age=10.0)
    hub.get("a")
    hub.post("a", b"1")
    hub.loop.advance(20.0)
    assert (len(hub), hub.fell_off) == (0, 0)


def test_new_classes_change_rings_in_place_and_reset_nobody(hub: HubOnLoop) -> None:
    topic = fill(hub, "gen/a")
    reader = Watching(hub, topic, 55, stays=True)
    hub.turn()
    assert reader.got == [b"55", b"56", b"57", b"58", b"59"]
    hub.set_bounds(generous(Classes(make(), [make("gen/**", queue=3, age=5.0)])), hub.loop.now())
    assert hub.get("gen/a") is topic
    assert topic.after(0) == [b"57", b"58", b"59"]
    assert hub.fell_off == 10 + 47
    hub.loop.advance(5.1)
    assert topic.after(0) == []
    hub.set_bounds(generous(Classes(make(queue=100))), hub.loop.now())
    fill(hub, "gen/a", 100)
    hub.turn()
    assert len(topic.after(0)) == 100
    assert reader.got[5:] == [b"%d" % number for number in range(100)]
    assert reader.lost == 0


def test_a_class_that_keeps_fewer_bytes_than_before_shortens_its_rings() -> None:
    hub = HubOnLoop(Loop())
    topic = hub.get("a")
    hub.append(topic, [b"x" * 100] * 10, hub.loop.now())
    kind = TopicClass(queue=100, queue_bytes=350, linger=8.0)
    hub.set_bounds(generous(Classes(kind)), hub.loop.now())
    assert (len(topic.after(0)), hub.fell_off) == (3, 7)


def read_again(hub: HubOnLoop, *rules: TopicClass, **default: Any) -> None:
    """Have the hub take new classes, as a server does that is sent SIGHUP."""
    hub.set_bounds(generous(Classes(make(**default), rules)), hub.loop.now())


@pytest.mark.parametrize("age", [10.0, 3600.0])
def test_a_class_that_has_no_age_any_more_keeps_what_its_rings_hold(age: float) -> None:
    hub = HubOnLoop(Loop(), age=age)
    topic = hub.get("a")
    Watching(hub, topic, 1, stays=True)
    hub.post("a", b"1")
    read_again(hub)
    hub.loop.advance(4000.0)
    assert topic.after(0) == [b"1"]


def test_an_age_that_becomes_shorter_holds_for_the_messages_that_are_there() -> None:
    hub = HubOnLoop(Loop(), age=3600.0)
    topic = hub.get("a")
    Watching(hub, topic, 1, stays=True)
    hub.post("a", b"1")
    read_again(hub, age=5.0)
    hub.loop.advance(5.1)
    assert topic.after(0) == []


def test_an_age_that_becomes_longer_holds_for_the_messages_that_are_there() -> None:
    hub = HubOnLoop(Loop(), age=5.0)
    topic = hub.get("a")
    Watching(hub, topic, 1, stays=True)
    hub.post("a", b"1")
    read_again(hub, age=20.0)
    hub.loop.advance(19.9)
    assert topic.after(0) == [b"1"]
    hub.loop.advance(0.2)
    assert topic.after(0) == []


def test_settings_that_are_read_again_and_again_leave_one_deadline_of_each_kind() -> None:
    hub = HubOnLoop(Loop(), age=3600.0)
    Watching(hub, hub.get("a"), 1, stays=True)
    hub.post("a", b"1")
    for number in range(4):
        read_again(hub, age=100.0 * number + 100.0, linger=5.0)
        assert (len(hub.deadlines._aging), len(hub.deadlines)) == (1, 1)


def test_a_topic_is_dropped_when_its_new_time_to_linger_is_over_and_makes_room() -> None:
    """One that waited for an hour before the settings were read again held its place in `max_topics` for that hour."""
    hub = HubOnLoop(Loop(), linger=3600.0)
    reader = Watching(hub, hub.get("a"), 0)
    read_again(hub, linger=1.0)
    reader.leave()
    hub.loop.advance(1.1)
    assert len(hub) == 0


def test_a_topic_that_lingers_keeps_the_time_that_it_had_and_is_dropped_then() -> None:
    hub = HubOnLoop(Loop(), linger=20.0)
    hub.get("a")
    read_again(hub, linger=1.0)
    hub.loop.advance(10.0)
    hub.get("a")
    hub.loop.advance(9.9)
    assert hub.find("a", hub.loop.now()) is not None
    hub.loop.advance(0.2)
    assert len(hub) == 0


def test_every_message_is_counted_for_its_class_and_in_the_sums_whatever_becomes_of_the_class() -> None:
    """Also what falls off because it is too old, or its ring became shorter, and what is gone with the class."""
    hub = HubOnLoop(Loop(), rules=[make("gen/**", age=10.0)], queue=2)
    for name in ("gen/a", "b"):
        Watching(hub, hub.get(name), 9, stays=True)
        hub.post(name, b"1", b"2", b"3")
    (rule,), default = hub.classes.rules, hub.classes.default
    hub.loop.advance(11.0)
    assert [(each.counts.published, each.counts.fell_off) for each in (rule, default)] == [(3, 3), (3, 1)]
    read_again(hub, queue=1)
    hub.post("gen/a", b"4")
    assert hub.classes.default.counts.fell_off == 2
    assert (hub.published, hub.fell_off) == (7, 5)
    read_again(hub, make("gen/**"), queue=1)
    assert hub.classes.rules[0].counts.published == 0
    assert (hub.published, hub.fell_off) == (7, 5)


VERY_MANY = 5000


def very_many(**bounds: Any) -> HubOnLoop:
    """A hub with topics that have five messages each."""
    hub = HubOnLoop(Loop(), max_topics=2 * VERY_MANY, **bounds)
    for number in range(VERY_MANY):
        hub.append(hub.get(f"t/{number}"), [b"12345"] * 5, hub.loop.now())
    hub.turn()
    return hub


def read_very_many_again(hub: HubOnLoop, *rules: TopicClass, **default: Any) -> None:
    hub.set_bounds(generous(Classes(make(**default), rules), max_topics=2 * VERY_MANY), hub.loop.now())


def test_very_many_topics_get_new_bounds_over_several_turns() -> None:
    """All at once would keep everybody waiting; each has all of the bounds of before, or all of the new ones."""
    hub = very_many()
    turns = before = 0
    read_very_many_again(hub, queue=2)
    while hub.flushes_owed:
        done = sum(topic.kind.queue == 2 for topic in hub)
        assert done - before < VERY_MANY / 3, "the work of one turn"
        before = done
        pairs = {(topic.kind.queue, len(topic.after(0))) for topic in hub}
        assert pairs == {(100, 5), (2, 2)} or turns >= 4
        hub.flushes_owed -= 1
        hub.flush(hub.loop.now())
        turns += 1
    assert turns >= 4
    assert {(topic.kind.queue, len(topic.after(0))) for topic in hub} == {(2, 2)}
    assert (hub.fell_off, hub.budget.held) == (3 * VERY_MANY, sum(topic.weight for topic in hub))


def test_while_bounds_are_given_to_very_many_those_whose_time_is_over_make_room() -> None:
    """A server that is always full refused each new topic meanwhile."""
    hub = very_many(linger=10.0)
    hub.loop.advance(9.0)
    for number in range(VERY_MANY):
        hub.get(f"late/{number}")
    hub.turn()
    assert len(hub) == 2 * VERY_MANY
    read_very_many_again(hub, linger=10.0, queue=50)
    assert hub.flushes_owed
    hub.open("new", hub.loop.now() + 2.0)
    assert hub.find("new", hub.loop.now() + 2.0) is not None


def test_no_topic_loses_what_it_may_keep_while_lower_bounds_are_given_to_very_many() -> None:
    """Each was cut down to one message, because all together held more than they may hold in the end."""
    hub = very_many()
    (weight,) = {topic.weight for topic in hub}
    bounds = generous(Classes(make(queue=3)), max_topics=2 * VERY_MANY, max_bytes=VERY_MANY * weight * 4 // 5)
    hub.set_bounds(bounds, hub.loop.now())
    assert hub.flushes_owed
    published = 0
    while hub.flushes_owed:
        hub.append(hub.get(f"new/{published}"), [b"1"], hub.loop.now())
        published += 1
        hub.flushes_owed -= 1
        hub.flush(hub.loop.now())
    assert published > 3
    assert {len(topic.after(0)) for topic in hub if topic.name.startswith("t/")} == {3}
    assert hub.budget.most == bounds.max_bytes


def test_who_asks_for_a_topic_after_a_reload_gets_it_with_the_new_bounds_at_once() -> None:
    """A publisher and a reader, before the turns that it takes to give them to all."""
    hub = very_many()
    Watching(hub, hub.get("t/1"), 5, stays=True)
    read_very_many_again(hub, make("t/2", queue=3), queue=2, keeps=True)
    assert hub.flushes_owed
    for name, kept in (("t/0", 2), ("t/1", 2), ("t/2", 3)):
        topic = hub.find(name, hub.loop.now())
        assert topic is not None
        assert (topic.kind.queue, len(topic.after(0))) == (kept, kept)
        assert hub.get(name) is topic
    successor = hub.replace(hub.get("t/3"), "other", hub.loop.now())
    assert successor.kind.queue == 2
    new = hub.get("new")
    assert new.kind.queue == 2
    hub.turn()
    assert len(hub) == VERY_MANY + 1
    assert {topic.kind.queue for topic in hub} == {2, 3}


def test_a_reload_before_the_one_before_is_done_counts_and_keeps_all() -> None:
    """Also of a class that is gone, while topics of it are there still, and of one that comes back."""
    hub = very_many(rules=[make("t/*", queue=4, queue_bytes=1 << 20)])
    assert (hub.published, hub.fell_off) == (5 * VERY_MANY, VERY_MANY)
    topics = list(hub)
    read_very_many_again(hub, queue=4)
    for topic in topics[:20]:
        hub.append(topic, [b"6"], hub.loop.now())  # as a mirror, which was not asked for by its name
    read_very_many_again(hub, make("t/*", queue=3), queue=9)
    assert (hub.published, hub.fell_off - VERY_MANY) >= (5 * VERY_MANY + 20, 20)
    hub.turn()
    assert {topic.kind for topic in hub} == {hub.classes.rules[0]}
    assert (hub.published, hub.fell_off) == (5 * VERY_MANY + 20, 2 * VERY_MANY + 20)
    hub.loop.advance(40.0)
    hub.turn()
    assert (len(hub), len(hub.deadlines), hub.fell_off) == (0, 0, 2 * VERY_MANY + 20)


def test_deadlines_count_by_the_new_bounds_wherever_a_topic_stood() -> None:
    hub = very_many(linger=1000.0)
    Watching(hub, hub.get("t/0"), 5, stays=True)
    read_very_many_again(hub, linger=1.0, age=5.0)
    hub.turn()
    hub.loop.advance(6.0)
    hub.turn()
    assert all(topic.after(0) == [] for topic in hub)
    hub.get("t/0").watchers.copy().popitem()[0].leave()  # type: ignore[attr-defined]  # those of the tests can
    hub.loop.advance(2.0)
    assert (hub.find("t/0", hub.loop.now()), len(hub)) == (None, VERY_MANY - 1)
    hub.loop.advance(1000.0)
    hub.turn()
    assert (len(hub), len(hub.deadlines)) == (0, 0)


def test_messages_of_very_many_topics_that_grow_old_together_fall_off_some_in_a_turn() -> None:
    """As behind a pause of the machine: those of 20,000 topics took more than a second of one turn."""
    hub = very_many(age=10.0)
    hub.loop.advance(9.0)
    hub.append(hub.get("t/7"), [b"young"], hub.loop.now())
    hub.loop.advance(1.5)
    turns, before = 0, 0
    while hub.flushes_owed:
        assert hub.fell_off - before < VERY_MANY
        before = hub.fell_off
        hub.flushes_owed -= 1
        hub.flush(hub.loop.now())
        turns += 1
    assert turns > 5
    assert hub.fell_off == 5 * VERY_MANY
    assert hub.get("t/7").after(0) == [b"young"]
    hub.loop.advance(10.0)
    hub.turn()
    assert hub.get("t/7").after(0) == []


def test_an_age_that_a_reload_takes_away_holds_no_more_for_topics_whose_turn_had_not_come() -> None:
    hub = very_many(age=10.0)
    hub.loop.advance(10.5)
    assert 0 < hub.fell_off < 5 * VERY_MANY
    before = hub.fell_off
    read_very_many_again(hub)
    hub.turn()
    hub.loop.advance(20.0)
    hub.turn()
    assert hub.fell_off == before
