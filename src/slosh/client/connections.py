"""How a client's requests reach its server, and what to say where they do not."""

import ssl
from typing import Final

import httpx2

from slosh.client.errors import Unreachable
from slosh.client.protocol import SILENCE
from slosh.client.request import Options

MAX_EVENT: Final = 64 * 1024 * 1024
"""Bytes of one event that the client takes; the server's own bound (`max_message`) is usually the smaller one."""

CONNECT: Final = 10.0
"""Seconds to make a connection."""
WATCH: Final = httpx2.Timeout(CONNECT, read=SILENCE, pool=None)
"""The bounds of a watch: a stream that is silent for longer counts as cut."""

_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=16)
"""As many connections as there are requests at a time; these are kept open for the next ones."""
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
"""What OpenSSL calls an answer that is none of TLS."""


def open_connections(options: Options) -> httpx2.Client:
    """The connections of a client. Close them."""
    return httpx2.Client(headers=dict(options.headers), timeout=_bounds(options), limits=_LIMITS)


def open_async_connections(options: Options) -> httpx2.AsyncClient:
    """The connections of a client, for a program with an event loop. Close them."""
    return httpx2.AsyncClient(headers=dict(options.headers), timeout=_bounds(options), limits=_LIMITS)


def _bounds(options: Options) -> httpx2.Timeout:
    return httpx2.Timeout(options.timeout, connect=CONNECT, pool=None)


def unreachable(options: Options, why: Exception | None) -> Unreachable:
    """The error for a server from which no answer came in time."""
    if told := told_tls(options.url, why):
        return Unreachable(told)
    told = f" within {options.timeout:g} s" + (f" ({why})" if why is not None and str(why) else "")
    seen: BaseException | None = why
    while seen is not None:
        if isinstance(seen, ConnectionRefusedError):
            told = ": the connection was refused, so nothing listens there"
        seen = seen.__cause__ or seen.__context__
    return Unreachable(
        f"No slosh server answered at {options.url}{told}. "
        "Start one with `slosh serve`, or name the address of one that runs (url=…, --url or SLOSH_URL)."
    )


def told_tls(url: str, why: BaseException | None) -> str:
    """What to do where TLS failed, which will fail the next time too; empty where something else did."""
    seen = why
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return (
                f"The certificate of {url} is not trusted: {seen.verify_message}. "
                "If it is your own, let SSL_CERT_FILE name the file with the certificate of its authority."
            )
        if isinstance(seen, ssl.SSLError) and seen.reason in _NO_TLS:
            return f"What answers at {url} does not speak TLS; its address begins with http://."
        seen = seen.__cause__ or seen.__context__
    return ""
