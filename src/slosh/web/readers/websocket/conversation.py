"""What a client says on a WebSocket: its frames, read and checked by the standard (RFC 6455 §5 to §7).

The rules of this file:

* Frames are read in portions, so one client's burst does not make the others wait, and at most one large message
  is in memory at a time, however many more have come behind it.
* A message is bounded while it is gathered and while it is inflated, not afterwards (CVE-2018-1000518), in its
  bytes and in the number of its fragments.
* A frame that breaks the standard fails the connection. Anything received afterwards is discarded (§7.1.7).
"""

import codecs
import zlib
from typing import Final

from websockets.exceptions import ProtocolError
from websockets.frames import Close, CloseCode, Frame, Opcode

from slosh.web.readers.websocket.deflate import Inflater

try:
    from websockets.speedups import apply_mask
except ImportError:  # a build without its C part
    from websockets.utils import apply_mask

FREE_FRAGMENTS: Final = 1024
BYTES_A_FRAGMENT: Final = 64
"""A message may have `FREE_FRAGMENTS` fragments, and one more for this many bytes of the largest message: fragments of
64 bytes are the smallest in use (Autobahn's cases 9.3.1 and 9.4.1). Empty ones could go on without an end."""

UNIT: Final = 4096
"""Bytes of a message that count as much as one frame, where the work of a portion is counted."""

_LONGEST_CONTROL: Final = 125
"""Bytes of a control frame's payload (RFC 6455 §5.5)."""
_MASK: Final = 4
"""Bytes of the masking key."""
_NO_FRAME: Final = -1

_make_decoder: Final = codecs.getincrementaldecoder("utf-8")


class _FailedError(Exception):
    """The connection fails (RFC 6455 §7.1.7)."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Conversation:
    """The client's half of an open WebSocket, and what the protocol itself has to answer.

    Args:
        max_size: bytes of one message; a longer one fails the connection with 1009.
        binary: whether binary messages are accepted; else they fail it with 1003.
        deflated: whether messages may come compressed; else they fail it with 1002.

    Attributes:
        max_size: as above; it may be changed between two calls of `hear`.
        is_open: whether neither side has begun to close.
        failure: the code with which we failed the connection, 0 if we did not.
    """

    __slots__ = (
        "_binary",
        "_compressed",
        "_decoder",
        "_deflated",
        "_fin",
        "_fragments",
        "_inflater",
        "_kind",
        "_mask",
        "_message",
        "_missing",
        "_opcode",
        "_part",
        "_payload",
        "_replies",
        "failure",
        "is_open",
        "max_size",
    )

    def __init__(self, max_size: int, *, binary: bool = False, deflated: bool = False) -> None:
        self.max_size = max_size
        self._binary = binary
        self._deflated = deflated
        self._replies: list[bytes] = []
        self.is_open = True
        self.failure = 0
        # The frame that is being read.
        self._part = b""  # the beginning of its head, if that is cut
        self._missing = _NO_FRAME  # bytes of its payload that are still to come
        self._payload = bytearray()  # as it came
        self._mask = b""
        self._opcode = Opcode.TEXT
        self._fin = True
        # The message whose fragments are gathered.
        self._kind: Opcode | None = None  # None between two messages
        self._message = bytearray()
        self._fragments = 0
        self._compressed = False
        self._inflater: Inflater | None = None  # of a message that is compressed
        self._decoder = _make_decoder()

    def hear(self, data: bytes, most: int) -> tuple[list[tuple[Opcode, bytes]], bytes]:
        """Take in bytes from the client. Look at `reply` afterwards.

        Args:
            data: what came, behind what was left over the last time.
            most: frames that are read; `UNIT` bytes of a message count as one frame.

        Returns:
            The messages that are whole now, with their kind, and the bytes that were not looked at: pass them again,
            before anything that comes later. The connection may have failed.
        """
        if self._part:
            data = self._part + data
            self._part = b""
        at, end = 0, len(data)
        messages: list[tuple[Opcode, bytes]] = []
        try:
            while at < end and most > 0 and self.is_open:
                if self._missing == _NO_FRAME:
                    start = self._begin_frame(data, at)
                    if not start:
                        self._part = data[at:]
                        return messages, b""
                    at = start
                piece = data[at : at + self._missing]
                self._payload += piece
                self._missing -= len(piece)
                at += len(piece)
                if not self._missing:
                    most -= 1 + self._end_frame(messages) // UNIT
        except _FailedError as error:
            self._fail(error.code, error.reason)
        return messages, data[at:] if self.is_open else b""

    @property
    def size(self) -> int:
        """Bytes that are kept of a message that is not whole."""
        return len(self._message) + len(self._payload)

    def close(self, code: CloseCode = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Begin to close; by default the client is to come back, to this server or the next (RFC 6455 §7.4.1)."""
        if self.is_open:
            self._end(Close(code, reason).serialize())

    def reply(self) -> bytes:
        """What has to be written: answers to pings, and the close frame."""
        replies, self._replies = self._replies, []
        return b"".join(replies)

    def _begin_frame(self, data: bytes, at: int) -> int:
        """Read the head of a frame (RFC 6455 §5.2). Gives where its payload begins, 0 if the head is not whole."""
        left = len(data) - at
        if left < 2:
            return 0
        first, second = data[at], data[at + 1]
        length, start = second & 0x7F, at + 2
        self._check_kind(first, length)
        if not second & 0x80:
            raise _FailedError(CloseCode.PROTOCOL_ERROR, "a client masks its frames")
        if length > _LONGEST_CONTROL:
            size = 2 if length == 126 else 8
            if left < 2 + size:
                return 0
            length = int.from_bytes(data[start : start + size], "big")
            start += size
            if length < (126 if size == 2 else 0x1_0000) or length >> 63:
                raise _FailedError(CloseCode.PROTOCOL_ERROR, "a length is written in the fewest bytes")
        if not self._opcode & 0x8:
            self._check_room(length)
        if len(data) < start + _MASK:
            return 0
        self._mask = data[start : start + _MASK]
        self._missing = length
        return start + _MASK

    def _check_kind(self, first: int, length: int) -> None:
        """Check that a frame may come now: by its first byte, and the length as its second byte has it."""
        try:
            opcode = Opcode(first & 0xF)
        except ValueError:
            raise _FailedError(CloseCode.PROTOCOL_ERROR, "there is no such opcode") from None
        fin, compressed = bool(first & 0x80), bool(first & 0x40)
        begins = opcode in (Opcode.TEXT, Opcode.BINARY)
        # RFC 7692 §6: the first frame of a message says that it is compressed, and no other frame does.
        if first & 0x30 or (compressed and not (self._deflated and begins)):
            raise _FailedError(CloseCode.PROTOCOL_ERROR, "reserved bits are 0")
        if opcode & 0x8:
            if not fin or length > _LONGEST_CONTROL:
                raise _FailedError(CloseCode.PROTOCOL_ERROR, "a control frame is short and whole")
        elif begins != (self._kind is None):
            raise _FailedError(CloseCode.PROTOCOL_ERROR, "the fragments of a message come one after another")
        elif opcode is Opcode.BINARY and not self._binary:
            raise _FailedError(CloseCode.UNSUPPORTED_DATA, "messages are text")
        elif begins:
            self._compressed = compressed
        self._opcode = opcode
        self._fin = fin

    def _check_room(self, length: int) -> None:
        """Check that a frame of `length` bytes has room in its message."""
        if length > self.max_size - len(self._message):
            raise _FailedError(CloseCode.MESSAGE_TOO_BIG, "the message is too large")
        if self._fragments >= FREE_FRAGMENTS + self.max_size // BYTES_A_FRAGMENT:
            raise _FailedError(CloseCode.MESSAGE_TOO_BIG, "the message has too many fragments")

    def _end_frame(self, messages: list[tuple[Opcode, bytes]]) -> int:
        """Take in the frame that is whole. Returns the bytes of work that it was."""
        self._missing = _NO_FRAME
        payload = apply_mask(self._payload, self._mask)
        self._payload = bytearray()
        opcode = self._opcode
        if opcode is Opcode.PING:
            self._replies.append(Frame(Opcode.PONG, payload).serialize(mask=False))
        elif opcode is Opcode.CLOSE:
            self._take_close(payload)
        elif opcode is not Opcode.PONG:
            return self._take_fragment(payload, messages)
        return len(payload)

    def _take_fragment(self, payload: bytes, messages: list[tuple[Opcode, bytes]]) -> int:
        """Take in a part of a message."""
        if self._kind is None:
            self._kind = self._opcode
            self._decoder = _make_decoder()
            self._inflater = Inflater() if self._compressed else None
        self._fragments += 1
        if self._inflater is not None:
            payload = self._inflate(self._inflater, payload)
        if self._kind is Opcode.TEXT:
            try:
                # Fragment by fragment, so that a long message fails where it goes wrong and not at its end.
                self._decoder.decode(payload, final=self._fin)
            except UnicodeDecodeError:
                raise _FailedError(CloseCode.INVALID_DATA, "a text message is UTF-8") from None
        if not self._fin:
            self._message += payload
        else:
            messages.append((self._kind, bytes(self._message) + payload if self._message else payload))
            self._message = bytearray()
            self._inflater = None
            self._kind = None
            self._fragments = 0
        return len(payload)

    def _inflate(self, inflater: Inflater, payload: bytes) -> bytes:
        room = self.max_size - len(self._message)
        try:
            data = inflater.inflate(payload, room + 1, final=self._fin)
        except zlib.error:
            raise _FailedError(CloseCode.PROTOCOL_ERROR, "a compressed message does not inflate") from None
        if len(data) > room:
            raise _FailedError(CloseCode.MESSAGE_TOO_BIG, "the message is too large")
        return data

    def _take_close(self, payload: bytes) -> None:
        """Answer a close with the same code and reason (RFC 6455 §5.5.1), also one within a message."""
        try:
            Close.parse(payload)
        except ProtocolError:
            raise _FailedError(CloseCode.PROTOCOL_ERROR, "there is no such close") from None
        except UnicodeDecodeError:
            raise _FailedError(CloseCode.INVALID_DATA, "the reason of a close is UTF-8") from None
        self._end(payload)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.failure = int(code)
        self._end(Close(code, reason).serialize())

    def _end(self, payload: bytes) -> None:
        """Write the close frame, and forget what was begun."""
        self.is_open = False
        self._replies.append(Frame(Opcode.CLOSE, payload).serialize(mask=False))
        self._payload = bytearray()
        self._message = bytearray()
