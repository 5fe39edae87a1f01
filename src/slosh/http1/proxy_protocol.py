"""The PROXY protocol, versions 1 and 2: how a proxy for TCP says which client it carries.

As HAProxy specifies it (proxy-protocol.txt, §2.1 and §2.2). Only the client's address is used; what else may stand in a
header of version 2 is passed over.
"""

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

MOST: Final = 2048
"""Bytes of a header; proxies write below 536 unless they add a certificate."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_LINE: Final = b"PROXY "
_LONGEST_LINE: Final = 107
_FIXED: Final = 16
_V1: Final = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]{2,45}) [0-9A-Fa-f:.]{2,45} [0-9]{1,5} [0-9]{1,5}\r\n", re.ASCII
)
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN[^\r\n]*\r\n")
_ADDRESSES: Final = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}
"""Bytes of an address, by family and protocol."""


class BadProxyHeader(Exception):
    """What a proxy has sent is no header of the PROXY protocol."""


class ProxyHeader(NamedTuple):
    """A header.

    Attributes:
        client: the client's address; empty if the proxy speaks for itself.
        length: of the header, bytes.
    """

    client: str
    length: int


def parse_header(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with; None if more of it has to come. It looks at `MOST` bytes.

    Raises:
        BadProxyHeader: it begins with none.
    """
    if data.startswith(_SIGNATURE):
        return _parse_binary(data)
    if data.startswith(_LINE):
        return _parse_line(data)
    if _SIGNATURE.startswith(data) or _LINE.startswith(data):
        return None
    raise BadProxyHeader


def _parse_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _LONGEST_LINE) + 2
    if end < 2:
        if len(data) >= _LONGEST_LINE:
            raise BadProxyHeader
        return None
    line = data[:end]
    match = _V1.fullmatch(line)
    if match is None:
        if _UNKNOWN.fullmatch(line):
            return ProxyHeader("", end)
        raise BadProxyHeader
    try:
        address = ip_address(match[2].decode("ascii"))
    except ValueError:
        raise BadProxyHeader from None
    if isinstance(address, IPv4Address) != (match[1] == b"TCP4"):
        raise BadProxyHeader
    return ProxyHeader(_spell(address), end)


def _parse_binary(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    version, family, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    end = _FIXED + length
    if version not in (0x20, 0x21) or end > MOST:
        raise BadProxyHeader
    if len(data) < end:
        return None
    if version == 0x20 or family not in _ADDRESSES:  # LOCAL, as its health checks are; or a Unix socket
        return ProxyHeader("", end)
    size = _ADDRESSES[family]
    if length < 2 * size + 4:
        raise BadProxyHeader
    return ProxyHeader(_spell(ip_address(data[_FIXED : _FIXED + size])), end)


def _spell(address: IPv4Address | IPv6Address) -> str:
    """IPv4 within IPv6 is told as IPv4, or one client would be two."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
