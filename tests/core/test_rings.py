"""What comes into rings, and what falls off them."""

from tests.core.hubs import HubOnLoop, Watching
from tests.core.loops import Loop


def test_the_ring_is_bounded_by_messages_and_bytes_and_what_falls_off_is_counted(loop: Loop) -> None:
    hub = HubOnLoop(loop, queue=3, queue_bytes=5)
    topic = hub.get("a")
    hub.post("a", b"1", b"2", b"3", b"4")
    assert topic.after(0) == [b"2", b"3", b"4"]
    hub.post("a", b"5555")
    assert topic.after(0) == [b"4", b"5555"]
    assert (hub.published, hub.fell_off) == (5, 3)


def test_what_was_not_mirrored_is_passed_over_and_told_as_lost(hub: HubOnLoop) -> None:
    topic = hub.get("a")
    hub.post("a", b"1")
    watcher = Watching(hub, topic, 1)
    hub.skip_to(topic, 8)
    hub.append(topic, [b"9"], hub.loop.now())
    hub.turn()
    assert (watcher.got, watcher.lost, hub.fell_off) == ([b"9"], 7, 8)
