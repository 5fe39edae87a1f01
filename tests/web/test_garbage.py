"""What is made for a request is freed when it is answered, so the doors may let the garbage collector look rarely."""

import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.web.harness import Site

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Things are freed by counting references alone, and what only the collector would find is kept to be looked at."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.enable()
    gc.garbage.clear()


def live_a_day(site: Site) -> None:
    """Every kind of reader, publishes, refusals, timeouts, and clients that vanish."""
    polls = [site.connect().get("/topics/a") for _ in range(3)]
    streams = [site.connect().get("/topics/a", Accept="text/event-stream") for _ in range(3)]
    sockets = [site.connect().get("/topics/a", **HANDSHAKE) for _ in range(3)]
    producer = site.connect()
    for _ in range(3):
        producer.post("/topics/a", b'{"t":21.5}')
        for poll in polls:
            cursor = poll.next()["Slosh-Next"]
            poll.get(f"/topics/a?since={cursor}&wait=5")
        producer.next()
    site.advance(6)
    producer.post("/topics/a", b"{").get("/nowhere").get("/topics")
    for client in [*polls, *streams, *sockets, producer]:
        client.reset()
    site.advance(100)


def test_nothing_of_a_request_waits_for_the_garbage_collector(site: Site, no_collector: None) -> None:
    live_a_day(site)
    gc.garbage.clear()  # what is made once, the first time
    live_a_day(site)
    gc.collect()
    assert not Counter(type(each).__name__ for each in gc.garbage)
