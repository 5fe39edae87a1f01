"""Compressed WebSocket messages (permessage-deflate, RFC 7692), for who turned them on.

Both sides forget after each message what they have seen (`no_context_takeover`), though it costs some of the gain: so
a message is compressed once for all readers at the same place, and an open socket keeps no window of 32 KiB.
What a client sends is bounded while it is inflated, not afterwards (CVE-2018-1000518).
"""

import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

_SMALLEST: Final = 128
"""Bytes. What is shorter hardly gets shorter."""
_MEMORY: Final = 5
"""zlib's memLevel: 16 KiB for as long as one message is compressed, at little loss for messages of a few KiB."""
_TAIL: Final = b"\x00\x00\xff\xff"
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

    def compress(self, message: bytes) -> bytes | None:
        """A message's compressed bytes (RFC 7692 §7.2.1), None where they would hardly be fewer."""
        if len(message) < _SMALLEST:
            return None
        compressor = zlib.compressobj(wbits=-self.bits, memLevel=_MEMORY)
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
        return None  # The handshake itself is judged elsewhere.
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


def make_inflater() -> PerMessageDeflate:
    """What inflates the messages of a client, for a protocol object of the library."""
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=_WIDEST,  # serves narrower ones too
        local_max_window_bits=_WIDEST,
    )
