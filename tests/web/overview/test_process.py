"""What /-/metrics tells of the process, of times, and of the classes of topics."""

import os
import re
import time
from pathlib import Path

import psutil
import pytest

from slosh.core.classes import Classes, TopicClass
from slosh.settings import Settings
from slosh.web.overview.process import count_open_files, find_start, read_memory
from tests.core.hubs import generous
from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.test_portions import turn


def test_the_process_is_told_as_the_system_sees_it() -> None:
    own = psutil.Process()
    assert abs(find_start() - own.create_time()) < 1.0
    assert read_memory()[1] == pytest.approx(own.memory_info().rss, rel=0.2)
    before = count_open_files()
    with Path(os.devnull).open():
        assert count_open_files() == before + 1


def test_it_has_the_names_that_every_program_has(site: Site) -> None:
    metrics = site.metrics()
    assert metrics["process_cpu_seconds_total"] > 0
    assert metrics["process_resident_memory_bytes"] > 1_000_000
    assert metrics["process_open_fds"] > 2
    assert metrics["process_max_fds"] >= metrics["process_open_fds"]
    assert metrics["process_start_time_seconds"] <= time.time()


def test_the_time_from_publisher_to_reader_is_counted_for_each_reader(site: Site) -> None:
    """On the clock of the test, in which the waking takes as long as a test lets it."""
    hub = site.engine.hub
    hub.clock = lambda: site.loop.time() + 0.03
    readers = [site.connect().get("/topics/a") for _ in range(3)]
    site.post("/topics/a", b"1")
    for reader in readers:
        reader.next()
    site.post("/topics/a", b"2")  # No reader waits, so none was given it late.
    site.get("/topics/a?since=earliest")  # Nor is what lay there counted as slow.
    metrics = site.metrics()
    assert metrics['slosh_delivery_seconds_bucket{le="0.02"}'] == 0
    assert metrics['slosh_delivery_seconds_bucket{le="0.05"}'] == 3
    assert metrics["slosh_delivery_seconds_count"] == 3
    assert metrics["slosh_delivery_seconds_sum"] == pytest.approx(0.09, abs=0.02)


def test_a_crowd_is_counted_whole(site: Site) -> None:
    for _ in range(300):
        site.connect().get("/topics/a")
    site.post("/topics/a", b"1")
    assert site.metrics()["slosh_delivery_seconds_count"] == 300


def test_each_class_has_its_own_counts_which_a_reload_keeps(make_site: MakeSite) -> None:
    site = make_site(topics={"gen/**": {"queue": 2}, "rare": {"queue": 9}})
    site.connect().get("/topics/gen/a?since=now&every=1h")
    for _ in range(3):
        site.post("/topics/gen/a", b"1")
    site.get("/topics/b?wait=0")
    site.post("/topics/b", b"123")
    metrics = site.metrics()

    def told(name: str) -> tuple[float, ...]:
        return tuple(metrics[f'slosh_class_{name}{{class="{kind}"}}'] for kind in ("gen/**", "rare", "default"))

    assert told("published_messages_total") == (3, 0, 1)
    assert told("fell_off_messages_total") == (1, 0, 0)
    assert told("topics") == (1, 0, 1)
    assert told("watchers") == (1, 0, 0)
    assert told("ring_bytes") == (2, 0, 3)
    kinds = [TopicClass(name, queue=5, queue_bytes=1 << 20, linger=30.0) for name in ("default", "gen/**")]
    site.engine.hub.set_bounds(generous(Classes(kinds[0], kinds[1:])), site.loop.time())
    metrics = site.metrics()
    assert metrics['slosh_class_published_messages_total{class="gen/**"}'] == 3
    assert 'slosh_class_topics{class="rare"}' not in metrics


def test_a_class_is_named_as_in_the_settings(make_site: MakeSite) -> None:
    """Whatever is in its name stays within the label."""
    site = make_site(topics={'a"b': {"queue": 2}})
    text = site.get("/-/metrics").body.decode()
    assert re.search(r'^slosh_class_topics\{class="a\\"b"\} 0.0$', text, re.MULTILINE)
    assert Settings().topics == {}


VERY_MANY = 10_000


@pytest.fixture
def busy(make_site: MakeSite) -> Site:
    """A site with very many topics, two of three of a class of their own."""
    rule = TopicClass("t/*", queue=10, queue_bytes=1000, linger=30.0)
    site = make_site(max_topics=2 * VERY_MANY)
    site.hub.set_bounds(generous(Classes(site.hub.classes.default, [rule]), max_topics=2 * VERY_MANY), 0.0)
    for number in range(VERY_MANY):
        topic = site.hub.open(f"t/{number}" if number % 3 else f"other/{number}", site.loop.time())
        site.hub.append(topic, [b"12345"], site.loop.time())
    site.advance(0)
    return site


def counted(text: str, name: str) -> float:
    """What the metrics tell under a name."""
    return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_very_many_topics_are_counted_some_in_a_turn(busy: Site, method: str) -> None:
    """All in one turn took 45 ms with as many as there may be, and any client may ask again and again."""
    client = busy.connect()
    client.wire.unread.append(f"{method} /-/metrics HTTP/1.1\r\nHost: slosh.test\r\n\r\n".encode())
    client.wire.feed()
    turns = 0
    while client.silent():
        turn(busy)
        turns += 1
    assert turns >= 2
    answer = client.next(method)
    assert answer.status == 200
    if method == "GET":
        text = answer.body.decode()
        assert counted(text, "slosh_ring_bytes") == 5 * VERY_MANY
        assert counted(text, 'slosh_class_topics{class="t/*"}') == VERY_MANY * 2 // 3


def test_a_class_that_a_reload_takes_away_while_topics_are_counted_is_told_no_more(busy: Site) -> None:
    client = busy.connect()
    client.wire.unread.append(b"GET /-/metrics HTTP/1.1\r\nHost: slosh.test\r\n\r\n")
    client.wire.feed()
    turn(busy)
    assert client.silent()
    busy.hub.set_bounds(generous(Classes(busy.hub.classes.default), max_topics=2 * VERY_MANY), 0.0)
    while client.silent():
        turn(busy)
    text = client.next().body.decode()
    assert counted(text, 'slosh_class_topics{class="default"}') == VERY_MANY
    assert "t/*" not in text
