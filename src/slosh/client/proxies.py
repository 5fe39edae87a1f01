"""Which proxy a client's requests go through, as the environment says. No I/O here.

The rules of this file:

* HTTP_PROXY is for addresses that begin with `http://`, HTTPS_PROXY for those with `https://`, ALL_PROXY for both if
  these are not set, as in curl. In lower case too, which wins.
* Names and networks in NO_PROXY are reached directly.
* This machine is always reached directly, and so are Unix sockets: a proxy would look for them on its own machine.
"""

import ipaddress
from importlib.util import find_spec
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from slosh.client.addresses import split_login
from slosh.client.errors import BadUse

_SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})


def find_proxy(base: str) -> str:
    """The address of the proxy for requests to a server, as the environment names it; empty for none.

    Args:
        base: the server's address, which begins with `http://` or `https://`.

    Raises:
        BadUse: what the environment names cannot be used as a proxy.
    """
    parts = urlsplit(base)
    if is_this_machine(parts.hostname or ""):
        return ""
    named = getproxies()
    kind = parts.scheme if named.get(parts.scheme) else "all"
    proxy = named.get(kind, "")
    if not proxy or proxy_bypass(parts.hostname or "") or _is_excepted(parts, named.get("no", "")):
        return ""
    return check_proxy(proxy, f"{kind.upper()}_PROXY")


def check_proxy(proxy: str, name: str) -> str:
    """The address of a proxy, with its scheme, which may be left out if it is `http://`.

    Raises:
        BadUse: it cannot be used; `name` says which variable holds it.
    """
    address = proxy if "://" in proxy else f"http://{proxy}"
    instead = "Set it to http://host:port, or add the server's name to NO_PROXY to reach it directly."
    try:
        parts = urlsplit(address)
        if not parts.hostname or parts.port == 0:
            raise ValueError  # noqa: TRY301 - as urlsplit does of others
    except ValueError:
        raise BadUse(f"{name} names no address of a proxy. {instead}") from None
    if parts.scheme not in _SCHEMES:
        raise BadUse(f"{name} names a proxy of the kind {parts.scheme}://, which cannot be used here. {instead}")
    if parts.scheme.startswith("socks5") and find_spec("socksio") is None:
        raise BadUse(f"{name} names a SOCKS proxy, for which the library socksio is not installed. {instead}")
    return address


def shown_proxy(proxy: str) -> str:
    """A proxy's address without the login that may stand in it."""
    return split_login(proxy)[0]


def is_this_machine(host: str) -> bool:
    """Whether a host is the machine that this runs on: localhost, a name below it, or a loopback address."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback or address.is_unspecified


def _is_excepted(parts: SplitResult, excepted: str) -> bool:
    """Whether NO_PROXY names a server's host, alone or with its port, a domain above it, or its network."""
    host = (parts.hostname or "").rstrip(".")
    at_port = parts.netloc.rpartition("@")[2].lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for each in excepted.lower().split(","):
        name = each.strip().rpartition("://")[2].removeprefix("*").lstrip(".")
        if each.strip() == "*" or (name and (name in (host, at_port) or host.endswith(f".{name}"))):
            return True
        try:
            if address is not None and address in ipaddress.ip_network(
                name.replace("[", "").replace("]", ""), strict=False
            ):
                return True
        except ValueError:  # it is no network
            continue
    return False
