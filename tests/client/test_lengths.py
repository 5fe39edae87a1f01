"""How much a client takes of an answer, whatever answers."""

import asyncio
import gzip
from collections.abc import Iterator
from itertools import islice
from typing import Final

import pytest

from slosh.client import AsyncClient, Client, Unreachable
from slosh.client.connections import MAX_EVENT
from slosh.commands.examining import Examination
from tests.client.scripted import Trickling
from tests.running import PATIENCE

LARGE: Final = b'"%b"' % (b"x" * (MAX_EVENT // 8))
"""A message, of which eight are more than the client takes of one answer."""
ZIPPED: Final = gzip.compress(bytes(MAX_EVENT + 1), 1)
UNTIL_CLOSED: Final = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n"
TOO_LONG: Final = f"the answer is longer than {MAX_EVENT} bytes"


@pytest.fixture
def inflating() -> Iterator[str]:
    """The address of a server whose answers are short until they are inflated."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED)
    with Trickling(head + ZIPPED, then=b"") as server:
        yield server.url


def test_an_answer_without_an_end_takes_no_more_memory_than_an_event() -> None:
    """`slosh pub` took 600 MB within its time."""
    with (
        Trickling(UNTIL_CLOSED % b"application/json", then=LARGE) as server,
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


def test_nor_in_an_examination(inflating: str) -> None:
    """`slosh doctor` took all the memory that there was: nothing bounds the time of an answer there."""
    with Examination(inflating, "doctor") as examination, pytest.raises(Unreachable, match=TOO_LONG):
        examination.reach()


def test_a_stream_may_be_longer_than_an_event() -> None:
    with Trickling(UNTIL_CLOSED % b"text/event-stream", then=b"data: %b\n\n" % LARGE) as server:
        assert len(list(islice(Client(server.url).watch("a", deadline=PATIENCE), 9))) == 9
