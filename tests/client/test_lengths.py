"""How much a client takes of an answer, whatever answers."""

import asyncio
import gzip
from collections.abc import Iterator
from itertools import islice
from typing import Final

import pytest

from slosh.client import AsyncClient, Client, Publisher, Unreachable
from slosh.client.connections import MAX_EVENT
from slosh.commands.examining import Examination
from tests.cases import each_of
from tests.client.scripted import Trickling
from tests.e2e.server import until
from tests.running import PATIENCE

LARGE: Final = b'"%b"' % (b"x" * (MAX_EVENT // 8))
"""A message, of which eight are more than the client takes of one answer."""
ZIPPED: Final = gzip.compress(bytes(MAX_EVENT + 1), 1)
UNTIL_CLOSED: Final = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n"
TOO_LONG: Final = f"the answer is longer than {MAX_EVENT} bytes"


@pytest.fixture
def inflating() -> Iterator[str]:
    """The address of a server whose answers are short until they are inflated."""
    kind = b"Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
    head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (kind, len(ZIPPED))
    with Trickling(head + ZIPPED, then=b"") as server:
        yield server.url


@each_of("kind", [b"application/json", b"text/event-stream"])
def test_an_answer_without_an_end_takes_no_more_memory_than_an_event(kind: bytes) -> None:
    """`slosh pub` took 600 MB within its time. No stream was asked for, so the kind makes no difference."""
    with (
        Trickling(UNTIL_CLOSED % kind, then=LARGE) as server,
        Client(server.url, timeout=PATIENCE) as client,
        pytest.raises(Unreachable, match=TOO_LONG),
    ):
        client.topics()


def test_neither_does_one_that_is_inflated(inflating: str) -> None:
    with Client(inflating, timeout=PATIENCE) as client, pytest.raises(Unreachable, match=TOO_LONG):
        client.topics()


def test_nor_in_a_program_with_an_event_loop(inflating: str) -> None:
    async def ask() -> None:
        async with AsyncClient(inflating, timeout=PATIENCE) as client:
            await client.topics()

    with pytest.raises(Unreachable, match=TOO_LONG):
        asyncio.run(ask())


@each_of("coding", [b"gzip", b"deflate", b", ".join([b"gzip"] * 6)])
def test_an_answer_that_cannot_be_inflated_ends_no_publisher(coding: bytes) -> None:
    """Its thread ended with the library's error, so nothing that came later was sent, and `flush` had no end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 4\r\n\r\nno z" % coding
    with Trickling(head, then=b"") as server:
        with Client(server.url, timeout=PATIENCE) as client, pytest.raises(Unreachable, match="cannot be inflated"):
            client.topics()

        async def ask() -> None:
            async with AsyncClient(server.url, timeout=PATIENCE) as client:
                await client.topics()

        with pytest.raises(Unreachable, match="cannot be inflated"):
            asyncio.run(ask())
        with Client(server.url, timeout=0.1) as client, Publisher(client, every=0, timeout=0) as publisher:
            publisher.send("a", 1)
            until(lambda: publisher.error, lambda error: isinstance(error, Unreachable))


def test_nor_in_an_examination(inflating: str) -> None:
    """`slosh doctor` took all the memory that there was: nothing bounds the time of an answer there."""
    with Examination(inflating, "doctor") as examination, pytest.raises(Unreachable, match=TOO_LONG):
        examination.reach()


def test_a_stream_may_be_longer_than_an_event() -> None:
    with Trickling(UNTIL_CLOSED % b"text/event-stream", then=b"data: %b\n\n" % LARGE) as server:
        assert len(list(islice(Client(server.url).watch("a", deadline=PATIENCE), 9))) == 9
