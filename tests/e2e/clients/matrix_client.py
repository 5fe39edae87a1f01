"""An SSE client from PyPI, or slosh's own, by its name: prints each message, its place and each word of a loss.

Usage: matrix_client.py NAME URL WAY COOKIE. What does not come back by itself asks again from the last id: in the
query where the way is `since` or `lastEventId`, else in the header.
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator

name, url, way, cookie = sys.argv[1:]
lines, sys.stdout = sys.stdout, io.StringIO()  # sseclient prints why it was cut off
HEADERS = {"Accept": "text/event-stream"} | ({"Cookie": cookie} if cookie else {})

Event = tuple[str, str, str]
"""Name, data, id."""


def take(event: str, data: str) -> None:
    print(data if event in ("", "message") else f"{event} {data}", file=lines, flush=True)


def sseclient_events(url: str, headers: dict[str, str]) -> Iterator[Event]:
    from sseclient import SSEClient

    client = SSEClient(url, headers=headers)
    for event in client:
        yield event.event, event.data, client.last_id or ""


def httpx_events(url: str, headers: dict[str, str]) -> Iterator[Event]:
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(timeout=None) as client, connect_sse(client, "GET", url, headers=headers) as source:
        for event in source.iter_sse():
            yield event.event, event.data, event.id


def requests_events(url: str, headers: dict[str, str]) -> Iterator[Event]:
    """Read by hand: what a program does that has no library for it."""
    import requests

    fields: dict[str, str] = {}
    with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
        for raw in answer.iter_lines(chunk_size=1):
            line = raw.decode()
            field, _, value = line.partition(": ")
            if line:
                fields[field] = value
            else:
                if "data" in fields:
                    yield fields.get("event", ""), fields["data"], fields.get("id", "")
                fields = {}


def follow(events: Callable[[str, dict[str, str]], Iterator[Event]]) -> None:
    place = ""
    while True:
        headers, here = dict(HEADERS), url
        if place and way in ("since", "lastEventId"):
            here = f"{url.partition('?')[0]}?{way}={place}"
        elif place:
            headers["Last-Event-ID"] = place
        with contextlib.suppress(Exception):  # each library has its own for a cut
            for event, data, last in events(here, headers):
                take(event, data)
                place = last or place
        time.sleep(0.1)


def slosh_client() -> None:
    from urllib.parse import urlsplit

    import slosh

    parts = urlsplit(url)
    since = parts.query.partition("since=")[2] or "now"
    server = slosh.Client(f"{parts.scheme}://{parts.netloc}")
    for item in server.watch(parts.path.rpartition("/")[2], since=since):
        if item.reset or item.lost:
            take("reset" if item.reset else "lost", str(item.lost))
        take("", slosh_json(item.message))


def slosh_json(message: object) -> str:
    import json

    return json.dumps(message)


if name == "slosh":
    slosh_client()
follow({"sseclient": sseclient_events, "httpx_sse": httpx_events, "requests": requests_events}[name])
