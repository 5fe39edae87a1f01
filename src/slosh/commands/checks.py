"""The checks of `slosh doctor`, in the order in which they are printed.

The rules of this file:

* A check returns findings, and raises nothing because of a proxy. A failure to connect is a finding too.
* Every body, event and wait is bounded, because any program may answer.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx2

from slosh.client.addresses import socket_path
from slosh.client.connections import open_connections
from slosh.commands.examining import PATIENCE, Examination, read_json
from slosh.commands.handshake import shake_hands
from slosh.durations import write_duration
from slosh.schemes import DEFAULT_PORTS
from slosh.settings.table import BY_NAME

_PROMPT: Final = 2.0
"""Seconds within which an event has to arrive; on a line around the world it takes a quarter of one."""
_MOST: Final = 1024 * 1024
"""Bytes of an answer that are read."""
_LARGE: Final = 1_000_000
"""Bytes of the large message: just below `max_message`, as slosh has it by default, and nginx's own default."""
_LONG: Final = 7_000
"""Bytes of the long query: the place in some 150 topics. slosh takes a request line of 8,000."""
_SKEW: Final = 5.0
"""Seconds that two clocks may differ without a word."""
_WRONG: Final = float(BY_NAME["clock_skew"].default)
"""Seconds beyond which tokens that have a time are refused, unless the server's clock_skew is larger."""
_SET_CLOCK: Final = "on the machine whose clock is wrong: `timedatectl set-ntp true`"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has seen.

    Attributes:
        check: its name, a key of `REMEDIES` if there is something to change.
        seen: in one sentence.
        is_fault: whether readers are served wrongly.
        is_note: whether it is good to know, and may be meant so.
        remedy: of a fault for which nothing is to be changed in a proxy: what to do.
    """

    check: str
    seen: str
    is_fault: bool = False
    is_note: bool = False
    remedy: str = ""


def look(examination: Examination) -> Iterator[Finding]:
    """The checks that take a moment each."""
    yield Finding(
        "reached",
        f"a slosh answers at {examination.options.where}"
        + (f", behind {examination.front}" if examination.front else ""),
    )
    for check in _CHECKS:
        name = check.__name__.strip("_")
        try:
            yield from check(examination)
        except (httpx2.TransportError, OSError, ValueError) as error:
            yield Finding(name, f"the check failed: {error}", is_fault=True)
        except (ArithmeticError, AttributeError, TypeError) as error:
            yield Finding(name, f"the answer is not one of a slosh server: {error}", is_fault=True)


def hold_poll(examination: Examination, seconds: float) -> Iterator[Finding]:
    """Hold a poll for so long that an impatient proxy ends it."""
    began = time.monotonic()
    wait = write_duration(seconds)
    try:
        with open_connections(examination.options) as http:
            bounds = httpx2.Timeout(PATIENCE, read=seconds + PATIENCE)
            answer = http.get(examination.at("held"), params={"wait": wait}, timeout=bounds)
    except httpx2.TransportError as error:
        took = time.monotonic() - began
        yield Finding("held polls", f"a poll of {wait} s is cut after {took:.0f} s ({error})", is_fault=True)
        return
    took = time.monotonic() - began
    if answer.status_code != 200:
        yield Finding(
            "held polls", f"a poll of {wait} s is answered {answer.status_code} after {took:.0f} s", is_fault=True
        )
    elif took < seconds - 1:
        yield Finding("held polls", f"a poll is held for {took:.0f} s, which the setting max_wait says")
    else:
        yield Finding("held polls", f"a poll is held for {took:.0f} s")


def _clock(examination: Examination) -> Iterator[Finding]:
    examination.open("clock")
    examination.http.post(examination.at("clock"), content=b"1")
    said = read_json(
        examination.http.get(examination.at("clock"), params={"since": "earliest", "wait": "0", "times": ""})
    )
    times = said.get("times")
    if not isinstance(times, list) or not times:
        return
    skew = times[-1] / 1000 - time.time()
    seen = f"the server's differs from this machine's by {abs(skew):,.1f} s"
    if abs(skew) > _WRONG:
        seen += ": tokens with a time are refused, or count for too long, and times look wrong"
        yield Finding("clock", seen, is_fault=True, remedy=_SET_CLOCK)
        return
    yield Finding("clock", seen + (", so times look wrong" if abs(skew) > _SKEW else ""), is_note=abs(skew) > _SKEW)


def _cookies(examination: Examination) -> Iterator[Finding]:
    cookie = examination.open("cookie").headers.get("set-cookie", "")
    prefix = urlsplit(examination.options.base).path
    path = next((part.strip()[5:] for part in cookie.split(";") if part.strip().lower().startswith("path=")), "")
    if not cookie:
        yield Finding(
            "cookies",
            "a reader gets none, so without `since` it misses the messages between its polls",
            is_fault=True,
        )
    elif not path.startswith(f"{prefix}/topics"):
        yield Finding(
            "cookies",
            f"theirs is the path {path}, and readers ask below {prefix}/topics: none is sent",
            is_fault=True,
        )
    elif urlsplit(examination.url).scheme == "https" and "secure" not in cookie.lower():
        yield Finding(
            "cookies",
            "they lack Secure over TLS: set X-Forwarded-Proto, from an address in trusted_proxies",
            is_note=True,
        )
    else:
        yield Finding("cookies", "they reach the readers")


def _names(examination: Examination) -> Iterator[Finding]:
    name = f"{examination.topic}/k%C3%BCche%2F%20a+b%3Fc"
    said = read_json(examination.http.get(f"{examination.options.base}/topics/{name}", params={"wait": "0"}))
    listed = read_json(examination.ask_list(after=f"{examination.topic}/k"))
    found = listed.get("topics")
    names = [each.get("name") for each in found] if isinstance(found, list) else []
    wanted = f"{examination.topic}/k\N{LATIN SMALL LETTER U WITH DIAERESIS}che/ a+b?c"
    if "next" in said and wanted in names:
        yield Finding("topics' names", "what is escaped in an address arrives as it was")
    else:
        seen = next((each for each in names if str(each).startswith(examination.topic)), None)
        sentence = f"it arrives as {seen!r}" if seen else "such an address is refused"
        yield Finding(
            "topics' names", f"an address with %2F, %20 and %3F is changed on its way: {sentence}", is_fault=True
        )


def _caching(examination: Examination) -> Iterator[Finding]:
    seen: list[object] = []
    for number in range(2):
        answer = examination.http.get(examination.at("cached"), params={"since": "earliest", "wait": "0"})
        seen.append(read_json(answer).get("max"))
        if "age" in answer.headers:
            yield Finding("caching", f"an answer is {answer.headers['age']} s old: something caches it", is_fault=True)
            return
        if not number:
            examination.http.post(examination.at("cached"), content=b"1")
    if seen[0] == seen[1]:
        yield Finding(
            "caching", "a reader gets the same answer before and after a message: something caches it", is_fault=True
        )
    else:
        yield Finding("caching", "no answer is cached")


def _streams(examination: Examination) -> Iterator[Finding]:
    took = _time_event(examination, "stream", {"Accept": "text/event-stream"})
    if took is None:
        yield Finding(
            "streams", f"a message does not arrive within {PATIENCE:g} s: something buffers the stream", is_fault=True
        )
    elif took > _PROMPT:
        yield Finding("streams", f"a message arrives after {took:.1f} s: something buffers the stream", is_fault=True)
    else:
        yield Finding("streams", f"a message arrives after {took * 1000:.0f} ms")


def _time_event(examination: Examination, name: str, headers: dict[str, str]) -> float | None:
    """Seconds from a POST until a stream has its event; None if it does not come."""
    began = 0.0
    timer = threading.Timer(1.0, lambda: examination.http.post(examination.at(name), content=b'"doctor"'))
    try:
        with examination.http.stream("GET", examination.at(name), headers=headers, timeout=PATIENCE) as answer:
            if answer.status_code != 200:
                return None
            until = time.monotonic() + PATIENCE
            seen = b""
            began = time.monotonic() + 1.0
            timer.start()
            for part in answer.iter_bytes():
                seen = (seen + part)[-_MOST:]
                if b"doctor" in seen:
                    return max(0.0, time.monotonic() - began)
                if time.monotonic() > until:
                    return None
    except httpx2.TimeoutException:
        return None
    finally:
        timer.cancel()
    return None


def _compression(examination: Examination) -> Iterator[Finding]:
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br, zstd"}
    examination.open("gzip")
    try:
        with examination.http.stream("GET", examination.at("gzip"), headers=headers) as answer:
            coding = answer.headers.get("content-encoding", "")
    except httpx2.TimeoutException:
        coding = "?"
    if coding:
        sentence = f"is compressed on its way ({coding})" if coding != "?" else "does not begin"
        yield Finding("compression", f"an event stream {sentence}, which gathers events", is_fault=True)
    else:
        yield Finding("compression", "event streams are left as they are")


def _websocket(examination: Examination) -> Iterator[Finding]:
    status = shake_hands(examination.url, f"{examination.topic}/ws", examination.http.headers.get("authorization", ""))
    if status == 101:
        yield Finding("WebSocket", "the handshake goes through")
    elif status == 426:
        yield Finding("WebSocket", "slosh sees no Upgrade: it is taken out on its way (426)", is_fault=True)
    else:
        sentence = f"is answered {status}" if status else "is not answered"
        yield Finding("WebSocket", f"the handshake {sentence}", is_fault=True)


def _own_origin(examination: Examination) -> str:
    """What a browser says that the pages at this address are of."""
    parts = urlsplit(examination.options.base)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    is_default = parts.port in (None, DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")


def _pages(examination: Examination) -> Iterator[Finding]:
    """What slosh tells from the host that it is asked for and the origin of a page, if both arrive as they were."""
    if socket_path(examination.url):
        return
    origin = _own_origin(examination)
    answer = examination.http.post(
        examination.at("page"), params={"open": ""}, content=b"1", headers={"Origin": origin}
    )
    if answer.status_code == 200:
        yield Finding("own pages", "they may post and open WebSockets")
    elif read_json(answer).get("code") == "foreign_origin":
        yield Finding(
            "own pages",
            f"pages of {origin} may neither post nor open a WebSocket: slosh is asked for another host, as `Host` is "
            "changed on its way",
            is_fault=True,
        )
    else:
        yield Finding("posts of pages", f"one is answered {answer.status_code}", is_fault=True)


def _leaving(examination: Examination) -> Iterator[Finding]:
    topic = examination.at("left")
    with open_connections(examination.options) as http, contextlib.suppress(httpx2.ReadTimeout):
        http.get(topic, params={"wait": "30"}, timeout=httpx2.Timeout(PATIENCE, read=0.5))
    until = time.monotonic() + 3.0
    while (
        count := read_json(examination.http.get(topic, params={"watchers": ""})).get("watchers")
    ) and time.monotonic() < until:
        time.sleep(0.2)
    if count:
        yield Finding(
            "clients that leave",
            "a client that has left still counts as a watcher 3 s later: a proxy keeps its request open",
            is_fault=True,
        )
    else:
        yield Finding("clients that leave", "they stop counting as watchers")


def _large(examination: Examination) -> Iterator[Finding]:
    examination.open("large")
    body = json.dumps("x" * (_LARGE - 2)).encode()
    answer = examination.http.post(examination.at("large"), content=body, headers={"Content-Type": "application/json"})
    if answer.status_code == 200:
        yield Finding("large messages", f"one of {_LARGE:,} bytes is taken")
    elif "code" in read_json(answer):
        yield Finding("large messages", str(read_json(answer).get("detail")), is_note=True)
    else:
        yield Finding(
            "large messages", f"one of {_LARGE:,} bytes is answered {answer.status_code} on its way", is_fault=True
        )


def _long(examination: Examination) -> Iterator[Finding]:
    answer = examination.http.get(examination.at("long"), params={"wait": "0", "padding": "x" * _LONG})
    if answer.status_code == 200:
        yield Finding("long addresses", f"a query of {_LONG:,} bytes arrives, as readers of many topics send")
    else:
        sentence = f"a query of {_LONG:,} bytes is answered {answer.status_code}: readers of many topics are refused"
        yield Finding("long addresses", sentence, is_fault=True)


def _cors(examination: Examination) -> Iterator[Finding]:
    origin = examination.origin or "https://slosh-doctor.example"
    answer = examination.http.get(examination.at("cors"), params={"wait": "0"}, headers={"Origin": origin})
    allowed = [value for name, value in answer.headers.multi_items() if name.lower() == "access-control-allow-origin"]
    if len(allowed) > 1 or any("," in each for each in allowed):
        yield Finding(
            "CORS",
            f"Access-Control-Allow-Origin comes twice ({', '.join(allowed)}); browsers refuse that",
            is_fault=True,
        )
        return
    if examination.origin is None:
        if allowed in ([origin], ["*"]):
            yield Finding("CORS", "pages of every origin may read; the setting origins names them", is_note=True)
        else:
            yield Finding("CORS", "pages of other origins may not read, unless the setting origins names them")
        return
    if origin.rstrip("/").lower() == _own_origin(examination):
        yield Finding("CORS", f"pages of {origin} are this address's own, and need none")
        return
    if allowed not in ([origin], ["*"]):
        yield Finding("CORS", f"pages of {origin} may not read: add it to the setting origins", is_fault=True)
        return
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = examination.http.request("OPTIONS", examination.at("cors"), headers=asked)
    if preflight.status_code not in (200, 204) or "access-control-allow-methods" not in preflight.headers:
        yield Finding("CORS", f"a preflight is answered {preflight.status_code} on its way to slosh", is_fault=True)
    else:
        yield Finding("CORS", f"pages of {origin} may read and post")


def _versions(examination: Examination) -> Iterator[Finding]:
    parts = urlsplit(examination.url)
    if socket_path(examination.url):
        yield Finding(
            "HTTP/2",
            "browsers cannot use a Unix socket: test also the address of the proxy in front of it",
            is_note=True,
        )
        return
    if parts.scheme != "https":
        yield Finding(
            "HTTP/2",
            "not over plain HTTP: browsers open six connections a host, and further tabs wait",
            is_note=True,
        )
        return
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(
        (parts.hostname or "", parts.port or DEFAULT_PORTS["https"]), timeout=PATIENCE
    ) as plain:
        chosen = context.wrap_socket(plain, server_hostname=parts.hostname).selected_alpn_protocol()
    if chosen == "h2":
        yield Finding("HTTP/2", "it is offered, so a browser has room for many streams")
    else:
        yield Finding(
            "HTTP/2",
            "it is not offered: browsers open six connections a host, and further tabs wait",
            is_note=True,
        )


_CHECKS: Final = (
    _clock,
    _cookies,
    _names,
    _caching,
    _streams,
    _compression,
    _websocket,
    _pages,
    _leaving,
    _large,
    _long,
    _cors,
    _versions,
)
"""In the order in which they are made."""
