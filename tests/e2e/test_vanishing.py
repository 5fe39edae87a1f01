"""Readers whose line is cut without a word stop counting, also while something is on its way to them."""

import json
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE, Process, Slosh, until
from tests.faults.namespace import Namespace

CLIENT = Path(__file__).with_name("clients") / "vanishing.py"
TOPICS = ("longpoll", "sse", "ndjson", "websocket")
KEEPALIVE = 2
"""Seconds. With three probes more, each two thirds of it later and never less than a second, it is over in 5."""
FOUND_WITHIN = 5
ROOM = 15
"""Seconds more: the system looks only when it sends again, ever more seldom, and the machine may be busy.
Without the bound it would be a quarter of an hour, and for a WebSocket two pings, 40 s."""


def watchers(slosh: Slosh) -> dict[str, int]:
    found = {}
    for topic in TOPICS:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{slosh.port}/topics/{topic}?watchers", timeout=PATIENCE
        ) as answer:
            found[topic] = json.loads(answer.read())["watchers"]
    return found


@pytest.mark.timeout(180)
def test_readers_that_vanished_stop_counting_on_every_transport() -> None:
    with Namespace() as namespace:
        slosh = Slosh(host="0.0.0.0", open="on", tcp_keepalive=f"{KEEPALIVE}s", write_timeout="1s", linger="1m")
        command: list[str | Path] = [*namespace.words, sys.executable, CLIENT, namespace.outside, str(slosh.port)]
        with slosh.process, Process(*command) as client:
            client.line("open")
            until(lambda: watchers(slosh), lambda found: set(found.values()) == {1})
            with namespace.cut():
                cut_at = time.monotonic()
                while sum(watchers(slosh).values()):
                    assert time.monotonic() < cut_at + FOUND_WITHIN + ROOM, watchers(slosh)
                    for topic in TOPICS[1:]:  # What is on its way keeps the system from asking.
                        slosh.post(topic, 1)
                    time.sleep(0.2)
