"""The address of a store, as the setting `engine` has it.

    redis://user:password@host:6379/0          rediss:// over TLS
    unix:///run/redis.sock?db=0
    redis+sentinel://host:26379,host:26379/mymaster/0
    redis+cluster://host:6379,host:6379

What redis-py takes in an address's query is taken here too: `?protocol=3`, `?ssl_ca_certs=/etc/ca.pem`.

The rules of this file:

* An address may hold secrets, even if nobody expects them: an unescaped `/` in a password makes a path of the rest.
  So no refusal repeats any part of it, and `Address.text` is put together from the scheme, the hosts and the path
  alone, after all of them have been read and found to be what they should be.
* An `@` or `#` behind the hosts is refused, because it shows that a password was cut into pieces.
* The library's later words are never repeated: `refusals.reason_of` says it in our own words.
"""

import inspect
import re
from difflib import get_close_matches
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError

from slosh.errors import SettingError
from slosh.settings.meanings import find_scheme

_PORTS: Final = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_ADDRESS: Final = re.compile(r"(?:([^/?#]*)@)?([^/?#@]*)(/[^?#@]*)?(?:\?([^#@]*))?")
"""What follows the scheme: user and password, hosts, path, query. A password may have an unescaped `@`."""
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_MASTER: Final = re.compile(r"[A-Za-z0-9._-]+")
"""What Sentinel takes for a master's name (`sentinelIsValidMasterName` in its source)."""
_ESCAPES: Final = "In a user name or password, write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25."

_NOT_OF_CONNECTIONS: Final = ("connection_class", "sentinel_username", "sentinel_password")
"""Options for others than a connection."""
_VALUES: Final = {"protocol": "either 2 or 3"}
"""What to write for an option whose values are few."""


class Address(NamedTuple):
    """An address, taken apart.

    Attributes:
        kind: `single`, `sentinel` or `cluster`.
        hosts: of the servers that are asked first; none for a single one.
        name: of the master that Sentinel knows.
        options: for each connection, as redis-py takes them.
        text: scheme, hosts and path, for people.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    name: str
    options: dict[str, Any]
    text: str

    def __repr__(self) -> str:
        return f"Address({self.text!r})"


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        SettingError: it is not valid; the detail says what one looks like, and repeats nothing of it.
    """
    scheme = find_scheme(text)
    rest = text.removeprefix(f"{scheme}://")
    found = _ADDRESS.fullmatch(rest)
    if found is None:
        raise SettingError(f"engine: this {scheme}:// address has an @ or # behind its host. {_ESCAPES}")
    login, hosts, path, query = found.groups(default="")
    kind = scheme.partition("+")[2] or "single"
    user, _, password = map(unquote, login.partition(":"))
    options: dict[str, Any] = {"username": user, "password": password}
    options = {name: value for name, value in options.items() if value} | _read_query(scheme, query)
    if scheme == "unix":
        if hosts or not path:
            raise SettingError("engine: a unix:// address has a path and no host: unix:///run/redis.sock?db=0.")
        options |= {"path": unquote(path), "connection_class": UnixDomainSocketConnection}
        return Address(kind, (), "", _check_options(options), _told(scheme, login, hosts + path))
    if scheme.startswith("rediss"):
        options["connection_class"] = SSLConnection
    servers = tuple(_parse_host(scheme, host, _PORTS[kind]) for host in hosts.split(","))
    name, database = _parse_path(scheme, kind, path)
    if kind == "single":
        if len(servers) > 1:
            raise SettingError(f"engine: a {scheme}:// address has one host; several go with redis+cluster://.")
        options["host"], options["port"] = servers[0]
        servers = ()
    if database:
        options["db"] = int(database)
    return Address(kind, servers, name, _check_options(options), _told(scheme, login, hosts + path))


def _told(scheme: str, login: str, place: str) -> str:
    return f"{scheme}://{'…@' if login else ''}{place}"


def _parse_host(scheme: str, text: str, port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    number = int(found[3] or port) if found is not None else 0
    if found is None or not 0 < number < 65_536:
        raise SettingError(
            f"engine: this {scheme}:// address has no sound host and port; write them as host:{port}. {_ESCAPES}"
        )
    return found[1] or found[2], number


def _parse_path(scheme: str, kind: str, path: str) -> tuple[str, str]:
    """The master's name for Sentinel, and the database's number, empty if there is none."""
    name, _, database = path[1:].partition("/") if kind == "sentinel" else ("", "", path[1:])
    if kind == "sentinel" and not _MASTER.fullmatch(name):
        raise SettingError(
            f"engine: this {scheme}:// address lacks the name that Sentinel gives the master: add /mymaster to it."
        )
    if kind == "cluster" and database not in ("", "0"):
        raise SettingError("engine: a cluster has one database; leave the path of its address away.")
    if not re.fullmatch(r"[0-9]{0,9}", database):
        raise SettingError(f"engine: the path of a {scheme}:// address ends with the number of a database: /0.")
    return name, database


def _read_query(scheme: str, query: str) -> dict[str, Any]:
    """The options of a query, as redis-py reads them."""
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _KNOWN:
            near = get_close_matches(name, _KNOWN, n=1)
            meant = f" Did you mean {near[0]}?" if near else " It takes those of redis-py's Connection."
            raise SettingError(f"engine: the address's query has an option that redis-py does not know.{meant}")
        if name.startswith("ssl") and not scheme.startswith("rediss"):
            raise SettingError(f"engine: {name} in the address's query means nothing without TLS; write rediss.")
        try:
            read = dict(parse_url(f"redis://localhost/?{name}={quote(value, '')}"))
        except ValueError:
            raise _wrong_value(name) from None
        if value:
            options[name] = read[name]
    options.pop("max_connections", None)  # There are always two, one for commands and one to listen.
    return options


def _check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Check that redis-py takes all of them, for it would say so only when it connects, and not to people."""
    kind = options.get("connection_class", Connection)
    given = {name: value for name, value in options.items() if name not in _NOT_OF_CONNECTIONS}
    for name, value in given.items():
        try:
            kind(**{"path": "", name: value} if kind is UnixDomainSocketConnection else {name: value})
        except (TypeError, ValueError, RedisError):
            raise _wrong_value(name) from None
    try:
        kind(**given)
    except (TypeError, ValueError, RedisError):
        raise SettingError(
            "engine: options in the address's query contradict each other. Leave some of them out."
        ) from None
    return options


def _wrong_value(name: str) -> SettingError:
    right = f"; it is {_VALUES[name]}" if name in _VALUES else ""
    return SettingError(f"engine: {name} in the address's query has a value that cannot be used{right}.")


def _parameters(*kinds: type) -> frozenset[str]:
    """What the constructors of these classes, and of those that they inherit from, take by name."""
    named = (
        parameter.name
        for kind in kinds
        for each in kind.__mro__
        if each is not object and "__init__" in vars(each)
        for parameter in inspect.signature(vars(each)["__init__"]).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )
    return frozenset(named) - {"self", "host", "port", "path"}


_KNOWN: Final = _parameters(SSLConnection) | {"max_connections", "sentinel_username", "sentinel_password"}
