"""The client of slosh: publish to topics and watch them, from any Python program.

    import slosh

    for item in slosh.watch("kitchen", since="10m"):
        print(item.message)

    slosh.publish("kitchen", {"t": 21.5})       # false if nobody watches

`Client` and `AsyncClient` do the same for a server that is named, and keep its connections open.
"""

from slosh.client.answers import Published
from slosh.client.async_iterator import AsyncWatch
from slosh.client.asynchronous import AsyncClient
from slosh.client.dataframe import to_dataframe
from slosh.client.errors import BadUse, ClientError, NotTaken, Refused, Unreachable, Unreadable
from slosh.client.guarding import guard
from slosh.client.history import History, Series
from slosh.client.items import Item, Note
from slosh.client.iterator import Watch
from slosh.client.notebook import chart
from slosh.client.publisher import Publisher
from slosh.client.simple import history, publish, publish_many, watch
from slosh.client.synchronous import Client
from slosh.client.training import Run, run

__all__ = [
    "AsyncClient",
    "AsyncWatch",
    "BadUse",
    "Client",
    "ClientError",
    "History",
    "Item",
    "NotTaken",
    "Note",
    "Published",
    "Publisher",
    "Refused",
    "Run",
    "Series",
    "Unreachable",
    "Unreadable",
    "Watch",
    "chart",
    "guard",
    "history",
    "publish",
    "publish_many",
    "run",
    "to_dataframe",
    "watch",
]
