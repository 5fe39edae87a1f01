"""`slosh.publish`, `slosh.watch` and so on: one client for the whole process, for the server that SLOSH_URL names."""

import atexit
import threading
from collections.abc import Iterable
from typing import Unpack

from slosh.client.asking import WatchOptions
from slosh.client.protocol import Item, Published, find_url
from slosh.client.synchronous import Client, Watch

_lock = threading.Lock()
_clients: dict[str, Client] = {}


def default_client() -> Client:
    """The client of the server that SLOSH_URL names now, else of http://127.0.0.1:8000. It is kept."""
    url = find_url(None)
    with _lock:
        client = _clients.get(url)
        if client is None:
            if not _clients:
                atexit.register(_close_all)
            client = _clients[url] = Client(url)
        return client


def _close_all() -> None:
    for client in _clients.values():
        client.close()


def publish(topic: str, value: object, *, key: str | None = None, strict: bool = False) -> Published:
    """Publish one message to the server that SLOSH_URL names. See `Client.publish`."""
    return default_client().publish(topic, value, key=key, strict=strict)


def publish_many(topic: str, values: Iterable[object], *, key: str | None = None, strict: bool = False) -> Published:
    """Publish several messages, all or none. See `Client.publish_many`."""
    return default_client().publish_many(topic, values, key=key, strict=strict)


def watch(*topics: str, **options: Unpack[WatchOptions]) -> Watch[Item]:
    """Watch topics of the server that SLOSH_URL names. See `Client.watch`, which can also give notes."""
    return default_client().watch(*topics, **options)
