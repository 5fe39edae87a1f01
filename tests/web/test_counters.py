"""Every bound has its counter: who runs the server sees which of its bounds are reached, and how often."""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from slosh.access.rights import ALL
from slosh.access.rules import AccessRules
from slosh.settings.table import TABLE
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Site, request
from tests.web.posting import LARGE, large, together

Story = Callable[[Site], Iterator[None]]
"""Goes up to the bound, yields, and reaches it."""


class Bound(NamedTuple):
    """How a bound is reached.

    Attributes:
        settings: that bring it near.
        story: what reaches it.
        counter: what moves then and not before, with its label.
    """

    settings: dict[str, Any]
    story: Story
    counter: str


def posts(size: int, within: int) -> Story:
    """One message within the bound, and one that passes it."""

    def story(site: Site) -> Iterator[None]:
        site.connect().get("/topics/a")
        assert site.post("/topics/a", b"1" * within).status == 200
        yield
        assert site.post("/topics/a", b"1" * size).status >= 400

    return story


def asks(*requests: bytes) -> Story:
    """Requests that are answered, the last of them with a refusal."""

    def story(site: Site) -> Iterator[None]:
        for each in requests[:-1]:
            assert site.connect().send(each).next().status < 400
        yield
        assert site.connect().send(requests[-1]).next().status >= 400

    return story


def waits(seconds: float, *parts: bytes) -> Story:
    """A client that sends this much, and time that passes."""

    def story(site: Site) -> Iterator[None]:
        site.connect().send(*parts)
        site.advance(seconds - 0.1)
        yield
        site.advance(0.3)

    return story


def falls_off(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a")
    together(site, 1, 2, 3)
    yield
    site.post("/topics/a", b"4")


def grows_old(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a?format=ndjson")
    site.post("/topics/a", b"1")
    site.advance(4.9)
    yield
    site.advance(0.3)


def has_series(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a?format=ndjson")
    site.post("/topics/a", b'{"x":1}')
    yield
    site.post("/topics/a", b'{"x":1,"y":1}')


def gathers(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a?format=ndjson")
    first, second = (site.connect() for _ in range(2))
    first.send(request("POST", "/topics/a", b"1" * 60_000)[:-20_000])
    yield
    second.send(request("POST", "/topics/a", b"1" * 60_000)[:-20_000])


def fills(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a?format=ndjson")
    assert site.post("/topics/a", b"1" * 40_000).status == 200
    yield
    assert site.post("/topics/a", b"1" * 40_000).status == 503


def is_full(site: Site) -> Iterator[None]:
    site.get("/topics/a?wait=0")
    together(site, 1, 2, 3)
    assert site.get("/topics/a?since=-1&wait=0").json["next"] == "epoch000.3"
    yield
    assert site.get("/topics/a?since=-3&wait=0").json["next"] == "epoch000.1"


def lingers(site: Site) -> Iterator[None]:
    site.get("/topics/a?wait=0")
    site.advance(4.9)
    assert site.post("/topics/a", b"1").status == 200
    yield
    site.advance(0.3)


def lines(count: int) -> bytes:
    return request("POST", "/topics/a?batch=ndjson", b"1\n" * count)


def forgets(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a")
    for key in "abc":
        site.post("/topics/a", b"1", Idempotency_Key=key)
    yield
    site.post("/topics/a", b"1", Idempotency_Key="d")


def streams(site: Site) -> Iterator[None]:
    site.connect().get("/topics/a?format=ndjson")
    site.advance(7.9)
    yield
    site.advance(2.3)


def takes_nothing(site: Site) -> Iterator[None]:
    client = site.connect().take_nothing().get("/topics/a?format=ndjson")
    together(site, *map(large, range(200 * 1024 // LARGE)))
    assert client.connection.is_stalled
    site.advance(4.9)
    yield
    site.advance(5.3)


FOLDER = tempfile.TemporaryDirectory()
Path(FOLDER.name, "large").write_bytes(bytes(1024 * 1024))


def downloads(site: Site) -> Iterator[None]:
    site.connect().take_nothing().get("/large")
    yield
    assert site.connect().get("/large").next().status == 503


def drains(site: Site) -> Iterator[None]:
    client = site.connect().take_nothing().get("/topics/a?format=ndjson")
    together(site, *map(large, range(200 * 1024 // LARGE)))
    assert client.connection.is_stalled
    going = site.drain()
    site.advance(4.9)
    yield
    site.advance(0.3)
    assert going.done()


def vanishes(site: Site) -> Iterator[None]:
    """What the system reports when its probes find nobody (tcp(7), ETIMEDOUT)."""
    clients = [site.connect().get("/topics/a") for _ in range(2)]
    clients[0].reset()
    yield
    clients[1].wire.lose(OSError(110, "Connection timed out"))
    site.advance(0.1)
    assert site.watchers("a") == 0


def connects(site: Site) -> Iterator[None]:
    assert site.get("/nothing").status == 404
    yield
    first, second = site.connect(), site.connect().get("/nothing")
    assert second.next().status == 503
    for each in (first, second):
        each.reset()  # else nobody could ask for the metrics


def elsewhere(first: bytes, *parts: bytes) -> Story:
    """Requests from another address than that which asks for the metrics."""

    def story(site: Site) -> Iterator[None]:
        site.connect(("198.51.100.1", 1)).send(first)
        yield
        for part in parts:
            site.connect(("198.51.100.1", 1)).send(part)
        site.advance(1.1)  # for whoever asks for the metrics

    return story


GET, POST = request("GET", "/topics/a?wait=0"), request("POST", "/topics/a", b"12345")
WATCH = request("GET", "/topics/a?format=ndjson")
TOO_LARGE, CONNECTIONS = 'slosh_refused_total{code="too_large"}', 'slosh_refused_total{code="too_many_connections"}'
UNAUTHORIZED, RATE = 'slosh_refused_total{code="unauthorized"}', 'slosh_refused_total{code="rate_limited"}'
HEAD, LATE = 'slosh_refused_total{code="head_too_large"}', 'slosh_refused_total{code="request_timeout"}'

BOUNDS = {
    "linger": Bound({"linger": 5}, lingers, "slosh_ended_topics_total"),
    "queue": Bound({"queue": 3}, falls_off, "slosh_fell_off_messages_total"),
    "queue_bytes": Bound({"queue_bytes": 3, "max_message": 1}, falls_off, "slosh_fell_off_messages_total"),
    "history": Bound(
        {"history": 60},
        asks(request("GET", "/topics/a?history=60s"), request("GET", "/topics/a?history=61s")),
        'slosh_refused_total{code="bad_query"}',
    ),
    "max_series": Bound({"max_series": 1, "history": 60}, has_series, "slosh_history_unlisted_numbers_total"),
    "age": Bound({"age": 5}, grows_old, "slosh_fell_off_messages_total"),
    "portion": Bound({"portion": 2}, is_full, "slosh_portions_total"),
    "max_message": Bound({"max_message": 10}, posts(11, 10), TOO_LARGE),
    "max_body": Bound({"max_message": 10, "max_body": 20}, asks(GET, lines(10), lines(11)), TOO_LARGE),
    "max_batch": Bound({"max_batch": 3}, asks(GET, lines(3), lines(4)), TOO_LARGE),
    "max_keys": Bound({"max_keys": 3}, forgets, "slosh_forgotten_keys_total"),
    "max_depth": Bound(
        {"max_depth": 2},
        asks(GET, request("POST", "/topics/a", b"[[]]"), request("POST", "/topics/a", b"[[[]]]")),
        'slosh_refused_total{code="bad_json"}',
    ),
    "default_wait": Bound({"default_wait": 5}, waits(5, request("GET", "/topics/a")), "slosh_timeouts_total"),
    "max_wait": Bound({"max_wait": 5}, waits(5, request("GET", "/topics/a?wait=60")), "slosh_timeouts_total"),
    "stream_life": Bound({"stream_life": 10}, streams, 'slosh_closed_total{reason="stream_life"}'),
    "drain": Bound({"drain": 5}, drains, 'slosh_closed_total{reason="drain"}'),
    "max_head": Bound({"max_head": 300}, asks(GET, GET[:-4] + b"\r\nX: " + b"y" * 300 + b"\r\n\r\n"), HEAD),
    "max_fields": Bound({"max_fields": 2}, asks(GET, GET[:-4] + b"\r\nX: y\r\nZ: y\r\n\r\n"), HEAD),
    "head_timeout": Bound({"head_timeout": 5}, waits(5, b"GET / HTTP/1.1\r\n"), LATE),
    "body_timeout": Bound({"body_timeout": 5}, waits(5, POST[:-1]), LATE),
    "idle_timeout": Bound({"idle_timeout": 5}, waits(5), 'slosh_closed_total{reason="idle_timeout"}'),
    "write_timeout": Bound({"write_timeout": 5}, takes_nothing, 'slosh_closed_total{reason="write_timeout"}'),
    "tcp_keepalive": Bound({}, vanishes, 'slosh_closed_total{reason="tcp_keepalive"}'),
    "max_connections": Bound({"max_connections": 1}, connects, CONNECTIONS),
    "max_connections_per_address": Bound({"max_connections_per_address": 1}, connects, CONNECTIONS),
    "max_downloads": Bound(
        {"root": Path(FOLDER.name), "max_downloads": 1},
        downloads,
        'slosh_refused_total{code="too_many_downloads"}',
    ),
    "max_topics": Bound(
        {"max_topics": 1},
        asks(GET, request("GET", "/topics/b?wait=0")),
        'slosh_refused_total{code="too_many_topics"}',
    ),
    "max_topics_per_address": Bound(
        {"max_topics_per_address": 1},
        asks(GET, request("GET", "/topics/b?wait=0")),
        'slosh_refused_total{code="share_used_up"}',
    ),
    "max_bytes": Bound({"max_bytes": 65536, "max_message": 60_000}, fills, 'slosh_refused_total{code="memory"}'),
    "max_token": Bound(
        {"max_token": 64, "access": AccessRules(public=ALL)},
        asks(GET, request("GET", "/topics/a?wait=0", Authorization=f"Bearer {'x' * 65}")),
        UNAUTHORIZED,
    ),
    "max_held_per_address": Bound(
        {"max_held_per_address": 1}, asks(WATCH, WATCH), 'slosh_refused_total{code="too_many_held"}'
    ),
    "request_rate": Bound({"request_rate": 1, "rate_burst": 1}, elsewhere(GET, GET), RATE),
    "publish_rate": Bound({"publish_rate": 1, "rate_burst": 1, "unwatched": "keep"}, elsewhere(POST, POST), RATE),
    "max_buffered": Bound(
        {"max_buffered": 65536, "max_message": 60_000, "max_body": 60_000},
        gathers,
        'slosh_refused_total{code="memory"}',
    ),
    "max_watchers": Bound({"max_watchers": 1}, asks(WATCH, WATCH), 'slosh_refused_total{code="too_many_watchers"}'),
}


AT_THE_STORE = {
    "engine_timeout": 'slosh_refused_total{code="engine_unreachable"}',
    "engine_queue": 'slosh_refused_total{code="engine_busy"}',
    "engine_queue_bytes": 'slosh_refused_total{code="engine_busy"}',
}
"""Bounds that only an engine with a store reaches, and their counters: `tests/engine/redis/test_bounds.py` does."""


def test_every_bound_of_the_table_is_here() -> None:
    """A new one gets its counter, its story below, and its row in docs/protocol.md."""
    # Numbers that nobody can ask for more than, a tolerance, how the rates are counted, and a sample.
    no_bounds = {"port", "fd", "workers", "clock_skew", "rate_burst", "access_log"}
    assert set(BOUNDS) | set(AT_THE_STORE) == {row.name for row in TABLE if row.unit and row.name not in no_bounds}


@each_of("name", BOUNDS)
def test_its_counter_moves_when_it_is_reached_and_not_before(make_site: MakeSite, name: str) -> None:
    bound = BOUNDS[name]
    site = make_site(**bound.settings)
    story = bound.story(site)
    next(story)
    assert site.metrics().get(bound.counter, 0) == 0
    next(story, None)
    assert site.metrics().get(bound.counter, 0) == 1


@each_of("name", [*BOUNDS, *AT_THE_STORE])
def test_the_table_of_limits_tells_which_counter_it_is(name: str) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "protocol.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.partition("\n## Limits\n")[2].splitlines() if re.search(rf"^\|[^|]*`{name}`", line))
    counter = BOUNDS[name].counter if name in BOUNDS else AT_THE_STORE[name]
    assert f"`{counter}`" in row.split(" | ")[2]
