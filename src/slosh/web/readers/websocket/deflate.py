"""Compressed WebSocket messages (permessage-deflate, RFC 7692), for who turned them on.

Both sides forget after each message what they have seen (`no_context_takeover`), though it costs some of the gain: so
a message is compressed once for all readers at the same place, and an open socket keeps no window of 32 KiB.
What a client sends is bounded while it is inflated, not afterwards (CVE-2018-1000518).
"""

import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

_SMALLEST: Final = 128
"""Bytes. A shorter message hardly gets shorter."""
_LARGE: Final = 32 * 1024
"""Bytes. A longer message is compressed with less effort: a MiB could take a fifth of a second else."""
_LARGEST: Final = 256 * 1024
"""Bytes. A longer message is sent as it is: it cannot be compressed in portions, and would take up to 30 ms a MiB."""
_LEVEL: Final = 6
_FAST: Final = 1
"""zlib's levels."""
COMPRESSING: Final = 32
"""How many times as long it may take to compress bytes as to look at them."""
_MEMORY: Final = 5
"""zlib's memLevel: 16 KiB for as long as one message is compressed, at little loss for messages of a few KiB."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""What ends the compressed bytes of a message, and is left out on the wire (RFC 7692 §7.2.1)."""
_WIDEST: Final = 15
_NARROWEST: Final = 9
"""Bits of a window. RFC 7692 §7.1.2.1 knows 8 too, zlib does not; and the library has not always said so."""


class Deflate(NamedTuple):
    """What was agreed on.

    Attributes:
        bits: of the window that the client keeps for what we send.
        field: the header line that says so.
    """

    bits: int
    field: bytes

    @staticmethod
    def takes(size: int) -> bool:
        """Whether a message of `size` bytes is compressed at all."""
        return _SMALLEST <= size <= _LARGEST

    def compress(self, message: bytes) -> bytes | None:
        """A message's compressed bytes (RFC 7692 §7.2.1), None if they would hardly be fewer."""
        if not self.takes(len(message)):
            return None
        level = _LEVEL if len(message) <= _LARGE else _FAST
        compressor = zlib.compressobj(level, wbits=-self.bits, memLevel=_MEMORY)
        data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(_TAIL) if len(data) < len(message) else None


def negotiate(offers: Iterable[str]) -> Deflate | None:
    """Agree on one of the client's offers, or on none (RFC 7692 §7.1).

    Args:
        offers: the values of its fields `Sec-WebSocket-Extensions`.
    """
    ours = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
    try:
        offered = [offer for value in offers for offer in parse_extension(value)]
    except InvalidHeader:
        return None  # The handshake itself is checked elsewhere.
    for name, parameters in offered:
        if name == ours.name:
            try:
                agreed, extension = ours.process_request_params(parameters, [])
            except NegotiationError:
                continue  # The client may have made other offers, in the order of its preference.
            if extension.local_max_window_bits < _NARROWEST:
                continue
            answer = build_extension([(name, agreed)])
            return Deflate(extension.local_max_window_bits, f"Sec-WebSocket-Extensions: {answer}\r\n".encode("ascii"))
    return None


class Inflater:
    """Inflates one message of a client (RFC 7692 §7.2.2)."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=-_WIDEST)  # serves narrower windows too

    def inflate(self, data: bytes, most: int, *, final: bool) -> bytes:
        """The next part of the message, of at most `most` bytes, at least one; if it is longer, that much of it.

        Args:
            data: the payload of the message's next frame.
            most: bytes that are inflated.
            final: whether it is the last frame.

        Raises:
            zlib.error: this is nothing compressed.
        """
        return self._stream.decompress(data + _TAIL if final else data, most)
