"""The client of slosh: publish to topics and watch them, from any Python program.

    import slosh

    for item in slosh.watch("kitchen", since="10m"):
        print(item.message)

    slosh.publish("kitchen", {"t": 21.5})       # false where nobody watches

`Client` and `AsyncClient` do the same for a server that is named, and keep its connections open.
"""

from slosh.client.asynchronous import AsyncClient, AsyncWatch
from slosh.client.errors import BadUse, ClientError, NotTaken, Refused, Unreachable
from slosh.client.protocol import Item, Note, Published
from slosh.client.publisher import Publisher
from slosh.client.simple import publish, publish_many, watch
from slosh.client.synchronous import Client, Watch

__all__ = [
    "AsyncClient",
    "AsyncWatch",
    "BadUse",
    "Client",
    "ClientError",
    "Item",
    "NotTaken",
    "Note",
    "Published",
    "Publisher",
    "Refused",
    "Unreachable",
    "Watch",
    "publish",
    "publish_many",
    "watch",
]
