"""The checks of `slosh doctor`, each as a browser would ask.

The rules of this file:

* A check gives findings and raises nothing for what a proxy may do. What fails to connect is a finding too.
* Nothing is left behind: topics have a name that nobody else uses, and end with their linger.
* A body, an event and a wait are bounded: what answers may be anything.

It is longer than other files because its checks stand one below the other, in the order in which they are printed.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx2

from slosh.client.addresses import socket_path
from slosh.client.answers import find_problem
from slosh.client.connections import open_connections, told_lasting
from slosh.client.errors import Unreachable
from slosh.client.request import make_options
from slosh.commands.handshake import shake_hands

_PATIENCE: Final = 10.0
"""Seconds that an answer may take which slosh gives at once."""
_PROMPT: Final = 2.0
"""Seconds within which an event has to arrive; on a line around the world it takes a quarter of one."""
_MOST: Final = 1024 * 1024
"""Bytes of an answer that are read."""
_LARGE: Final = 1_000_000
"""Bytes of the large message: just below `max_message`, as slosh has it by default, and nginx's own default."""
_LONG: Final = 7_000
"""Bytes of the long query: the place in some 150 topics. slosh takes a request line of 8,000."""
_SKEW: Final = 5.0
"""Seconds that two clocks may differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has seen.

    Attributes:
        check: its name, a key of `REMEDIES` where there is something to change.
        seen: in one sentence.
        is_fault: whether readers are served wrongly.
        is_note: whether it is good to know, and may be meant so.
    """

    check: str
    seen: str
    is_fault: bool = False
    is_note: bool = False


class Examination:
    """One server, asked through whatever stands in front of it.

    Args:
        url: its address, without a slash at the end.
        topic: that nobody else uses.
        origin: of pages that are to read it from elsewhere.

    Attributes:
        front: `nginx`, `HAProxy` or `Caddy` where the answers tell, else empty.
    """

    def __init__(self, url: str, topic: str, *, origin: str | None = None) -> None:
        self._options = make_options(url, None, None, _PATIENCE)
        self._url = self._options.url
        self._topic = topic
        self._origin = origin
        self._http = open_connections(self._options)
        self.front = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def reach(self) -> None:
        """See that a slosh answers at all.

        Raises:
            Unreachable: none does; the detail says what answered instead.
        """
        try:
            answer = self._ask_list()
        except httpx2.TransportError as error:
            told = told_lasting(self._url, error) or f"Nothing answers at {self._url} ({error}). Is this its address?"
            raise Unreachable(told) from error
        self._learn_front(answer)
        problem = find_problem(answer.status_code, answer.headers, answer.content, self._url)
        if "code" not in problem and "detail" in problem:  # what a client makes of it: another address is to be given
            raise Unreachable(str(problem["detail"]))
        if answer.status_code == 200 and "topics" in _json(answer):
            return
        if answer.status_code in (401, 403) and "code" in _json(answer):
            raise Unreachable(f"{_json(answer).get('detail')} Give a token in SLOSH_TOKEN.")
        if answer.status_code in (502, 503, 504):
            raise Unreachable(
                f"{self.front or 'What stands in front'} answers {answer.status_code}: it does not reach slosh. Look "
                "whether slosh runs, and at the address in its configuration (proxy_pass, server, reverse_proxy)."
            )
        raise Unreachable(
            f"{self._url} answers {answer.status_code} for /topics, and not as a slosh does. Below a prefix, give the "
            "address with it, as in https://example.org/slosh, and have the proxy cut it off."
        )

    def look(self) -> Iterator[Finding]:
        """The checks that take a moment each."""
        yield Finding("reached", f"a slosh answers at {self._url}" + (f", behind {self.front}" if self.front else ""))
        for check in (
            self._clock,
            self._cookies,
            self._names,
            self._caching,
            self._streams,
            self._compression,
            self._websocket,
            self._leaving,
            self._large,
            self._long,
            self._cors,
            self._versions,
        ):
            try:
                yield from check()
            except (httpx2.TransportError, OSError, ValueError) as error:
                name = check.__name__.strip("_")
                yield Finding(name, f"the check failed: {error}", is_fault=True)

    def hold(self, seconds: float) -> Iterator[Finding]:
        """Hold a poll for so long that an impatient proxy ends it."""
        began = time.monotonic()
        wait = f"{seconds:g}"
        try:
            with open_connections(self._options) as http:
                bounds = httpx2.Timeout(_PATIENCE, read=seconds + _PATIENCE)
                answer = http.get(self._at("held"), params={"wait": wait}, timeout=bounds)
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

    def _at(self, name: str) -> str:
        return f"{self._options.base}/topics/{self._topic}/{name}"

    def _ask_list(self, **query: str) -> httpx2.Response:
        """Ask for one of the active topics."""
        return self._http.get(f"{self._options.base}/topics", params={"limit": "1"} | query)

    def _learn_front(self, answer: httpx2.Response) -> None:
        told = " ".join((answer.headers.get("server", ""), answer.headers.get("via", ""))).lower()
        for name in ("nginx", "HAProxy", "Caddy"):
            if name.lower() in told:
                self.front = name

    def _open(self, name: str) -> httpx2.Response:
        """Make a topic active, as a reader does."""
        return self._http.get(self._at(name), params={"wait": "0"})

    def _clock(self) -> Iterator[Finding]:
        self._open("clock")
        self._http.post(self._at("clock"), content=b"1")
        said = _json(self._http.get(self._at("clock"), params={"since": "earliest", "wait": "0", "times": ""}))
        times = said.get("times")
        if not isinstance(times, list) or not times:
            return
        skew = times[-1] / 1000 - time.time()
        seen = f"the server's differs from this machine's by {abs(skew):.1f} s"
        yield Finding("clock", seen + (", so times look wrong" if abs(skew) > _SKEW else ""), is_note=abs(skew) > _SKEW)

    def _cookies(self) -> Iterator[Finding]:
        told = self._open("cookie").headers.get("set-cookie", "")
        prefix = urlsplit(self._options.base).path
        path = next((part.strip()[5:] for part in told.split(";") if part.strip().lower().startswith("path=")), "")
        if not told:
            yield Finding(
                "cookies",
                "a reader gets none, so one without `since` misses what comes between its polls",
                is_fault=True,
            )
        elif not path.startswith(f"{prefix}/topics"):
            yield Finding(
                "cookies",
                f"theirs is the path {path}, and readers ask below {prefix}/topics: none is sent",
                is_fault=True,
            )
        elif urlsplit(self._url).scheme == "https" and "secure" not in told.lower():
            yield Finding(
                "cookies",
                "they lack Secure over TLS: set X-Forwarded-Proto, from an address in trusted_proxies",
                is_note=True,
            )
        else:
            yield Finding("cookies", "they reach the readers")

    def _names(self) -> Iterator[Finding]:
        name = f"{self._topic}/k%C3%BCche%2F%20a+b%3Fc"
        said = _json(self._http.get(f"{self._options.base}/topics/{name}", params={"wait": "0"}))
        listed = _json(self._ask_list(after=f"{self._topic}/k"))
        found = listed.get("topics")
        names = [each.get("name") for each in found] if isinstance(found, list) else []
        wanted = f"{self._topic}/k\N{LATIN SMALL LETTER U WITH DIAERESIS}che/ a+b?c"
        if "next" in said and wanted in names:
            yield Finding("topics' names", "what is escaped in an address arrives as it was")
        else:
            seen = next((each for each in names if str(each).startswith(self._topic)), None)
            told = f"it arrives as {seen!r}" if seen else "such an address is refused"
            yield Finding(
                "topics' names", f"an address with %2F, %20 and %3F is changed on its way: {told}", is_fault=True
            )

    def _caching(self) -> Iterator[Finding]:
        seen: list[object] = []
        for number in range(2):
            answer = self._http.get(self._at("cached"), params={"since": "earliest", "wait": "0"})
            seen.append(_json(answer).get("max"))
            if "age" in answer.headers:
                yield Finding(
                    "caching", f"an answer is {answer.headers['age']} s old: something keeps them", is_fault=True
                )
                return
            if not number:
                self._http.post(self._at("cached"), content=b"1")
        if seen[0] == seen[1]:
            yield Finding(
                "caching", "a reader gets the same answer before and after a message: something keeps it", is_fault=True
            )
        else:
            yield Finding("caching", "each answer is fresh")

    def _streams(self) -> Iterator[Finding]:
        took = self._time_event("stream", {"Accept": "text/event-stream"})
        if took is None:
            yield Finding(
                "streams", f"a message does not arrive within {_PATIENCE:g} s: the stream is kept back", is_fault=True
            )
        elif took > _PROMPT:
            yield Finding(
                "streams", f"a message arrives after {took:.1f} s: the stream is gathered on its way", is_fault=True
            )
        else:
            yield Finding("streams", f"a message arrives after {took * 1000:.0f} ms")

    def _time_event(self, name: str, headers: dict[str, str]) -> float | None:
        """Seconds from a POST until a stream has its event; None where it does not come."""
        began = 0.0
        timer = threading.Timer(1.0, lambda: self._http.post(self._at(name), content=b'"doctor"'))
        try:
            with self._http.stream("GET", self._at(name), headers=headers, timeout=_PATIENCE) as answer:
                if answer.status_code != 200:
                    return None
                until = time.monotonic() + _PATIENCE
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

    def _compression(self) -> Iterator[Finding]:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br, zstd"}
        self._open("gzip")
        try:
            with self._http.stream("GET", self._at("gzip"), headers=headers) as answer:
                coding = answer.headers.get("content-encoding", "")
        except httpx2.TimeoutException:
            coding = "?"
        if coding:
            told = f"is compressed on its way ({coding})" if coding != "?" else "does not begin"
            yield Finding("compression", f"an event stream {told}, which gathers events", is_fault=True)
        else:
            yield Finding("compression", "event streams are left as they are")

    def _websocket(self) -> Iterator[Finding]:
        status = shake_hands(self._url, f"{self._topic}/ws", self._http.headers.get("authorization", ""))
        if status == 101:
            yield Finding("WebSocket", "the handshake goes through")
        elif status == 426:
            yield Finding("WebSocket", "slosh sees no Upgrade: it is taken out on its way (426)", is_fault=True)
        else:
            told = f"is answered {status}" if status else "is not answered"
            yield Finding("WebSocket", f"the handshake {told}", is_fault=True)

    def _leaving(self) -> Iterator[Finding]:
        topic = self._at("left")
        with open_connections(self._options) as http, contextlib.suppress(httpx2.ReadTimeout):
            http.get(topic, params={"wait": "30"}, timeout=httpx2.Timeout(_PATIENCE, read=0.5))
        until = time.monotonic() + 3.0
        while (
            count := _json(self._http.get(topic, params={"watchers": ""})).get("watchers")
        ) and time.monotonic() < until:
            time.sleep(0.2)
        if count:
            yield Finding(
                "clients that leave",
                "a client that has gone counts as a watcher 3 s later: its end is not passed on",
                is_fault=True,
            )
        else:
            yield Finding("clients that leave", "they stop counting as watchers")

    def _large(self) -> Iterator[Finding]:
        self._open("large")
        body = json.dumps("x" * (_LARGE - 2)).encode()
        answer = self._http.post(self._at("large"), content=body, headers={"Content-Type": "application/json"})
        if answer.status_code == 200:
            yield Finding("large messages", f"one of {_LARGE:,} bytes is taken")
        elif "code" in _json(answer):
            yield Finding("large messages", str(_json(answer).get("detail")), is_note=True)
        else:
            yield Finding(
                "large messages", f"one of {_LARGE:,} bytes is answered {answer.status_code} on its way", is_fault=True
            )

    def _long(self) -> Iterator[Finding]:
        answer = self._http.get(self._at("long"), params={"wait": "0", "padding": "x" * _LONG})
        if answer.status_code == 200:
            yield Finding("long addresses", f"a query of {_LONG:,} bytes arrives, as readers of many topics send")
        else:
            told = f"a query of {_LONG:,} bytes is answered {answer.status_code}: readers of many topics are refused"
            yield Finding("long addresses", told, is_fault=True)

    def _cors(self) -> Iterator[Finding]:
        origin = self._origin or "https://slosh-doctor.example"
        answer = self._http.get(self._at("cors"), params={"wait": "0"}, headers={"Origin": origin})
        allowed = [
            value for name, value in answer.headers.multi_items() if name.lower() == "access-control-allow-origin"
        ]
        if len(allowed) > 1 or any("," in each for each in allowed):
            yield Finding(
                "CORS",
                f"Access-Control-Allow-Origin comes twice ({', '.join(allowed)}); browsers refuse that",
                is_fault=True,
            )
            return
        if self._origin is None:
            if allowed in ([origin], ["*"]):
                yield Finding("CORS", "pages of every origin may read; the setting origins names them", is_note=True)
            else:
                yield Finding("CORS", "pages of other origins may not read, unless the setting origins names them")
            return
        if allowed not in ([origin], ["*"]):
            yield Finding("CORS", f"pages of {origin} may not read: add it to the setting origins", is_fault=True)
            return
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        preflight = self._http.request("OPTIONS", self._at("cors"), headers=asked)
        if preflight.status_code not in (200, 204) or "access-control-allow-methods" not in preflight.headers:
            yield Finding("CORS", f"a preflight is answered {preflight.status_code} on its way to slosh", is_fault=True)
        else:
            yield Finding("CORS", f"pages of {origin} may read and post")

    def _versions(self) -> Iterator[Finding]:
        parts = urlsplit(self._url)
        if socket_path(self._url):
            yield Finding(
                "HTTP/2",
                "browsers reach no Unix socket: try also the address of the proxy that they come through",
                is_note=True,
            )
            return
        if parts.scheme != "https":
            yield Finding(
                "HTTP/2",
                "plain HTTP: browsers open six connections a host, and keep further tabs waiting",
                is_note=True,
            )
            return
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_PATIENCE) as plain:
            chosen = context.wrap_socket(plain, server_hostname=parts.hostname).selected_alpn_protocol()
        if chosen == "h2":
            yield Finding("HTTP/2", "it is offered, so a browser has room for many streams")
        else:
            yield Finding(
                "HTTP/2",
                "it is not offered: browsers open six connections a host, and keep further tabs waiting",
                is_note=True,
            )


def _json(answer: httpx2.Response) -> dict[str, object]:
    """What an answer says, empty where it is no JSON object."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
