"""WebSocket frames as a client sends and reads them, written from RFC 6455 alone."""

import struct
from collections.abc import Iterator

from tests.web.harness import Client, Site

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TEXT, BINARY, CLOSE, PING, PONG, CONT = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes = MASK, reserved: int = 0) -> bytes:
    """A frame as a client sends it (RFC 6455 §5.2), written from the standard alone; no mask for an empty one."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, masked | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, masked | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, masked | 127, len(payload))
    if mask:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + payload


def frames(client: Client) -> Iterator[tuple[int, bytes]]:
    """The frames that have come from the server: opcode and payload. None of them is masked or a fragment."""
    data = bytes(client.wire.arrived)
    client.wire.arrived.clear()
    place = 0
    while place < len(data):
        length, start = data[place + 1], place + 2
        if length == 126:
            length, start = struct.unpack_from("!H", data, start)[0], start + 2
        elif length == 127:
            length, start = struct.unpack_from("!Q", data, start)[0], start + 8
        assert data[place] & 0xF0 == 0x80
        assert len(data) >= start + length
        yield data[place] & 0xF, data[start : start + length]
        place = start + length


def open_socket(site: Site, target: str = "/topics/a") -> Client:
    client = site.connect().get(target, **HANDSHAKE)
    assert client.next().status == 101
    return client
