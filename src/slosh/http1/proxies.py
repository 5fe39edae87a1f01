"""What a proxy says of its client: the address, the scheme, and the prefix of the URL.

The rules of this file:

* A request reaches us from a peer. Its word on the client behind that peer counts only if the setting
  `trusted_proxies` names the peer; everybody else could say anything. The scheme is the exception: it decides about
  the `Secure` of a cookie alone, so a lie harms the liar alone, and it is believed of everybody.
* Each proxy appends the address that it was reached from (RFC 7239 §5.2), so the list is read from its end. The first
  address that is no trusted proxy is the client; what stands before it was written by the client itself.
* `X-Forwarded-For` wins over `Forwarded`, because most proxies write that one alone and pass the other on as it came.
* The scheme is read from the beginning of its list: it is the one between the client and the first proxy.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from slosh.errors import SettingError
from slosh.http1.head import Head

UNIX: Final = "unix"
"""In the setting: any client that comes by a Unix socket."""

NONE: Final = "none"
"""The setting that trusts no peer."""

_MOST_HOPS: Final = 32
"""Addresses that are looked at, from the end. No request passes more proxies."""
_MOST_KNOWN: Final = 1024
"""Addresses that are remembered; clients say what some of them are, so all are forgotten when there are more."""
_LONGEST_KNOWN: Final = 64
"""Characters of one that is remembered."""
_LONGEST_PREFIX: Final = 256
"""Characters of a prefix. It travels in the path of each cookie."""
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+=:@-]+)+", re.ASCII)
_HOP: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)", re.ASCII)
"""An address as proxies write it: with or without a port, IPv6 with or without brackets."""
_PAIR: Final = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&\'*+.^_`|~0-9A-Za-z:\[\]-]*))')
"""A pair of a `Forwarded` element (RFC 7239 §4). Addresses with a colon should be quoted; not everybody does so."""

Address = IPv4Address | IPv6Address


class Proxies:
    """Which peers are proxies whose word counts.

    Args:
        trusted: the setting: addresses and networks with spaces or commas between, and `unix`; or `none`.

    Raises:
        SettingError: one of them is not valid.
    """

    def __init__(self, trusted: str) -> None:
        words = [] if trusted == NONE else trusted.replace(",", " ").split()
        self._local = UNIX in words
        self._networks = [_parse_network(word) for word in words if word != UNIX]
        self._known: dict[str, tuple[str, bool]] = {}

    def trusts(self, peer: str) -> bool:
        """Whether what `peer` says of its clients counts; an IP address, or nothing for a Unix socket."""
        return self._look_at(peer)[1] if peer else self._local

    def find_client(self, peer: str, head: Head) -> str:
        """The address of the client that sent a request.

        Args:
            peer: the address that the connection comes from; nothing for a Unix socket.

        Returns:
            An IP address in its canonical form; nothing if only a Unix socket is known.
        """
        found, is_trusted = self._look_at(peer)
        found = found or peer
        if not (is_trusted if peer else self._local) or not head.is_forwarded:
            return found
        for hop in reversed(_find_hops(head)[-_MOST_HOPS:]):
            address, is_trusted = self._look_at(hop)
            if not address:
                break  # "unknown", a hidden name, or nonsense: nobody is known before the last proxy.
            found = address
            if not is_trusted:
                break
        return found

    def _look_at(self, text: str) -> tuple[str, bool]:
        """The address that `text` spells, in its canonical form, and whether it is trusted. Empty for none.

        Reading an address costs as much as a publish, and the same ones come again and again, so they are remembered.
        """
        known = self._known.get(text)
        if known is None:
            address = _parse_hop(text)
            known = ("", False) if address is None else (str(address), self._trusts_address(address))
            if len(text) <= _LONGEST_KNOWN:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[text] = known
        return known

    def _trusts_address(self, address: Address) -> bool:
        return any(address in network for network in self._networks if network.version == address.version)


def is_over_tls(head: Head) -> bool:
    """Whether the client came over TLS, as far as anybody in front of us says so."""
    schemes = head.tokens(b"x-forwarded-proto")
    if not schemes:
        schemes = [pairs["proto"].lower() for pairs in _parse_forwarded(head) if "proto" in pairs]
    return schemes[:1] == ["https"]


def find_prefix(head: Head) -> str:
    """The path that a proxy has cut off in front of ours, such as `/slosh`; nothing if there is none that is sound.

    Whether the word of the peer counts has to be asked before it is used.
    """
    values = head.all(b"x-forwarded-prefix")
    if len(values) != 1:
        return ""
    text = values[0].decode("latin-1").rstrip("/")
    if len(text) > _LONGEST_PREFIX or not _PREFIX.fullmatch(text) or {".", ".."} & set(text.split("/")):
        return ""
    return text


def _find_hops(head: Head) -> list[str]:
    """The addresses that the proxies have written down, the client's first."""
    lines = head.late(b"x-forwarded-for")
    if lines:
        return [hop.strip(" \t") for hop in b",".join(lines).decode("latin-1").split(",")]
    return [pairs.get("for", "") for pairs in _parse_forwarded(head)]


def _parse_forwarded(head: Head) -> list[dict[str, str]]:
    """The elements of all `Forwarded` fields, with the names in lower case. One that is malformed is empty."""
    fields = head.all(b"forwarded")
    if not fields:
        return []
    elements: list[dict[str, str]] = [{}]
    text = b",".join(fields).decode("latin-1")
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is not None:
            value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
            elements[-1].setdefault(match[1].lower(), value)
            at = match.end()
        elif text[at] == ",":
            elements.append({})
            at += 1
        elif text[at] in "; \t":
            at += 1
        else:  # No pair: what follows up to the next comma means nothing.
            stop = text.find(",", at)
            elements[-1] = {}
            at = stop if stop >= 0 else len(text)
    return elements


def _parse_hop(text: str) -> Address | None:
    """An address without its port and zone; IPv4 within IPv6 is told as IPv4, or one client would be two."""
    match = _HOP.fullmatch(text.partition("%")[0])
    if match is None:
        return None
    try:
        address = ip_address(match[1] or match[2] or match[3])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _parse_network(word: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(word)
    except ValueError:
        pass
    try:
        meant = str(ip_network(word, strict=False))
    except ValueError:
        meant = "10.0.0.7, 10.0.0.0/8, 2001:db8::/32, or unix for a Unix socket"
        if word == "*":
            meant = "0.0.0.0/0 ::/0 for all, which lets every client choose its own address"
    raise SettingError(f"trusted_proxies: {word} is no address and no network. Write {meant}.")
