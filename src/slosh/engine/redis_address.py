"""The address of a store, as the setting `engine` has it.

    redis://user:password@host:6379/0          rediss:// over TLS
    unix:///run/redis.sock?db=0
    redis+sentinel://host:26379,host:26379/mymaster/0
    redis+cluster://host:6379,host:6379

What redis-py takes in an address's query is taken here too: `?protocol=3`, `?ssl_ca_certs=/etc/ca.pem`.
"""

import re
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import RedisError

from slosh.errors import SettingError

SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_PORTS: Final = {"sentinel": 26379, "cluster": 6379}
_ADDRESS: Final = re.compile(r"(rediss?)\+(sentinel|cluster)://(?:([^@/]*)@)?([^/?]+)(?:/([^?]*))?(?:\?(.*))?")

_NOT_OF_CONNECTIONS: Final = ("connection_class", "sentinel_username", "sentinel_password")
"""Options for others than a connection."""


class Address(NamedTuple):
    """An address, taken apart.

    Attributes:
        kind: `single`, `sentinel` or `cluster`.
        hosts: of the servers that are asked first; none for a single one.
        name: of the master that Sentinel knows.
        options: for each connection, as redis-py takes them.
        text: the address without its password, for people.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    name: str
    options: dict[str, Any]
    text: str


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        SettingError: it is none; the detail says what one looks like.
    """
    scheme = text.partition("://")[0]
    if scheme not in SCHEMES or "://" not in text:
        told = ", ".join(f"{each}://" for each in SCHEMES)
        raise SettingError(f"engine: {hide_password(text)!r} is no address of a store. It begins with one of {told}.")
    try:
        match = _ADDRESS.fullmatch(text)
        if match is None:
            return Address("single", (), "", _check_options(dict(parse_url(text))), hide_password(text))
        plain, kind, user, hosts, path, query = match.groups(default="")
        found = tuple(_parse_host(host, _PORTS[kind]) for host in hosts.split(","))
        name, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
        if kind == "sentinel" and not name:
            raise SettingError(
                f"engine: {hide_password(text)!r} lacks the name that Sentinel gives the master: add /mymaster to it."
            )
        if kind == "cluster" and database not in ("", "0"):
            raise SettingError("engine: a cluster has one database; leave the path of its address away.")
        options = _check_options(dict(parse_url(f"{plain}://{user + '@' if user else ''}localhost/{database}?{query}")))
    except ValueError as error:
        raise SettingError(f"engine: {hide_password(text)!r} is no address of a store: {error}.") from None
    for unneeded in ("host", "port"):
        options.pop(unneeded, None)
    return Address(kind, found, name, options, hide_password(text))


def _check_options(options: dict[str, Any]) -> dict[str, Any]:
    """See that redis-py knows all of them, for it would say so only when it connects, and not to people."""
    options.pop("max_connections", None)  # There are always two, one for commands and one to listen.
    given = {name: value for name, value in options.items() if name not in _NOT_OF_CONNECTIONS}
    try:
        options.get("connection_class", Connection)(**given)
    except TypeError as error:
        raise ValueError(f"its query has {str(error).rpartition(' ')[2]}, which redis-py does not know") from None
    except RedisError as error:
        raise ValueError(str(error)) from None
    return options


def hide_password(text: str) -> str:
    """An address that can be shown."""
    shown = re.sub(r"://[^@/]*@", "://…@", text)
    return re.sub(r"([?&][^=&]*password)=[^&]*", r"\1=…", shown)


def _parse_host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is no host")
    return parts.hostname, parts.port or port
