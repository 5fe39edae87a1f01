"""What publishers do in the tests of readers."""

import json

from tests.web.harness import Site
from tests.web.transports import LongPoll

LARGE = 40_000
"""Bytes of a message of which two fill a socket."""


def post(site: Site, *values: object, topic: str = "a") -> None:
    """Publish, one after another."""
    for value in values:
        assert site.post(f"/topics/{topic}", json.dumps(value).encode()).status == 200


def together(site: Site, *values: object) -> None:
    """Publish a batch, which one answer of any reader takes in."""
    lines = b"\n".join(json.dumps(value).encode() for value in values)
    assert site.post("/topics/a?batch=ndjson", lines).status == 200


def kept(site: Site, *values: object, topic: str = "a") -> None:
    """Make a topic active, with messages in it."""
    LongPoll(site, topic).cut()
    post(site, *values, topic=topic)


def large(number: int) -> dict[str, object]:
    """A message that is nearly too much for a socket."""
    return {"n": number, "pad": "x" * LARGE}


def numbers(messages: list[dict[str, object]]) -> list[object]:
    """Which messages these are."""
    return [message["n"] for message in messages]
