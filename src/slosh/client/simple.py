"""`slosh.publish`, `slosh.watch` and so on: one client for the whole process, for the server that SLOSH_URL names."""

import atexit
from collections.abc import Iterable, Sequence
from typing import Literal, Unpack, overload

from slosh.client.addresses import find_url
from slosh.client.answers import Published
from slosh.client.history import History
from slosh.client.items import Item, Note
from slosh.client.iterator import Watch
from slosh.client.request import PublishOptions, WatchOptions
from slosh.client.synchronous import Client

_clients: dict[str, Client] = {}


def default_client() -> Client:
    """The client of the server that SLOSH_URL names now, else of http://127.0.0.1:8000. It is kept."""
    url = find_url(None)
    client = _clients.get(url)
    if client is None:
        if not _clients:
            atexit.register(_close_all)
        # Without a lock, which a thread could hold while another one forks. A spare client has opened nothing.
        client = _clients.setdefault(url, Client(url))
    return client


def _close_all() -> None:
    for client in _clients.values():
        client.close()


def publish(topic: str, value: object, **options: Unpack[PublishOptions]) -> Published:
    """Publish one message to the server that SLOSH_URL names. See `Client.publish`."""
    return default_client().publish(topic, value, **options)


def publish_many(topic: str, values: Iterable[object], **options: Unpack[PublishOptions]) -> Published:
    """Publish several messages, all or none. See `Client.publish_many`."""
    return default_client().publish_many(topic, values, **options)


@overload
def watch(*topics: str, notes: Literal[False] = False, **options: Unpack[WatchOptions]) -> Watch[Item]: ...


@overload
def watch(*topics: str, notes: Literal[True], **options: Unpack[WatchOptions]) -> Watch[Item | Note]: ...


def watch(*topics: str, notes: bool = False, **options: Unpack[WatchOptions]) -> Watch[Item] | Watch[Item | Note]:
    """Watch topics of the server that SLOSH_URL names. See `Client.watch`."""
    client = default_client()
    return client.watch(*topics, notes=True, **options) if notes else client.watch(*topics, **options)


def history(
    topic: str, span: str | float = "1h", *, points: int | None = None, paths: Sequence[str] = (), by: str = ""
) -> History:
    """What the numbers in a topic's messages were, in columns. See `Client.history`."""
    return default_client().history(topic, span, points=points, paths=paths, by=by)
