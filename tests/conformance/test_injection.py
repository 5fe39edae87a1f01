"""Nothing that a client sends reaches a header raw: not from a name, a query, a cookie, nor from a file's name.

The whole server stands on a socket here, with a document root in which even a folder's name is hostile.
"""

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slosh.server import Server
from slosh.settings import Settings
from tests.conformance.wire import PATIENCE, Address, Wire

FIELD_LINE = re.compile(rb"([A-Za-z-]+): [\x20-\x7e]*")
KNOWN = frozenset(
    b"date content-type content-length cache-control x-content-type-options connection set-cookie slosh-next "
    b"slosh-watchers allow location etag last-modified accept-ranges content-range vary retry-after "
    b"access-control-allow-origin access-control-allow-methods access-control-allow-headers "
    b"access-control-expose-headers access-control-max-age idempotent-replayed deprecation "
    b"content-security-policy slosh-ignored".split()
)
HOSTILE = (
    b"%0d%0aX-Injected:%201",
    b"%0aX-Injected:%201",
    b"%0dX-Injected:%201",
    b"%0D%0A%0D%0AHTTP/1.1%20200%20OK",
    b"a%00b",
    b"%E2%80%A8X-Injected:%201",
    b"%C4%8D%C4%8AX-Injected:1",
    b"%E5%98%8D%E5%98%8AX-Injected:1",
    b"a;Domain=evil.test;Path=/",
    b"a;%20Max-Age=0",
    b"a%3B%20Max-Age=0",
    b'a"b',
    b"a%22b",
    b"a,b",
    b"a=b",
    b"a%",
    b"%ff",
    b"//evil.test/",
    b"/evil.test",
    b"evil.test%2f..",
    b"%5cevil.test",
    b"..%2f..%2fetc%2fpasswd",
    b"a" * 300,
    b"%e4" * 90,
)
ECHOABLE = (
    "Origin",
    "Cookie",
    "Prefer",
    "Idempotency-Key",
    "If-None-Match",
    "If-Modified-Since",
    "If-Range",
    "Range",
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Last-Event-ID",
    "Referer",
    "X-Forwarded-Proto",
    "Forwarded",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
)
FOLDER = "a\r\nX-Injected: 1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Where a whole server listens, on a loop in a thread of its own."""
    root = tmp_path_factory.mktemp("root")
    (root / FOLDER).mkdir()
    (root / "evil.test").mkdir()
    (root / "index.html").write_text("<p>here")
    found: list[str] = []
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve(folder: Path) -> None:
        slosh = Server(Settings(port=0, root=str(folder), unwatched="keep", drain=0.1))
        await slosh.start()
        done = asyncio.Event()
        stop.append((asyncio.get_running_loop(), done))
        found.extend(slosh.addresses)
        ready.set()
        await done.wait()
        await slosh.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve(root)))
    thread.start()
    assert ready.wait(PATIENCE), "the server did not start"
    host, _, port = found[0].rpartition("://")[2].rpartition(":")
    yield host, int(port)
    loop, done = stop[0]
    loop.call_soon_threadsafe(done.set)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def check(address: Address, sent: bytes) -> bytes:
    """Send one request and look at every line of the answer's head. Gives the head."""
    wire = Wire(address)
    try:
        wire.send(sent)
        seen = wire.await_answers(1, head=sent.startswith(b"HEAD "), lowest=200, seconds=PATIENCE)
        assert len(seen.answers) == 1, seen
        assert seen.status != 500
        head = wire.received.partition(b"\r\n\r\n")[0]
    finally:
        wire.close()
    _, *lines = head.split(b"\r\n")
    names = []
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        assert match, f"a line that is no field: {line!r}"
        names.append(match[1].lower())
    assert set(names) <= KNOWN, set(names) - KNOWN
    assert len(set(names)) == len(names), "a field came twice"
    for line in lines:
        if line.lower().startswith(b"set-cookie:"):
            attributes = [part.strip().partition(b"=")[0] for part in line.split(b";")[1:]]
            assert attributes == [b"Path", b"HttpOnly", b"SameSite"], line
        if line.lower().startswith(b"location:"):
            assert re.fullmatch(rb"Location: /(?!/)[^\\]*", line), line
    return head


def ask(target: bytes, *fields: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    lines = b"".join(field + b"\r\n" for field in fields)
    return method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n" + length + lines + b"\r\n" + body


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_path_reaches_a_header_raw(server: Address, hostile: bytes) -> None:
    for target in (b"/" + hostile, b"/topics/" + hostile + b"?wait=0", b"/view/" + hostile, b"/-/" + hostile):
        for method in (b"GET", b"HEAD", b"OPTIONS"):
            check(server, ask(target, method=method))
    check(server, ask(b"/topics/" + hostile, method=b"POST", body=b"1"))
    check(server, ask(b"/" + hostile, method=b"POST", body=b"1"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_query_reaches_a_header_raw(server: Address, hostile: bytes) -> None:
    for name in (b"since", b"n", b"wait", b"limit", b"every", b"key", b"format", b"batch", b"x"):
        query = name + b"=" + hostile
        check(server, ask(b"/topics/test?since=earliest&wait=0&" + query))
        check(server, ask(b"/topics/test?wait=0&" + query, method=b"HEAD"))
        check(server, ask(b"/topics/test?" + query, method=b"POST", body=b"1"))
        check(server, ask(b"/evil.test?" + query))
    for method in (b"GET", b"HEAD", b"POST"):  # as a name, which the answer repeats
        check(server, ask(b"/topics/test?since=earliest&wait=0&" + hostile + b"=1", method=method, body=b"1"))


@pytest.mark.parametrize("name", ECHOABLE)
def test_no_field_reaches_a_header_raw(server: Address, name: str) -> None:
    for value in (
        b"\xc4\x8d\xc4\x8aX: 1",
        b"\xe5\x98\x8d\xe5\x98\x8a",
        b'a"b;c,d=e',
        b"\xff\x80",
        b"a\tb",
        b"",
        b"a" * 8000,
    ):
        line = name.encode() + b": " + value
        for method, target in (
            (b"GET", b"/topics/test?wait=0"),
            (b"HEAD", b"/topics/test"),
            (b"OPTIONS", b"/topics/test"),
            (b"GET", b"/"),
            (b"GET", b"/evil.test"),
        ):
            check(server, ask(target, line, method=method))
        check(server, ask(b"/topics/test", line, method=b"POST", body=b"1"))


def test_the_name_of_a_folder_reaches_no_header_raw(server: Address) -> None:
    head = check(server, ask(b"/a%0d%0aX-Injected:%201"))
    assert b" 301 " in head.partition(b"\r\n")[0]
    assert b"Location: /a%0D%0AX-Injected" in head


ENCODED = st.binary(max_size=40).map(lambda raw: b"".join(b"%%%02X" % byte for byte in raw))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ENCODED, ENCODED)
def test_no_bytes_at_all_reach_a_header_raw(server: Address, path: bytes, query: bytes) -> None:
    check(server, ask(b"/topics/" + path + b"?wait=0&since=" + query))
    check(server, ask(b"/" + path + b"?" + query))
