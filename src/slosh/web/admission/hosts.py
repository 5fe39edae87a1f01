"""Which names this server answers to: the guard against DNS rebinding.

A page at `http://evil.example:8000` whose owner points that name at 127.0.0.1 is, to its browser, of the same origin
as a server on port 8000 of the visitor's own machine. It may read there and post there, and set nearly every header
field, `X-Forwarded-Host` among them; what it cannot change is `Host`. So `Host` alone is looked at.

The rules of this file:

* IP addresses, `localhost` and `*.localhost` are always answered: no DNS entry of a stranger stands behind them
  (RFC 6761 §6.3; dev servers such as Vite and webpack's draw the same line). Health checks ask by address.
* With the setting `hosts` the names in it are answered besides, and no others. `*` answers all.
* Without it, a server that listens on loopback alone refuses foreign names, if the client itself came to the
  server's port: browsers write the port into `Host` unless it is 80. A `Host` with another port, or with none, was
  written for a program in front of this server (nginx, a tunnel), which is reached from elsewhere, and is believed.
* A client without `Host`, which HTTP/1.0 allows, is no browser.
"""

import re
from collections.abc import Collection
from typing import Final

from slosh.errors import SettingError, UnknownHost
from slosh.http1.head import Head
from slosh.schemes import DEFAULT_PORTS

_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?", re.ASCII)
_IS_ADDRESS: Final = re.compile(r"\[.*\]|(?:.*\.)?[0-9]+", re.ASCII)
"""No host whose last label is a number is looked up in DNS (WHATWG URL §3.5, "ends in a number")."""


class Hosts:
    """The policy.

    Args:
        allowed: the setting: names with spaces or commas between, `*.example.com` for all below one, `*` for any.
        own: the setting `host`, a name or an address.
        has_tls: whether this server itself speaks TLS.
        direct: the ports that this server listens on, if it listens on loopback alone; else none.

    Raises:
        SettingError: one of the names is not valid.
    """

    def __init__(self, allowed: str, own: str = "", direct: Collection[int] = (), *, has_tls: bool = False) -> None:
        self._port = DEFAULT_PORTS["https" if has_tls else "http"]
        names = allowed.replace(",", " ").lower().split()
        self._any = "*" in names or not (names or direct)
        self._direct = frozenset(() if names else direct)  # if foreign names may still come by another port
        self._names = {_check(name) for name in names if name != "*" and not name.startswith("*.")}
        self._above = (".localhost", *(_check(name)[1:] for name in names if name.startswith("*.")))
        self._names |= {"localhost", own.lower()}

    def check(self, head: Head) -> None:
        """Check that a request is for this server.

        Raises:
            UnknownHost: it is for another.
        """
        if self._any:
            return
        named = head.first(b"host").lower()
        name, port = _split(named, self._port)
        if not named or _IS_ADDRESS.fullmatch(name) or name in self._names or name.endswith(self._above):
            return
        if self._direct and port not in self._direct:
            return
        raise UnknownHost(
            f"This server does not answer to the name {name}. Its setting hosts lists those it does. If "
            f"this is its name, start it with --hosts {name}."
        )


def _split(host: str, default: int) -> tuple[str, int]:
    """The name without the dot that a full one may end with, and the port."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    return name.removesuffix("."), int(port) if port else default


def _check(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SettingError(f"hosts: {name} is no name. Write names without scheme and port: app.example, *.example.")
    return name
