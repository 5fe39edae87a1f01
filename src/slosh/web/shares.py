"""The share of each client: how many topics it may have brought to life at a time, so that no one uses up all.

The rules of this file:

* A topic counts for the client that brought it to life, as long as that life lasts, whoever watches it later.
* A client is its address: that of the connection, or what trusted proxies say of it.
* Clients that no address tells apart have no share: those of a Unix socket, and trusted proxies that name no client.
"""

from slosh.core.hub import Hub
from slosh.errors import ShareUsedUp
from slosh.web.connection import Connection


def take_share(connection: Connection, hub: Hub, births: int) -> None:
    """Let the topics that come to life next count for the client of the present request.

    Set `hub.opener` to an empty text as soon as they have.

    Args:
        births: how many there are going to be at most.

    Raises:
        ShareUsedUp: they would be too many.
    """
    edge = connection.edge
    most = edge.settings.max_topics_per_address
    client = connection.client if most else ""
    hub.opener = ""
    if not client or edge.proxies.trusts(client):
        return
    if hub.opened_by(client) + births > most:
        raise ShareUsedUp(
            f"Your address has brought {hub.opened_by(client)} topics to life that are active, and may have {most} "
            f"(max_topics_per_address). Each ends when nobody has watched it for a while (linger)."
        )
    hub.opener = client
