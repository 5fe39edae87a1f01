"""Each client's share of active topics and of idempotency keys, so that no client can use up all.

The rules of this file:

* A topic counts for the client that created it as long as its epoch lasts, also while others watch it. A key counts
  for the client that sent it first.
* A client is identified by its address: that of the connection, or the one that trusted proxies name. An IPv6 client
  is identified by its network of 64 bits, because it has all addresses in it.
* With a store each node counts the topics that clients create at it, or are the first to read there.
* Clients without an address have no share: those of a Unix socket, and of trusted proxies that name no client.
"""

from slosh.access.limits import address_key
from slosh.engine.base import Engine
from slosh.errors import ShareUsedUp
from slosh.http1.connection import Connection


def find_client(connection: Connection) -> str:
    """The client of the current request, for whom something counts; empty if nothing tells it from others."""
    client = connection.client
    return "" if not client or connection.server.proxies.trusts(client) else address_key(client)


def take_share(connection: Connection, engine: Engine, new_topics: int, *, publishes: bool = False) -> None:
    """Let the topics that are created next count for the client of the current request.

    Call `give_share` as soon as they have.

    Args:
        new_topics: how many there are going to be at most.
        publishes: whether that is to be for a publish: it is refused only if its topic is active nowhere, and there
            are engines that alone find out. These are told the refusal by `hub.used_up`.

    Raises:
        ShareUsedUp: they would be too many.
    """
    server, hub = connection.server, engine.hub
    most = server.settings.max_topics_per_address
    client = find_client(connection) if most else ""
    hub.opener = ""
    if not client:
        return
    if hub.shares.count_of(client) + new_topics > most:
        used_up = ShareUsedUp(
            f"Your address may create {most} topics (max_topics_per_address), and "
            f"{hub.shares.count_of(client)} of them are active. "
            "Each ends when nobody has watched it for a while (linger)."
        )
        if engine.knows_all or not publishes:
            raise used_up
        hub.used_up = used_up
    hub.opener = client


def give_share(engine: Engine) -> None:
    """Stop counting new topics for a client."""
    engine.hub.opener = ""
    engine.hub.used_up = None
