"""Attacks on how requests are read: heads, bodies, connections, files."""

from __future__ import annotations

from benchmarks.fairness.bursts import MIB, TOPIC, chunked, get, many, nested, request
from benchmarks.fairness.kinds import Crew, Kind, one

GARBAGE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n"
ALIVE = [get(f"{TOPIC}?wait=0")]
"""Makes the attacked topic active."""


def alive() -> list[bytes]:
    """One topic, active."""
    return ALIVE


def long_head(number: int, size: int = 13_000) -> bytes:
    """A head of this size, like no other."""
    return get("/-/healthy", f"X-Long: {number:06d}{'x' * (size - 100)}")


def parameters(number: int, count: int = 450) -> bytes:
    """A head whose query has so many parameters."""
    query = "&".join(f"p{number:05d}x{each:03d}={each}" for each in range(count))
    return get(f"{TOPIC}?wait=0&{query}")


def lists(number: int) -> bytes:
    """A head whose fields are lists of hundreds of items."""
    accept = ",".join(f"a/b{each};q=0.{each % 999:03d}" for each in range(220))
    cookies = "; ".join(f"c{each}={number}" for each in range(300))
    tags = ",".join(f'"{each}"' for each in range(300))
    prefer = ",".join(f"p{each}={each}" for each in range(100))
    return get(
        f"{TOPIC}?wait=0",
        f"Accept: {accept}",
        f"Cookie: {cookies}",
        f"If-None-Match: {tags}",
        f"Prefer: {prefer}",
        f"X-Forwarded-For: {','.join(['192.0.2.1'] * 100)}",
    )


def digits(number: int) -> bytes:
    """Numbers as long as a head allows."""
    long = "9" * 4000
    words = (f"since=-{long}", f"n={long}", f"wait={long}", f"limit={long}", f"since={long}s", f"every=0.{long}s")
    return get(f"{TOPIC}?wait=0&{words[number % len(words)]}")


def ranges(number: int) -> bytes:
    """A GET of a file with a thousand ranges."""
    return get("/", "Range: bytes=" + ",".join(f"{each}-{each + number % 5}" for each in range(0, 2500, 2)))


def conditions(number: int) -> bytes:
    """A GET of a file on a thousand conditions."""
    return get("/", "If-None-Match: " + ",".join(f'"{number}-{each}"' for each in range(1000)))


def preflight(number: int) -> bytes:
    """What a browser asks before a foreign page's POST."""
    return request("OPTIONS", TOPIC, f"Origin: https://page{number}.example", "Access-Control-Request-Method: POST",
                   "Access-Control-Request-Headers: " + ",".join(f"x-{each}" for each in range(200)))  # fmt: skip


HTTP_KINDS = (
    Kind(
        name="pipelined-healthy",
        title="`GET /-/healthy`, pipelined",
        crews=one(lambda: get("/-/healthy") * 5000),
        peers=True,
    ),
    Kind(
        name="pipelined-polls",
        title="polls with `wait=0`, pipelined",
        crews=one(lambda: get(f"{TOPIC}?wait=0") * 5000),
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="pipelined-posts",
        title="small POSTs, pipelined",
        crews=one(lambda: many(5000, lambda number: request("POST", TOPIC, body=b'{"t":%d}' % number))),
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="pipelined-unwatched",
        title="POSTs to topics that nobody watches, pipelined",
        crews=one(lambda: many(5000, lambda number: request("POST", f"/topics/x/{number}", body=b"1"))),
    ),
    Kind(
        name="hundred-connections",
        title="100 connections that pipeline polls with `wait=0`",
        crews=one(lambda: get(f"{TOPIC}?wait=0") * 500, connections=100),
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="long-heads",
        title="heads of 13 kB, each another",
        crews=one(lambda: many(800, long_head)),
        peers=True,
    ),
    Kind(
        name="parameters",
        title="heads with 450 parameters in the query, each another",
        crews=one(lambda: many(1000, parameters)),
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="field-lists",
        title="header fields that are lists of hundreds of items",
        crews=one(lambda: many(500, lists)),
        prepare=alive,
    ),
    Kind(name="digits", title="numbers of 4,000 digits in the query", crews=one(lambda: many(500, digits))),
    Kind(
        name="cookies",
        title="heads with a cookie of 60 kB, on fresh connections",
        crews=one(lambda: get(f"{TOPIC}?wait=0", "Cookie: " + "c=1; " * 12_000), connections=4, reopen=1),
        peers=True,
    ),
    Kind(
        name="garbage",
        title="no HTTP at all, on fresh connections",
        crews=one(lambda: GARBAGE, connections=4, reopen=1),
        peers=True,
    ),
    Kind(
        name="idle-heads",
        title="2,000 connections whose last head had 13 kB, then silent",
        crews=lambda: [Crew(opening=long_head(0), connections=2000), Crew(burst=get("/-/healthy"), pause=0.01)],
        peers=True,
    ),
    Kind(
        name="connects",
        title="connections opened and cut at once",
        crews=one(bytes, connections=50, reopen=1),
        peers=True,
    ),
    Kind(
        name="one-request-each",
        title="a fresh connection for each request, 50 at a time",
        crews=one(lambda: get("/-/healthy"), connections=50, reopen=1),
        peers=True,
    ),
    Kind(
        name="half-heads",
        title="5,000 connections that send a head byte by byte",
        crews=lambda: [Crew(opening=b"GET / HTTP/1.1\r\nX: ", burst=b"x", connections=5000, eager=True, pause=0.5)],
        peers=True,
    ),
    Kind(
        name="slow-bodies",
        title="5,000 connections that send a body byte by byte",
        crews=lambda: [
            Crew(
                opening=request("POST", TOPIC, "Content-Length: 1000000"),
                burst=b"x",
                connections=5000,
                eager=True,
                pause=0.5,
            )
        ],
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="one-byte-chunks",
        title="bodies of 200,000 chunks of one byte",
        crews=one(lambda: chunked("POST", TOPIC, (b"1" for _ in range(200_000)))),
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="large-bodies",
        title="messages of 1 MiB, one after another",
        crews=one(lambda: request("POST", TOPIC, body=b'"' + b"x" * (MIB - 2) + b'"')),
        prepare=alive,
        peers=True,
    ),
    Kind(
        name="refused-bodies",
        title="bodies of 8 MiB that are refused at their end",
        crews=one(lambda: request("POST", TOPIC, body=b"[" + b"1," * (4 * MIB - 2) + b"x]")),
        prepare=alive,
        settings=("--max-message=8MiB",),
    ),
    Kind(
        name="deep-json",
        title="messages of 1 MiB made of arrays in one another",
        crews=one(lambda: request("POST", TOPIC, body=b"[" + b",".join([nested(500)] * 1040) + b"]")),
        prepare=alive,
    ),
    Kind(
        name="downloads",
        title="100 connections that load the example's page and scripts",
        crews=one(lambda: (get("/") + get("/-/slosh.js") + get("/view/x") + get("/-/view.js")) * 50, connections=100),
    ),
    Kind(name="ranges", title="a file with 1,250 ranges", crews=one(lambda: many(200, ranges))),
    Kind(
        name="conditions",
        title="a file on the condition of 1,000 entity tags",
        crews=one(lambda: many(200, conditions)),
    ),
    Kind(
        name="paths",
        title="files that are not there, with 100 segments",
        crews=one(lambda: many(2000, lambda number: get("/" + f"a{number}/" * 100 + "../" * 50))),
    ),
    Kind(
        name="preflights",
        title="CORS preflights, each of another origin",
        crews=one(lambda: many(2000, preflight)),
        settings=("--origins=*",),
    ),
    Kind(name="metrics", title="`GET /-/metrics`, pipelined", crews=one(lambda: get("/-/metrics") * 500)),
)
