"""Attacks on topics: patterns, rings, births, lists, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.fairness.bursts import (
    MIB,
    TOPIC,
    get,
    keyed,
    lines,
    lone_surrogates,
    many,
    names,
    request,
)
from benchmarks.fairness.http_kinds import alive
from benchmarks.fairness.kinds import Crew, Kind, one

if TYPE_CHECKING:
    from collections.abc import Iterable

MANY, MOST = 20_000, 100_000
SHARE = 500
"""Topics that are prepared from one address."""
RINGS = 64
BATCH = "?batch=ndjson"
FORGETFUL = ("--linger=500ms",)
ROOM = ("--max-topics=150000",)


def topics(count: int) -> Iterable[bytes]:
    """So many active topics, created from many addresses."""
    targets = [get(f"{target}?wait=0") for target in names(count)]
    each = SHARE // 50
    return (b"".join(targets[first : first + each]) for first in range(0, len(targets), each))


def twenty_thousand() -> Iterable[bytes]:
    """20,000 active topics."""
    return topics(MANY)


def hundred_thousand() -> Iterable[bytes]:
    """100,000 active topics."""
    return topics(MOST)


def deep() -> Iterable[bytes]:
    """200 topics whose names have 16 segments that are all alike but the last."""
    yield many(200, lambda number: get("/topics/" + "a/" * 15 + f"{number}?wait=0"))


def patterns(number: int) -> str:
    """64 patterns of three segments."""
    return ",".join(f"*/*/{number * 64 + each}" for each in range(64))


def full_rings(batch: bytes) -> Iterable[bytes]:
    """64 topics whose rings are full of such batches."""
    for ring in range(RINGS):
        target = f"/topics/ring/{ring}"
        yield get(f"{target}?wait=0") + request("POST", target + BATCH, body=batch)


def large_rings() -> Iterable[bytes]:
    """64 rings of 8 messages of almost 1 MiB."""
    return full_rings(lines(8 * MIB - 100, b'"' + b"x" * (MIB - 300) + b'"'))


def keyed_rings() -> Iterable[bytes]:
    """64 rings of 8 MiB with 16,000 messages."""
    return full_rings(keyed(7 * MIB, 5000))


RING_NAMES = ",".join(f"ring/{ring}" for ring in range(RINGS))
LARGE = ("--queue=20000", "--max-batch=20000")


def post_batch(body: bytes, topic: str = TOPIC) -> bytes:
    """A POST of NDJSON."""
    return request("POST", topic + BATCH, body=body)


def births(number: int) -> bytes:
    """A GET that creates topics."""
    return get(f"/topics/birth/{number}?wait=0")


def vector(count: int) -> str:
    """The places of so many topics."""
    return "*," + ",".join(f"v/{number}=abcd1234.{number}" for number in range(count))


def key_path(number: int) -> bytes:
    """A GET with a path for `key` of 15 kB, each another."""
    return request("HEAD", f"/topics/nobody?key=k{number:06d}{'a' * 15_000}")


def wide(number: int) -> list[str]:
    """64 patterns that no other number gives, each with `*` in other places of 15 segments."""
    numbers = range(number * 64, number * 64 + 64)
    return ["/".join("*" if (each * 641) % 32768 >> bit & 1 else "a" for bit in range(15)) + "/a" for each in numbers]


TOPIC_KINDS = (
    Kind(
        name="pattern-heads",
        title="`HEAD /topics/**`, pipelined, over 20,000 topics",
        crews=one(lambda: request("HEAD", "/topics/**") * 200),
        prepare=twenty_thousand,
    ),
    Kind(
        name="pattern-gets",
        title="`GET /topics/t/*/*` with `wait=0`, pipelined, over 20,000 topics",
        crews=one(lambda: get("/topics/t/*/*?wait=0") * 200),
        prepare=twenty_thousand,
    ),
    Kind(
        name="64-patterns",
        title="HEADs of 64 patterns, over 100,000 topics",
        crews=one(lambda: many(50, lambda number: request("HEAD", f"/topics/{patterns(number)}"))),
        prepare=hundred_thousand,
        settings=ROOM,
    ),
    Kind(
        name="pattern-streams",
        title="streams of 64 patterns, opened and cut, over 20,000 topics",
        crews=one(
            lambda: get(f"/topics/{patterns(1)}?format=sse"),
            connections=20,
            reopen=1,
        ),
        prepare=twenty_thousand,
    ),
    Kind(
        name="deep-patterns",
        title="64 patterns of 16 segments, over names of 16 segments",
        crews=one(
            lambda: (
                request(
                    "HEAD",
                    "/topics/" + ",".join("*/" * 14 + f"{'*' if each % 2 else 'a'}/x{each}" for each in range(64)),
                )
                * 50
            )
        ),
        prepare=deep,
    ),
    Kind(
        name="wide-patterns",
        title="batches of 200 names, under 50 streams whose patterns have `*` in any of 15 places",
        crews=lambda: [
            *(Crew(opening=get(f"/topics/{','.join(wide(number))}?format=sse&since=now")) for number in range(50)),
            Crew(
                burst=request(
                    "POST",
                    "/topics",
                    body=b"\n".join(b'{"topic":"%bz%d","message":1}' % (b"a/" * 15, number) for number in range(200)),
                )
            ),
        ],
    ),
    Kind(
        name="patterns-leave",
        title="500 polls of 64 patterns of 16 segments that are cut and return",
        crews=lambda: [
            Crew(
                burst=get("/topics/" + ",".join(f"a/{number}" + "/*" * 14 for number in range(64))),
                connections=500,
                reopen=1,
                pause=0.1,
            ),
        ],
    ),
    Kind(
        name="wide-streams",
        title="1,000 streams of a pattern over 250 topics, and a message each 50 ms",
        crews=lambda: [
            Crew(opening=get("/topics/w/*?format=sse"), connections=1000),
            Crew(burst=request("POST", "/topics/w/7", body=b"1"), pause=0.05),
        ],
        prepare=lambda: [
            get("/topics/" + ",".join(f"w/{number}" for number in range(begin, begin + 50)) + "?wait=0")
            for begin in range(0, 250, 50)
        ],
    ),
    Kind(
        name="vectors",
        title="polls of patterns with the places of 256 topics",
        crews=one(lambda: get(f"/topics/v/*?wait=0&since={vector(256)}") * 100),
        prepare=lambda: [many(256, lambda number: get(f"/topics/v/{number}?wait=0"))],
    ),
    Kind(
        name="key-paths",
        title="paths of `key` of 15 kB, each another",
        crews=one(lambda: many(3000, key_path)),
    ),
    Kind(
        name="key-rings",
        title="`key` over 64 full rings of 8 MiB, 16,000 messages each",
        crews=one(lambda: request("HEAD", f"/topics/{RING_NAMES}?since=earliest&key=host.name.id") * 20),
        prepare=keyed_rings,
        settings=LARGE,
    ),
    Kind(
        name="key-one-ring",
        title="`key` over one full ring of 8 MiB",
        crews=one(lambda: get("/topics/ring/0?since=earliest&wait=0&key=host.name.id") * 20),
        prepare=keyed_rings,
        settings=LARGE,
    ),
    Kind(
        name="full-rings",
        title="one GET over 64 full rings of 8 MiB, again and again",
        crews=one(lambda: get(f"/topics/{RING_NAMES}?since=earliest&wait=0")),
        prepare=large_rings,
    ),
    Kind(
        name="deaf-polls",
        title="100 polls of a full ring of 8 MiB, who read nothing",
        crews=lambda: [
            Crew(opening=get("/topics/ring/0?since=earliest"), connections=100, deaf=True),
            Crew(burst=get("/-/healthy"), pause=0.01),
        ],
        prepare=large_rings,
    ),
    Kind(
        name="deaf-readers",
        title="100 polls of 64 full rings, who read nothing and are cut and return",
        crews=one(lambda: get(f"/topics/{RING_NAMES}?since=earliest"), connections=100, deaf=True, reopen=1, pause=0.5),
        prepare=large_rings,
    ),
    Kind(
        name="births",
        title="topics created, 50 by each GET",
        crews=one(lambda: b"".join(get(f"{target}?wait=0") for target in names(MOST, prefix="own"))),
    ),
    Kind(
        name="births-watched",
        title="topics created, under 1,000 streams of `GET /topics?watch`",
        crews=lambda: [
            Crew(opening=get("/topics?watch"), connections=1000),
            Crew(burst=many(5000, births)),
        ],
        settings=FORGETFUL,
    ),
    Kind(
        name="mass-ends",
        title="10,000 topics that end together, again and again",
        crews=lambda: [
            Crew(burst=b"".join(get(f"{target}?wait=0") for target in names(10_000, prefix="own")), pause=1.0)
        ],
        settings=FORGETFUL,
    ),
    Kind(
        name="first-lists",
        title="streams of `GET /topics?watch` over 20,000 topics, opened and cut",
        crews=one(lambda: get("/topics?watch"), connections=20, reopen=1, pause=0.01),
        prepare=twenty_thousand,
    ),
    Kind(
        name="deaf-lists",
        title="100 streams of `GET /topics?watch` over 20,000 topics, who read nothing",
        crews=lambda: [
            Crew(opening=get("/topics?watch"), connections=100, deaf=True),
            Crew(burst=get("/-/healthy"), pause=0.01),
        ],
        prepare=twenty_thousand,
    ),
    Kind(
        name="listing",
        title="pages of `GET /topics`, pipelined, over 20,000 topics",
        crews=one(lambda: many(100, lambda number: get(f"/topics?limit=1000&after=t/{number % 10}"))),
        prepare=twenty_thousand,
    ),
    Kind(
        name="short-lists",
        title="`GET /topics?limit=1`, pipelined, over 100,000 topics",
        crews=one(lambda: get("/topics?limit=1&after=zzz") * 500),
        prepare=hundred_thousand,
        settings=ROOM,
    ),
    Kind(
        name="surrogates",
        title="8 MiB of NDJSON with lone surrogates, to a topic that is watched",
        crews=one(lambda: post_batch(lone_surrogates(8 * MIB - 10))),
        prepare=alive,
        settings=("--max-message=8MiB",),
    ),
    Kind(
        name="surrogates-unwatched",
        title="the same to a topic that nobody watches",
        crews=one(lambda: post_batch(lone_surrogates(8 * MIB - 10), "/topics/nobody")),
        settings=("--max-message=8MiB",),
    ),
    Kind(
        name="batches",
        title="batches of 10,000 lines",
        crews=one(lambda: post_batch(b'{"t":21.5,"host":"a","list":[1,2,3]}\n' * 10_000)),
        prepare=alive,
    ),
    Kind(
        name="empty-lines",
        title="batches of 8 MiB of empty lines",
        crews=one(lambda: post_batch(b"\n" * (8 * MIB - 100) + b"1")),
        prepare=alive,
    ),
    Kind(
        name="idempotency-keys",
        title="POSTs with an `Idempotency-Key` of 255 characters, each another",
        crews=one(
            lambda: many(20_000, lambda number: request("POST", TOPIC, f"Idempotency-Key: {number:0255d}", body=b"1"))
        ),
        prepare=alive,
    ),
    Kind(
        name="waiting-feeders",
        title="2,000 feeders that wait with `?watchers`, and readers who come and go",
        crews=lambda: [
            Crew(burst=get(f"{TOPIC}?watchers&wait=60"), connections=2000, pause=1.0),
            Crew(burst=get(TOPIC), connections=5, reopen=1, pause=0.001),
        ],
        settings=FORGETFUL,
    ),
)
