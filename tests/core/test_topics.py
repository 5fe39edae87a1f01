"""Which topics a pattern or a list takes in."""

from hypothesis import given
from hypothesis import strategies as st

from tests.core.hubs import HubOnLoop, Watching
from tests.core.loops import Loop
from tests.properties import PROPERTY


def test_only_active_topics_match(hub: HubOnLoop, loop: Loop) -> None:
    watched, lingering = hub.get("a/1"), hub.get("a/2")
    Watching(hub, watched, 0)
    assert set(hub.matching(["a/*"], loop.now())) == {watched, lingering}
    assert hub.matching(["a/*"], loop.now() + 30.0) == [watched]


def test_patterns_that_were_just_looked_for_are_found_again_without_a_walk(loop: Loop) -> None:
    hub = HubOnLoop(loop, linger=5.0)
    first = hub.get("a/1")
    assert hub.matching(["a/*"], loop.now()) == [first]
    room = hub.room
    assert hub.matching(["a/*"], loop.now()) == [first]
    assert hub.room == room
    second = hub.get("a/2")
    assert set(hub.matching(["a/*"], loop.now())) == {first, second}
    assert hub.room < room
    successor = hub.replace(second, "other", loop.now())
    assert set(hub.matching(["a/*"], loop.now())) == {first, successor}
    assert hub.matching(["a/*"], loop.now(), 1) != hub.matching(["b/*"], loop.now(), 1)
    loop.advance(6.0)
    assert hub.matching(["a/*"], loop.now()) == []
    assert hub._topics._walked is None or hub._topics._walked[1] == []


@PROPERTY
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30),
    st.sampled_from(["", "a", "b", "bb", "f", "z"]),
)
def test_topics_are_listed_by_name_whatever_came_and_went(steps: list[tuple[str, bool]], after: str) -> None:
    loop = Loop()
    hub = HubOnLoop(loop, linger=10.0)
    for name, lets_time_go_by in steps:
        hub.get(name)
        if lets_time_go_by:
            loop.advance(6.0)
    listed = [topic.name for topic in hub.listed(after, loop.now())]
    assert listed == sorted(topic.name for topic in hub if topic.name > after and loop.now() < topic.active_until)
