"""A PROXY header is read as HAProxy specifies it, in whatever pieces it comes, and nothing else is taken for one."""

import socket
import struct

import pytest

from slosh.http1.proxy_protocol import MOST, BadProxyHeader, ProxyHeader, parse_header
from tests.cases import each_of

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(payload)) + payload


FOUR = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.9") + struct.pack("!HH", 40000, 443)
SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + struct.pack("!HH", 40000, 443)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1") * 2 + struct.pack("!HH", 1, 2)
TLV = b"\x03\x00\x04\x00\x00\x00\x00"

GOOD = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.9 40000 443\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:DB8::1 2001:db8::9 40000 443\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""),
    (binary(1, 0x11, FOUR), "192.0.2.1"),
    (binary(1, 0x11, FOUR + TLV), "192.0.2.1"),
    (binary(1, 0x21, SIX), "2001:db8::1"),
    (binary(1, 0x21, MAPPED), "192.0.2.1"),
    (binary(0, 0x00, b""), ""),
    (binary(0, 0x11, FOUR), ""),
    (binary(1, 0x31, bytes(216)), ""),
]


@each_of(("data", "client"), GOOD)
def test_a_header_is_taken_whole_and_nothing_behind_it(data: bytes, client: str) -> None:
    for more in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
        assert parse_header(data + more) == ProxyHeader(client, len(data))
    for end in range(len(data)):
        assert parse_header(data[:end]) is None


@each_of(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXY TCP4 192.0.2.256 192.0.2.9 40000 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 40000 443\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.9 40000 443\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.9 40000\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.9 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n" + b"x" * 107,
        b"PROXY UDP4 192.0.2.1 192.0.2.9 1 2\r\n",
        b"PROXY " + b"x" * 200,
        b"proxy TCP4 192.0.2.1 192.0.2.9 1 2\r\n",
        binary(1, 0x11, FOUR[:-1]),
        binary(2, 0x11, FOUR),
        SIGNATURE + b"\x11\x11\x00\x0c" + FOUR,
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MOST),
        SIGNATURE[:-1] + b"\r",
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        parse_header(data)
