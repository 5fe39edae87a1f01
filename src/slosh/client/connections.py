"""How a client's requests reach its server, and what to say if they do not."""

import asyncio
import contextlib
import errno
import math
import os
import socket
import ssl
import stat
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx2

from slosh.client.addresses import socket_path
from slosh.client.errors import BadUse, Unreachable
from slosh.client.protocol import SILENCE
from slosh.client.request import EVENTS, Options, kind_of

MAX_EVENT: Final = 64 * 1024 * 1024
"""Bytes that the client takes of one event, or of an answer that is no stream of them. The server's own bound
(`max_message`) is usually the smaller one."""

AWAY: Final = "No answer from %s. It is asked again until one comes; watch(deadline=…) bounds the time."
"""What a watch logs, of a server's address, when the first request behind a stream's end, or the second of all, has
brought nothing."""

CONNECT: Final = 10.0
"""Seconds to make a connection."""
WATCH: Final = httpx2.Timeout(CONNECT, read=SILENCE, pool=None)
"""The bounds of a watch: a stream that is silent for longer counts as cut."""

_INSTANT: Final = 0.001
"""Seconds that a phase has at least: 0 would mean none at all."""
_PART: Final = 16 * 1024
"""Bytes of a body that are written in one step."""
_CONNECTED: Final = (".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")
"""How the names of the HTTP library's events end that tell of a new connection."""
_LATE: Final = {"read": httpx2.ReadTimeout, "write": httpx2.WriteTimeout}
_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=16)
"""As many connections as there are requests at a time; these are kept open for the next ones."""
_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name the authorities whose certificates count; the first one that is set is used."""
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
"""What OpenSSL calls an answer that is none of TLS."""
_NO_TEXT: Final = "illegal request line"
"""What the HTTP library says if an answer begins as no text does. An alert of TLS does so (RFC 8446 §5.1)."""


class RemainingTime(float):
    """The seconds that a phase has as it begins. Each of its steps has those that are left then."""

    bounds: "Bounds"
    phase: str


class Bounds:
    """The seconds that each phase of one request may take: what is left of the time of all of them.

    It stands where the HTTP library has a dict of numbers, by which each phase has the whole time, and so has each
    read and write of one. The connection must be one that `bound_steps` knows.

    Args:
        until: the end of the request, on the monotonic clock.
        note: is called with the socket before each read and write.
        least: bounds of phases besides, such as `connect`, seconds.
    """

    def __init__(self, until: float, note: Callable[[socket.socket], object] | None = None, **least: float) -> None:
        self.until = until
        self.note = note
        self._least = least

    def get(self, phase: str, default: float | None = None) -> float | None:
        """As that of a dict."""
        if phase == "pool":
            return default
        left = RemainingTime(min(max(self.until - time.monotonic(), _INSTANT), self._least.get(phase, math.inf)))
        left.bounds, left.phase = self, phase
        return left


def bound_steps(event: str, info: Mapping[str, Any]) -> None:
    """Something happened to a connection: the `trace` of each request. Bound the steps of one that is new."""
    if event.endswith(_CONNECTED):
        stream = info["return_value"]
        for name in ("read", "write"):
            # A plain reference would keep the socket open until cycles are collected.
            setattr(stream, name, partial(_step, weakref.ref(stream), getattr(type(stream), name)))


def _step(
    find: Callable[[], Any], step: Callable[..., bytes | None], given: bytes | int, timeout: float | None = None
) -> bytes | None:
    """Read as many bytes as are `given`, or write those that are."""
    stream = find()
    if not isinstance(timeout, RemainingTime):
        return step(stream, given, timeout=timeout)
    bounds = timeout.bounds
    if bounds.note is not None:
        bounds.note(stream.get_extra_info("socket"))
    parts = [given] if isinstance(given, int) else [given[at : at + _PART] for at in range(0, len(given), _PART)]
    came = None
    for part in parts:
        if time.monotonic() > bounds.until:
            raise _LATE[timeout.phase]("the answer did not end in time")
        came = step(stream, part, timeout=bounds.get(timeout.phase))
    return came


def make_request(
    http: httpx2.Client,
    method: str,
    address: str,
    within: float,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response:
    """Make a request that takes no longer than `within` seconds in all, and give its whole answer.

    Raises:
        httpx2.TransportError: there is none, or none in time.
    """
    until = time.monotonic() + within
    extensions = {"timeout": Bounds(until), "trace": bound_steps}
    return http.request(method, address, content=content, headers=headers, extensions=extensions)


async def make_async_request(
    http: httpx2.AsyncClient,
    method: str,
    address: str,
    within: float,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response:
    """As `make_request`, for a program with an event loop."""
    bound = asyncio.timeout(within)
    try:
        async with bound:
            return await http.request(method, address, content=content, headers=headers, timeout=within)
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise httpx2.ReadTimeout("the answer did not end in time") from error


def open_connections(options: Options) -> httpx2.Client:
    """The connections of a client. Close them."""
    transport = open_transport(options.proxy, socket_path(options.url))
    return httpx2.Client(headers=dict(options.headers), timeout=_bounds(options), transport=transport)


def open_transport(proxy: str, path: str = "") -> httpx2.HTTPTransport:
    """Connections through a proxy, to a Unix socket, or neither. Close them.

    Raises:
        BadUse: the environment names certificates that cannot be read.
    """
    with _told_certificates():
        return _BoundedTransport(uds=path or None, proxy=proxy or None, limits=_LIMITS)


def open_async_connections(options: Options) -> httpx2.AsyncClient:
    """The connections of a client, for a program with an event loop. Close them."""
    path = socket_path(options.url)
    with _told_certificates():
        transport = _BoundedAsyncTransport(uds=path or None, proxy=options.proxy or None, limits=_LIMITS)
    return httpx2.AsyncClient(headers=dict(options.headers), timeout=_bounds(options), transport=transport)


class _BoundedAnswer(httpx2.Response):
    """An answer of which at most `MAX_EVENT` bytes are taken, as they are once they are inflated.

    No server, proxy or camera may fill the memory of a program that publishes. The events of a stream are bounded
    where they are read, so of a stream that is not read as a whole more may come.
    """

    _is_whole = False

    @classmethod
    def of(cls, answer: httpx2.Response) -> Self:
        """The same answer, of which nothing has been read."""
        return cls(answer.status_code, headers=answer.headers, stream=answer.stream, extensions=answer.extensions)

    def read(self) -> bytes:
        """As that of any answer. It raises what `iter_bytes` does."""
        self._is_whole = True
        return super().read()

    async def aread(self) -> bytes:
        """As `read`, for a program with an event loop."""
        self._is_whole = True
        return await super().aread()

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """As that of any answer.

        Raises:
            httpx2.ReadError: it is too long, or cannot be inflated.
        """
        taken = 0
        with _not_inflated():
            for part in super().iter_bytes(chunk_size):
                taken = self._count(taken, part)
                yield part

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """As `iter_bytes`, for a program with an event loop."""
        taken = 0
        with _not_inflated():
            async with contextlib.aclosing(super().aiter_bytes(chunk_size)) as parts:
                async for part in parts:
                    taken = self._count(taken, part)
                    yield part

    def _count(self, taken: int, part: bytes) -> int:
        taken += len(part)
        if taken > MAX_EVENT and (self._is_whole or kind_of(self) != EVENTS):
            raise httpx2.ReadError(f"the answer is longer than {MAX_EVENT} bytes")
        return taken


@contextlib.contextmanager
def _not_inflated() -> Iterator[None]:
    """An answer that is not compressed as it says is broken, like one that is cut: callers look for those errors."""
    try:
        yield
    except httpx2.DecodingError as error:
        raise httpx2.ReadError(f"the answer cannot be inflated: {error}") from error


class _BoundedTransport(httpx2.HTTPTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask."""
        return _BoundedAnswer.of(super().handle_request(request))


class _BoundedAsyncTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask."""
        return _BoundedAnswer.of(await super().handle_async_request(request))


@contextlib.contextmanager
def _told_certificates() -> Iterator[None]:
    """Have it told when certificates that the environment names cannot be read, before anything is asked."""
    try:
        yield
    except OSError as error:  # those of TLS are some
        name = next((each for each in _CERTIFICATES if os.environ.get(each)), "")
        if not name:
            raise
        raise BadUse(
            f"{name} names {os.environ[name]}, from which no certificates can be read: {error.strerror or error}."
        ) from error


def _bounds(options: Options) -> httpx2.Timeout:
    return httpx2.Timeout(options.timeout, connect=CONNECT, pool=None)


def unreachable(options: Options, why: Exception | None) -> Unreachable:
    """The error for a server from which no answer came in time."""
    if reason := explain_lasting(options.url, why):
        return Unreachable(reason)
    path = socket_path(options.url)
    reason = f" within {options.timeout:g} s" + (f" ({why})" if why is not None and str(why) else "")
    for each in _causes(why):
        if isinstance(each, ConnectionRefusedError):
            to_proxy = " to the proxy" if options.proxy else ""
            reason = f": the connection{to_proxy} was refused, so nothing listens there"
        elif path and isinstance(each, (FileNotFoundError, NotADirectoryError)):
            reason = ": there is no such socket"
        elif isinstance(each, httpx2.RemoteProtocolError) and options.url.startswith("http://"):
            reason += f"; if TLS is spoken there, write {_with_scheme(options.url, 'https')}"
    if options.proxy:
        host = urlsplit(options.base).hostname
        return Unreachable(
            f"No slosh server answered at {options.where}{reason}. "
            f"Is it to be reached directly? Add {host} to NO_PROXY."
        )
    start = f"slosh serve --uds {path}" if path else "slosh serve"
    return Unreachable(
        f"No slosh server answered at {options.url}{reason}. "
        f"Start one with `{start}`, or name the address of one that runs (url=…, --url or SLOSH_URL)."
    )


def explain_lasting(url: str, why: BaseException | None) -> str:
    """What to do about what will fail the next time too; empty if something else did."""
    path = socket_path(url)
    for each in _causes(why):
        if isinstance(each, ssl.SSLCertVerificationError):
            return (
                f"The certificate of {url} is not trusted: {each.verify_message}. "
                "If it is your own, let SSL_CERT_FILE name the file with the certificate of its authority."
            )
        if isinstance(each, ssl.SSLError) and each.reason in _NO_TLS:
            return f"What answers at {url} does not speak TLS; write {_with_scheme(url, 'http')}."
        if isinstance(each, httpx2.RemoteProtocolError) and _NO_TEXT in str(each):
            remedy = f"; if it speaks TLS, write {_with_scheme(url, 'https')}" if url.startswith("http:") else ""
            return f"What answers at {url} is no HTTP{remedy}."
        if path and isinstance(each, OSError) and (sentence := _explain_socket(path, each)):
            return f"{sentence} Name the socket that `slosh serve --uds` listens on, as unix:/run/slosh.sock."
    return ""


def _explain_socket(path: str, error: OSError) -> str:
    """Why this file can be no server's socket, or not for this user; empty if it may be one later."""
    if isinstance(error, PermissionError):
        return f"This user may not connect to {path}: it needs the right to write to it, and to enter its folders."
    if "too long" in str(error):  # Python's own error has no number
        return f"{path} is too long for the path of a socket."
    if error.errno in (errno.ECONNREFUSED, errno.EPROTOTYPE):
        with contextlib.suppress(OSError):
            if error.errno == errno.EPROTOTYPE or not stat.S_ISSOCK(Path(path).stat().st_mode):
                return f"{path} is there, and is no socket that a server listens on."
    return ""


def _causes(why: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while why is not None:
        yield why
        why = why.__cause__ or why.__context__


def _with_scheme(url: str, scheme: str) -> str:
    """The same address, for HTTP with or without TLS."""
    return f"{scheme}:{url.partition(':')[2]}"
