"""The bound over everything: what all rings take is counted to the byte, and is never more than `max_bytes`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.core.classes import Classes, TopicClass
from slosh.core.portions import WORK
from slosh.core.topic import EACH, Topic
from slosh.engine.memory import MemoryEngine
from slosh.errors import MemoryFull
from tests.core.hubs import HubOnLoop, Watching, generous
from tests.core.loops import Loop
from tests.properties import PROPERTY

NAMES = st.sampled_from(["a", "b", "c", "d"])
OPENERS = {"a": "one", "b": "one", "c": "other", "d": ""}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("post"), NAMES, st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4)),
        st.tuples(st.just("mirror"), NAMES, st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4)),
        st.tuples(st.just("watch"), NAMES),
        st.tuples(st.just("leave"), NAMES),
        st.tuples(st.just("replace"), NAMES),
        st.tuples(st.just("skip"), NAMES),
        st.tuples(st.just("advance"), st.floats(0, 9)),
        st.tuples(st.just("bounds"), st.integers(1, 9), st.integers(400, 2000)),
    ),
    max_size=30,
)


@PROPERTY
@given(STEPS)
def test_whatever_happens_what_is_held_is_the_sum_of_all_rings_and_within_the_bound(steps: Any) -> None:
    loop = Loop()
    hub = HubOnLoop(loop, queue=5, linger=8.0, age=6.0, max_bytes=1000)
    engine = MemoryEngine(hub, max_keys=10_000, wall=loop.now)
    watching: dict[str, Watching] = {}
    for what, *about in steps:
        name = str(about[0])
        hub.opener = OPENERS.get(name, "")
        if what == "advance":
            loop.advance(about[0])
        elif what == "bounds":
            default = TopicClass(queue=about[0], queue_bytes=about[1], linger=8.0, age=6.0)
            hub.set_bounds(generous(Classes(default), max_bytes=1000), loop.now())
        elif what == "post":
            hub.get(name)
            engine.accept(name, about[1], loop.now())
        elif what == "mirror":
            hub.mirror(hub.get(name), about[1], loop.now())
        elif what == "watch" and name not in watching:
            topic = hub.get(name)
            watching[name] = Watching(hub, topic, topic.last, stays=True)
        elif what == "leave" and name in watching:
            watching.pop(name).leave()
        elif what == "replace":
            hub.replace(hub.get(name), "other", loop.now())
        elif what == "skip":
            topic = hub.get(name)
            hub.skip_to(topic, topic.last + 3)
        hub.turn()
        assert hub.budget.held == sum(topic.weight for topic in hub)
        assert {opener: (share.held, set(share.topics)) for opener, share in hub.shares.by_opener.items()} == shares(
            hub
        )
        # One message of each topic may stay, whatever its size, where it could not be refused.
        assert hub.budget.held <= 1000 or all(topic.last - topic.first < 1 for topic in hub if not topic.watchers)


def shares(hub: HubOnLoop) -> dict[str, tuple[int, set[Topic]]]:
    """What each client has, counted slowly."""
    found: dict[str, tuple[int, set[Topic]]] = {}
    for topic in hub:
        held, topics = found.get(OPENERS[topic.name], (0, set()))
        found[OPENERS[topic.name]] = (held + topic.weight, {*topics, topic})
    return found


def fill(hub: HubOnLoop, name: str, count: int, size: int = 100 - EACH) -> None:
    for _ in range(count):
        hub.append(hub.get(name), [b"x" * size], hub.loop.now())


def take(hub: HubOnLoop, name: str) -> object:
    return MemoryEngine(hub, max_keys=10_000).accept(name, [b"x" * (100 - EACH)], hub.loop.now())


def test_rings_that_nobody_watches_are_shortened_first_and_those_that_are_watched_never() -> None:
    hub = HubOnLoop(Loop(), max_bytes=1000)
    watched, idle = hub.get("watched"), hub.get("idle")
    Watching(hub, watched, 0, stays=True)
    fill(hub, "watched", 4)
    fill(hub, "idle", 6)
    for freed in range(1, 6):
        assert not isinstance(take(hub, "watched"), MemoryFull)
        assert (len(watched.after(0)), len(idle.after(0)), hub.reclaiming.fell_off) == (4 + freed, 6 - freed, freed)
    refused = take(hub, "watched")
    assert isinstance(refused, MemoryFull)
    assert "max_bytes" in refused.detail
    assert (len(watched.after(0)), len(idle.after(0)), hub.budget.held) == (9, 1, 1000)


def test_a_post_that_does_not_grow_its_ring_is_taken_when_memory_is_full() -> None:
    hub = HubOnLoop(Loop(), queue=10, max_bytes=1000)
    topic = hub.get("a")
    Watching(hub, topic, 0, stays=True)
    fill(hub, "a", 10)
    assert hub.budget.held == hub.budget.most
    assert not isinstance(take(hub, "a"), MemoryFull)
    assert (topic.last, hub.budget.held) == (11, 1000)


def test_rings_are_shortened_in_turn_and_not_the_same_one_again_and_again() -> None:
    hub = HubOnLoop(Loop(), max_bytes=3000)
    Watching(hub, hub.get("watched"), 0, stays=True)
    for name in ("a", "b", "c"):
        fill(hub, name, 10)
    for _ in range(3):
        take(hub, "watched")
    assert [len(hub.get(name).after(0)) for name in ("a", "b", "c")] == [9, 9, 9]


def test_a_hub_that_has_nothing_to_shorten_does_not_look_for_it_with_each_post() -> None:
    """Else a full server would spend its time on those that it refuses."""
    hub = HubOnLoop(Loop(), max_bytes=1000)
    watching = [Watching(hub, hub.get(name), 0, stays=True) for name in ("a", "b")]
    for name in ("a", "b"):
        fill(hub, name, 5)
    assert isinstance(take(hub, "a"), MemoryFull)
    watching[1].leave()  # There is something now, which is not looked for in this moment.
    assert isinstance(take(hub, "a"), MemoryFull)
    hub.loop.advance(1.0)
    assert not isinstance(take(hub, "a"), MemoryFull)


def fill_for(hub: HubOnLoop, opener: str, name: str, count: int) -> Watching:
    """A client creates a topic, watches it, and fills it with messages that count 100 bytes each."""
    hub.opener = opener
    watching = Watching(hub, hub.get(name), 0, stays=True)
    hub.opener = ""
    for _ in range(count):
        assert not isinstance(take(hub, name), MemoryFull)
    return watching


def kept(hub: HubOnLoop, *names: str) -> list[int]:
    return [len(hub.get(name).after(0)) for name in names]


class TestOneClient:
    """A client that watches topics of its own cannot keep all memory from the others."""

    def test_it_gives_way_to_one_that_has_less_than_its_part(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=2000)
        fill_for(hub, "greedy", "g", 20)
        fill_for(hub, "modest", "m", 10)
        assert kept(hub, "g", "m") == [10, 10]
        assert isinstance(take(hub, "m"), MemoryFull), "beyond its part it takes nothing from the other"
        assert isinstance(take(hub, "g"), MemoryFull)
        assert (hub.budget.held, hub.fell_off) == (2000, 10)

    def test_beyond_its_part_a_client_takes_nothing_though_another_has_much_more(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=3000)
        fill_for(hub, "greedy", "g", 20)
        fill_for(hub, "third", "t", 0)
        fill_for(hub, "modest", "m", 10)
        assert isinstance(take(hub, "m"), MemoryFull)
        assert not isinstance(take(hub, "t"), MemoryFull)
        assert kept(hub, "g", "t", "m") == [19, 1, 10]

    def test_its_reader_is_told_of_what_it_had_not_read(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=2000)
        slow = fill_for(hub, "greedy", "g", 20)
        fill_for(hub, "modest", "m", 5)
        hub.turn()
        assert (len(slow.got), slow.lost) == (15, 5)

    def test_all_its_topics_give_way_in_turn_and_no_other_client_does(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=3000)
        fill_for(hub, "third", "t", 6)
        for name in "abc":
            fill_for(hub, "greedy", name, 8)
        fill_for(hub, "modest", "m", 6)
        assert kept(hub, "a", "b", "c", "t", "m") == [6, 6, 6, 6, 6]

    def test_the_heaviest_gives_way_first(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=4000)
        fill_for(hub, "heavy", "h", 15)
        fill_for(hub, "heavier", "i", 25)
        fill_for(hub, "modest", "m", 10)
        assert kept(hub, "h", "i", "m") == [15, 15, 10]

    def test_newest_messages_never_give_way(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=1000)
        for number in range(10):
            fill_for(hub, "greedy", f"g/{number}", 1)
        hub.opener = "modest"
        topic = hub.get("m")
        hub.opener = ""
        Watching(hub, topic, 0, stays=True)
        assert isinstance(take(hub, "m"), MemoryFull)
        assert kept(hub, *(f"g/{number}" for number in range(10))) == [1] * 10

    def test_where_its_rings_do_not_suffice_histories_of_its_topics_end(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=60_000)
        hub.opener = "greedy"
        topic = hub.get("g")
        hub.opener = ""
        Watching(hub, topic, 0, stays=True)
        hub.begin_history(topic, "")
        hub.append(topic, [b'{"x":1,"y":2}'], hub.loop.now(), 1000)
        hub.turn()
        held = topic.share.held
        assert held > topic.weight, "a history counts for its topic's client"
        hub.budget.most = 2 * held - 600
        fill_for(hub, "modest", "m", (held - 300) // 100)
        assert topic.rollups is None
        assert topic.share.held == topic.weight

    def test_clients_that_no_address_tells_apart_take_and_do_not_give(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=2000)
        fill_for(hub, "greedy", "g", 20)
        fill_for(hub, "", "local", 10)
        assert kept(hub, "g", "local") == [10, 10]
        hub = HubOnLoop(Loop(), max_bytes=2000)
        fill_for(hub, "", "local", 20)
        hub.opener = "modest"
        hub.get("m")
        hub.opener = ""
        assert isinstance(take(hub, "m"), MemoryFull)
        assert kept(hub, "local") == [20]

    def test_a_topic_that_is_about_to_be_created_is_one_of_its_client(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=2000, keeps=True)
        fill_for(hub, "greedy", "g", 20)
        for opener, taken in (("greedy", False), ("modest", True)):
            hub.opener = opener
            assert isinstance(take(hub, f"new/{opener}"), MemoryFull) is not taken
        assert list(hub.shares.by_opener) == ["greedy", "modest"], "what was refused leaves nothing behind"

    def test_a_client_whose_rings_have_nothing_to_give_is_not_gone_over_with_each_post(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=1000)
        for number in range(10):
            fill_for(hub, "greedy", f"g/{number}", 1)
        hub.opener = "modest"
        Watching(hub, hub.get("m"), 0, stays=True)
        hub.opener = ""
        assert isinstance(take(hub, "m"), MemoryFull)
        assert not hub.reclaiming._heavy, "it is not asked again"
        hub.budget.most = 2000
        hub.append(hub.get("g/0"), [b"x" * (100 - EACH)], hub.loop.now())
        hub.budget.most = hub.budget.held
        assert isinstance(take(hub, "m"), MemoryFull), "there is something now, which is not looked for in this moment"
        hub.loop.advance(1.0)
        assert not isinstance(take(hub, "m"), MemoryFull)

    def test_mirrors_of_a_client_that_has_less_are_not_cut_back_for_one_that_has_more(self) -> None:
        hub = HubOnLoop(Loop(), max_bytes=2000)
        fill_for(hub, "greedy", "g", 20)
        fill_for(hub, "modest", "m", 0)
        for _ in range(5):
            hub.mirror(hub.get("m"), [b"x" * (100 - EACH)], hub.loop.now())
        assert kept(hub, "g", "m") == [15, 5]


VERY_MANY = 1000
AT_A_TIME = 3000
"""Messages that give way in one turn, or for one message, at most; each takes more than a microsecond."""


def very_many(*, is_watched: bool) -> HubOnLoop:
    """A hub whose topics have 100 messages each, of two clients that have more than their part of a lower bound."""
    hub = HubOnLoop(Loop(), max_topics=2 * VERY_MANY)
    for number in range(VERY_MANY):
        hub.opener = "one" if number % 4 else "other"
        topic = hub.get(str(number))
        if is_watched:
            Watching(hub, topic, 100, stays=True)
        hub.append(topic, [b"x" * (100 - EACH)] * 100, hub.loop.now())
    hub.opener = ""
    hub.turn()
    return hub


def lower(hub: HubOnLoop) -> int:
    """Have the hub take a bound of a tenth of what it holds, as a server does that is sent SIGHUP. Gives that."""
    kind = TopicClass(queue=100, queue_bytes=1_000_000, linger=30.0)
    bound = hub.budget.held // 10
    hub.set_bounds(generous(Classes(kind), max_topics=2 * VERY_MANY, max_bytes=bound), hub.loop.now())
    return bound


@pytest.mark.parametrize("is_watched", [False, True])
def test_a_lower_bound_is_reached_over_several_turns_and_messages_are_taken_meanwhile(*, is_watched: bool) -> None:
    """The first message after a reload freed all of the difference in one turn, which was seconds."""
    hub = very_many(is_watched=is_watched)
    Watching(hub, hub.get("small"), 0, stays=True)
    bound = lower(hub)
    assert hub.flushes_owed
    turns = 0
    while hub.budget.most > bound:
        hub.flushes_owed -= 1
        before = hub.fell_off
        hub.flush(hub.loop.now())
        assert hub.fell_off - before < AT_A_TIME
        before = hub.fell_off
        assert not isinstance(take(hub, "small"), MemoryFull)
        assert hub.fell_off - before < AT_A_TIME
        turns += 1
    assert turns > VERY_MANY * 100 * 9 // 10 // AT_A_TIME
    assert hub.budget.most == bound
    assert hub.budget.held == sum(topic.weight for topic in hub) <= bound
    assert hub.get("small").first == 1
    assert hub.reclaiming.fell_off == hub.fell_off


def turn_until_it_holds(hub: HubOnLoop) -> None:
    """Let turns go by, in no time, until new bounds hold."""
    while hub.flushes_owed:
        hub.flushes_owed -= 1
        hub.flush(hub.loop.now())


def test_a_lower_bound_is_reached_though_one_turn_finds_nothing_among_very_many_topics() -> None:
    """It was given up then: more than it was held, and messages were refused, though rings could give way."""
    hub = HubOnLoop(Loop())
    hub.reclaiming.looks = 20
    for number in range(25):
        Watching(hub, hub.get(str(number)), 0, stays=True)
    hub.get("idle")
    hub.append(hub.get("idle"), [b"x" * (100 - EACH)] * 100, hub.loop.now())
    hub.set_bounds(generous(hub.classes, max_bytes=5000), hub.loop.now())
    turn_until_it_holds(hub)
    assert hub.budget.most == 5000
    assert hub.budget.held == 5000


def test_clients_give_way_below_a_lower_bound_though_none_had_to_below_the_one_before() -> None:
    """A message had found so just before, and then nothing was looked for: the bound was given up."""
    hub = HubOnLoop(Loop())
    for number, hub.opener in enumerate(["one"] * 3 + ["other"] * 3 + [""] * 4):
        Watching(hub, hub.get(str(number)), 100, stays=True)
        hub.append(hub.get(str(number)), [b"x" * (100 - EACH)] * 100, hub.loop.now())
    Watching(hub, hub.get("small"), 0, stays=True)
    hub.set_bounds(generous(hub.classes, max_bytes=hub.budget.held), hub.loop.now())
    turn_until_it_holds(hub)
    assert isinstance(take(hub, "small"), MemoryFull)
    assert hub.fell_off == 0
    hub.set_bounds(generous(hub.classes, max_bytes=60_000), hub.loop.now())
    turn_until_it_holds(hub)
    assert {opener: share.held for opener, share in hub.shares.by_opener.items()} == {
        "one": 20_000,
        "other": 20_000,
        "": 40_000,
    }


def test_a_reload_ends_where_very_many_topics_have_nothing_to_give_and_turns_take_long() -> None:
    """Each topic, and each client, was looked at again and again as soon as that had taken half a second."""
    hub = HubOnLoop(Loop())
    hub.reclaiming.looks = 10
    hub.opener = "one"
    for number in range(33):
        Watching(hub, hub.get(str(number)), 1, stays=True)
        hub.append(hub.get(str(number)), [b"x" * 1000], hub.loop.now())
    hub.opener = "other"
    Watching(hub, hub.get("small"), 0, stays=True)
    hub.turn()
    hub.set_bounds(generous(hub.classes, max_bytes=5000), hub.loop.now())
    turns = 0
    while hub.flushes_owed and turns < 50:
        hub.flushes_owed -= 1
        hub.loop.advance(0.6)
        hub.flush(hub.loop.now())
        turns += 1
    assert turns < 10
    assert hub.budget.most == 5000


def test_clients_give_way_below_a_bound_that_was_lowered_again_meanwhile() -> None:
    hub = HubOnLoop(Loop())
    for opener, count in (("one", 100), ("other", 40)):
        hub.opener = opener
        Watching(hub, hub.get(opener), 1000, stays=True)
        hub.append(hub.get(opener), [b"x" * (10_000 - EACH)] * count, hub.loop.now())
    hub.turn()
    hub.set_bounds(generous(hub.classes, max_bytes=1_200_000), hub.loop.now())
    assert hub.budget.most > 1_200_000
    hub.set_bounds(generous(hub.classes, max_bytes=200_000), hub.loop.now())
    turn_until_it_holds(hub)
    assert hub.budget.held == hub.budget.most == 200_000


def test_a_lower_bound_is_reached_though_messages_find_nothing_meanwhile() -> None:
    """They do not ask the topic that they are for, which may be the one that has it all."""
    hub = HubOnLoop(Loop())
    hub.append(hub.get("a"), [b"x" * (10_000 - EACH)] * 100, hub.loop.now())
    hub.turn()
    hub.set_bounds(generous(hub.classes, max_bytes=100_000), hub.loop.now())
    assert hub.budget.most > 100_000
    while hub.flushes_owed:
        hub.flushes_owed -= 1
        assert isinstance(take(hub, "a"), MemoryFull)
        hub.flush(hub.loop.now())
    assert hub.budget.held == hub.budget.most == 100_000


def test_a_bound_that_holds_is_not_raised_by_a_turn_that_an_earlier_reload_asked_for() -> None:
    hub = HubOnLoop(Loop())
    watching = [Watching(hub, hub.get(str(number)), 10, stays=True) for number in range(10)]
    for each in watching:
        hub.append(each.topic, [b"x" * (10_000 - EACH)] * 10, hub.loop.now())
    hub.turn()
    bounds = generous(hub.classes, max_bytes=500_000)
    hub.room = 0
    hub.set_bounds(bounds, hub.loop.now())
    hub.room = WORK
    hub.set_bounds(bounds, hub.loop.now())
    assert (hub.budget.most, hub.budget.held) == (500_000, 1_000_000)
    for each in watching:
        each.leave()
    hub.loop.advance(1.0)
    turn_until_it_holds(hub)
    assert hub.budget.most == 500_000


def test_what_gives_way_after_a_lower_bound_holds_gives_way_for_some_messages_and_not_for_one() -> None:
    """Rings that were watched while the bound was lowered, of clients that no address tells apart."""
    hub = HubOnLoop(Loop(), max_topics=2 * VERY_MANY)
    watching = []
    for number in range(VERY_MANY):
        watching.append(Watching(hub, hub.get(str(number)), 100, stays=True))
        hub.append(watching[-1].topic, [b"x" * (100 - EACH)] * 100, hub.loop.now())
    small = Watching(hub, hub.get("small"), 0, stays=True)
    hub.turn()
    bound = lower(hub)
    hub.turn()
    assert (hub.budget.most, hub.fell_off) == (bound, 0)
    assert isinstance(take(hub, "small"), MemoryFull)
    for each in watching:
        each.leave()
    hub.loop.advance(1.0)
    refused = 0
    while isinstance(take(hub, "small"), MemoryFull):
        assert hub.fell_off <= (refused + 1) * AT_A_TIME
        refused += 1
    assert refused > 10
    assert hub.budget.held <= bound
    assert small.topic.last == 1


def test_a_mirror_loses_nothing_of_its_own_where_others_give_way_after_a_lower_bound_holds() -> None:
    hub = HubOnLoop(Loop(), max_topics=2 * VERY_MANY)
    watching = []
    for number in range(VERY_MANY):
        watching.append(Watching(hub, hub.get(str(number)), 100, stays=True))
        hub.append(watching[-1].topic, [b"x" * (100 - EACH)] * 100, hub.loop.now())
    lower(hub)
    hub.turn()
    for each in watching[1:]:
        each.leave()
    hub.loop.advance(1.0)
    hub.mirror(watching[0].topic, [b"x" * (100 - EACH)], hub.loop.now())
    assert len(watching[0].topic.after(0)) == 100
    assert 0 < hub.fell_off - 1 < AT_A_TIME
