"""What a client says on a WebSocket, judged by the library's sans-I/O protocol (RFC 6455 §5 to §7).

It has bounded the length of a message, also of one in fragments and of one that is inflated, before it comes
here (CVE-2018-1000518).
"""

import codecs
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from slosh.web.deflate import make_inflater

_make_decoder: Final = codecs.getincrementaldecoder("utf-8")


class Conversation:
    """The client's half of an open WebSocket, and what the protocol itself has to answer.

    Args:
        max_size: bytes of one message; a longer one fails the connection with 1009.
        binary: whether binary messages are taken; else they fail it with 1003.
        deflated: whether messages may come compressed; else they fail it with 1002.
    """

    __slots__ = ("_binary", "_decoder", "_fragments", "_kind", "_max_size", "_protocol")

    def __init__(self, max_size: int, *, binary: bool = False, deflated: bool = False) -> None:
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=max_size)
        if deflated:
            self._protocol.extensions = [make_inflater()]
        self._max_size = max_size
        self._binary = binary
        self._kind = Opcode.TEXT  # of the message whose fragments are gathered
        self._fragments: list[bytes] = []
        self._decoder = _make_decoder()

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close."""
        return self._protocol.state is State.OPEN

    @property
    def failure(self) -> int:
        """The code with which we failed the connection, 0 where we did not."""
        sent = self._protocol.close_sent
        ours = sent is not None and sent.code != CloseCode.GOING_AWAY and not self._protocol.close_rcvd_then_sent
        return int(sent.code) if sent is not None and ours else 0

    def hear(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Take in bytes from the client, and give the messages that are whole now, with their kind.

        What came behind a frame that failed the connection counts for nothing (RFC 6455 §7.1.7). The caller
        owes a look at `reply`.
        """
        self._protocol.receive_data(data)
        messages: list[tuple[Opcode, bytes]] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and not self._take(event, messages):
                break
        return messages

    def close(self) -> None:
        """Begin to close: the client is to come back, to this server or the next (RFC 6455 §7.4.1)."""
        if self.is_open:
            self._protocol.send_close(CloseCode.GOING_AWAY)

    def reply(self) -> bytes:
        """What has to be written: answers to pings, and the close frame."""
        return b"".join(self._protocol.data_to_send())

    def _take(self, frame: Frame, messages: list[tuple[Opcode, bytes]]) -> bool:
        """Take in one frame; False when the connection fails by it."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._kind = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return True  # The protocol has answered it.
        if self._kind is Opcode.BINARY and not self._binary:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "messages are text")
            return False
        self._fragments.append(bytes(frame.data))
        if self._kind is Opcode.TEXT:
            try:
                # Fragment by fragment, so that a long message fails where it goes wrong and not at its end.
                self._decoder.decode(frame.data, final=frame.fin)
            except UnicodeDecodeError:
                self._protocol.fail(CloseCode.INVALID_DATA, "a text message is UTF-8")
                return False
        if frame.fin:
            message = b"".join(self._fragments)
            self._fragments.clear()
            if len(message) > self._max_size:  # zlib may hold back the last bytes of what it was not to give
                self._protocol.fail(CloseCode.MESSAGE_TOO_BIG, "the message is too large")
                return False
            messages.append((self._kind, message))
        return True
