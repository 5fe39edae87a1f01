"""Publish what a generator gives, and stop it when nobody reads.

>>> for token in slosh.guard(iter(["Live", " ", "data"]), "answer/7"):
...     print(token, end="")
Live data

The topic is opened before the first item, so that it is kept before its reader is there, and ended behind the last one.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from http import HTTPStatus
from typing import TypeVar, overload

from slosh.client.answers import Published
from slosh.client.asynchronous import AsyncClient
from slosh.client.errors import BadUse, NotTaken
from slosh.client.simple import default_client
from slosh.client.synchronous import Client

Given = TypeVar("Given")


@overload
def guard(items: Iterable[Given], topic: str, *, client: Client | None = None) -> Generator[Given, None, None]: ...


@overload
def guard(items: AsyncIterable[Given], topic: str, *, client: AsyncClient) -> AsyncGenerator[Given, None]: ...


def guard(
    items: Iterable[Given] | AsyncIterable[Given], topic: str, *, client: Client | AsyncClient | None = None
) -> Generator[Given, None, None] | AsyncGenerator[Given, None]:
    """Publish each of `items` to `topic`, and give it to the caller.

    When nobody has read the topic for the server's `linger`, or a reader has ended it, the items are closed
    (`Generator.close`), and this ends. When the items raise, or the caller stops, the topic is ended too, so that its
    readers do not wait for more. The end does not tell them that something failed: give an item that says so.

    Args:
        items: a generator or another iterable. An asynchronous one needs an `AsyncClient`, and `async for`.
        topic: its name, that nobody else uses.
        client: of the server; None for the one that SLOSH_URL names.

    Raises:
        BadUse: the items and the client do not go together.
        NotTaken: the topic has ended before the first item, because its name was used before.
        ClientError: an item could not be published. The items are closed.
    """
    if isinstance(items, AsyncIterable):
        if not isinstance(client, AsyncClient):
            raise BadUse("Asynchronous items need client=AsyncClient(…), which publishes without blocking the loop.")
        return _guard_async(items, topic, client)
    if isinstance(client, AsyncClient):
        raise BadUse("An AsyncClient needs asynchronous items; give a Client, or none.")
    return _guard(items, topic, client or default_client())


def _guard(items: Iterable[Given], topic: str, client: Client) -> Generator[Given, None, None]:
    taken = False
    try:
        _check(topic, client.open(topic))
        taken = True
        for item in items:
            taken = client.publish(topic, item).taken
            if not taken:
                return
            yield item
    finally:
        if isinstance(items, Generator):
            items.close()
        if taken:
            client.end(topic)


def _check(topic: str, opened: Published) -> None:
    if opened.ended:
        problem = {"code": "ended", "detail": f"The topic {topic!r} has ended. Take a name that was not used before."}
        raise NotTaken(HTTPStatus.CONFLICT, problem, "")


async def _guard_async(items: AsyncIterable[Given], topic: str, client: AsyncClient) -> AsyncGenerator[Given, None]:
    taken = False
    try:
        _check(topic, await client.open(topic))
        taken = True
        async for item in items:
            taken = (await client.publish(topic, item)).taken
            if not taken:
                return
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
        if taken:
            await client.end(topic)
