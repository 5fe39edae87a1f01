"""What every feeder shares: post readings at a steady pace, and rest while nobody looks.

The rules this file keeps:

1. A topic without a watcher answers 404 with the code ``no_watchers``. The feeder then stops working, and tries
   again now and then (`PROBE` seconds) with one small POST: the reading that it would have posted anyway.
2. Each change is told once, in one line: asleep, awake, server out of reach, server back. A night without a
   watcher is one line, not thirty thousand.
3. One keep-alive connection carries everything. A server that restarts costs a reconnect, not the feeder.

Only the standard library, so that a feeder of your own can start as a copy of this folder.
"""

import argparse
import http.client
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, urlsplit

#: Seconds between two tries while nobody looks, or while the server is out of reach.
PROBE = 1.5
PATIENCE = 10.0
"""Seconds after its own start in which a feeder says nothing of a server that is not there yet."""
#: Seconds that the server may take for one answer. A publish is answered at once; this is for a dead network.
TIMEOUT = 10.0


class Unreachable(Exception):
    """The server gave no answer, or one that says it cannot now. Trying again later may help."""


class Refused(Exception):
    """The server said no for good (a wrong topic name, a message too large). Trying again does not help."""


class Source(Protocol):
    """Where readings come from."""

    def reading(self) -> object:
        """The reading to post now: any JSON value. Asked for again when the last one was not taken."""

    def taken(self, watchers: int) -> None:
        """The last reading was taken by the server, for this many watchers: go on to the next."""


class Publisher:
    """Posts JSON values to one topic over one keep-alive connection, which is opened again when it broke."""

    def __init__(self, url: str, topic: str, timeout: float = TIMEOUT) -> None:
        """`url` is the server's address (http or https, a path in front of /topics is kept). Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not _port_is_right(parts):
            raise ValueError(f"{url!r} is not the address of a server; it looks like http://127.0.0.1:8000")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.url = url
        self.topic = topic
        self._path = f"{parts.path.rstrip('/')}/topics/{quote(topic, safe='/')}"
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)

    def post(self, value: object) -> int | None:
        """Publish; return how many watch, or None when nobody does (and nothing was kept).

        Raises Unreachable or Refused. A reading whose answer was lost on the way is not posted again by itself:
        for a reading of this moment the next one is better than the same one twice.
        """
        body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(str(error) or type(error).__name__) from error
        answer = _fields(text)
        if response.status == 200:
            return int(answer.get("watchers", 0))
        if response.status == 404 and answer.get("code") == "no_watchers":
            return None
        detail = f"{response.status} {answer.get('detail') or response.reason}"
        raise Unreachable(detail) if response.status >= 500 else Refused(detail)

    def close(self) -> None:
        """Close the connection; the next `post` opens a new one."""
        self._connection.close()


class Feeder:
    """Posts the readings of a source, one each `interval` seconds, while somebody looks."""

    def __init__(
        self,
        publisher: Publisher,
        source: Source,
        interval: float,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        probe: float = PROBE,
    ) -> None:
        """`interval` and `probe` are seconds; `clock` and `sleep` are arguments so that tests need not wait."""
        self._publisher = publisher
        self._source = source
        self._interval = interval
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self._probe = probe
        self._state = "starting"
        self._began = clock()

    def run(self) -> None:
        """Feed until interrupted. Raises Refused when the server says no for good."""
        due = self._clock()
        while True:
            began = self._clock()
            fed = self.step()
            now = self._clock()
            # A steady pace: the next reading is due an interval after this one was, however long it took to post.
            # A busy machine may wake us late; two readings still never come closer than half an interval, because
            # a mean over hardly any time says nothing (processors then seem idle), and what was not fed is not
            # caught up on.
            due = max(due + self._interval, began + self._interval / 2, now)
            if not fed:
                due = now + max(self._probe, self._interval)
            self._sleep(due - now)

    def step(self) -> bool:
        """Post one reading, tell what changed; True when it was taken."""
        topic = self._publisher.topic
        try:
            watchers = self._publisher.post(self._source.reading())
        except Unreachable as error:
            if self._state == "starting" and self._clock() < self._began + PATIENCE:
                return False  # Started together with its server, which is a moment slower.
            self._enter("lost", f"{self._publisher.url} cannot be reached ({error}), trying again")
            return False
        if watchers is None:
            self._enter("asleep", f"nobody looks at {topic}, sleeping")
            return False
        first = self._state == "starting"
        self._enter("awake", f"somebody looks at {topic}, feeding" + ("" if first else " again"))
        self._source.taken(watchers)
        return True

    def _enter(self, state: str, line: str) -> None:
        if state != self._state:
            self._state = state
            self._say(line)


def arguments(description: str, topic: str) -> argparse.ArgumentParser:
    """The options that every feeder has: --url and --topic."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="address of the slosh server (default: %(default)s)"
    )
    parser.add_argument("--topic", default=topic, help="topic to feed (default: %(default)s)")
    return parser


def seconds(text: str) -> float:
    """An option's value as a time or a rate above zero; for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def say(line: str) -> None:
    """One line for the person who started the feeder, at once even into a pipe."""
    print(line, flush=True)


def main(run: Callable[[], None]) -> int:
    """Run a feeder as a program; return its exit code."""
    # Shells start what stands in the background deaf to Ctrl-C (POSIX, "Signals and Error Handling"), and a feeder
    # that a script started beside a server should end with it, quietly by either signal.
    for number in _ENDING:
        signal.signal(number, _interrupt)
    return exit_code(run)


_ENDING = (signal.SIGINT, signal.SIGTERM)


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - as Python calls it
    """End once. Ctrl-C reaches a feeder from the terminal, and what started it sends a signal of its own besides."""
    for each in _ENDING:
        signal.signal(each, lambda *_: None)  # SIG_IGN would be an error where the second one is there already
    raise KeyboardInterrupt


def exit_code(run: Callable[[], None]) -> int:
    """Run a feeder; return its exit code. An interrupt ends it without a word, a refusal with one line."""
    try:
        run()
    except KeyboardInterrupt:
        return 0
    except (Refused, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _port_is_right(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:  # no number, or too large a one
        return False


def _fields(text: bytes) -> dict[str, Any]:
    """The JSON object in an answer's body, or an empty one: a proxy in between may answer with a page of HTML."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
