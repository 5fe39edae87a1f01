"""When a topic is looked at again, and what very many of them cost."""

from tests.core.hubs import HubOnLoop
from tests.core.loops import Loop


def test_a_busy_topic_costs_the_timers_nothing(hub: HubOnLoop, loop: Loop) -> None:
    """A thousand polls a second: the timers look once in `linger`."""
    for _ in range(10_000):
        hub.get("a")
        loop.advance(0.001)
    assert loop.made <= 1
    assert len(loop.calls) <= 1


def test_topics_that_end_together(loop: Loop) -> None:
    hub = HubOnLoop(loop, max_topics=10_000, linger=1.0)
    for number in range(5000):
        hub.get(f"t{number}")
    loop.advance(2.0)
    assert 3000 < len(hub) < 5000
    hub.turn()
    assert not len(hub)
