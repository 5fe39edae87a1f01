"""WebSocket (RFC 6455): envelopes to the client, messages to publish from it.

The handshake is checked here, by the head that is parsed already. A message to the client is framed once for all
readers at the same place. The object that reads a client's frames is made when the client first sends something.
"""

import json
import re
from typing import TYPE_CHECKING, ClassVar, Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.utils import accept_key

from slosh.core.subscription import Batch, Subscription
from slosh.engine.base import Engine, Published
from slosh.errors import BadRequest, Draining, SloshError, UpgradeRequired
from slosh.http1.connection import Connection
from slosh.http1.head import Head
from slosh.http1.response import problem_document
from slosh.settings import Settings
from slosh.web.admission.credentials import SUBPROTOCOL, list_subprotocols
from slosh.web.admission.guard import find_guard
from slosh.web.jsontext import check_json
from slosh.web.publishing.longtext import LONG, LongText
from slosh.web.readers.envelope import encode_envelope, encode_place
from slosh.web.readers.formats import AS_WEBSOCKET, Format
from slosh.web.readers.request import ReadRequest
from slosh.web.readers.shared import fits_field, keys, next_field
from slosh.web.readers.state import ReaderState
from slosh.web.readers.stream import FRAME, Stream, StreamAction
from slosh.web.readers.websocket.conversation import Conversation
from slosh.web.readers.websocket.deflate import COMPRESSING, Deflate, negotiate

if TYPE_CHECKING:
    from slosh.core.classes import Classes

_SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\n%bUpgrade: websocket\r\nConnection: Upgrade\r\n%b\r\n"
_VERSION: Final = b"13"
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)
"""16 bytes in base64 (RFC 6455 §4.1)."""
_RSV1: Final = 0x40
_SELECTED: Final = b"Sec-WebSocket-Protocol: %b\r\n" % SUBPROTOCOL.encode("ascii")


class WebSocket(StreamAction):
    """The action of a GET that asks for `Upgrade: websocket`. Its `Origin` was checked before."""

    __slots__ = ("deflate",)

    format: ClassVar[Format] = AS_WEBSOCKET
    heartbeat_every: ClassVar[float] = 20.0
    portion: ClassVar[int] = FRAME

    def __init__(
        self, engine: Engine, settings: Settings, asked: ReadRequest, fields: bytes, state: ReaderState
    ) -> None:
        super().__init__(engine, settings, asked, fields, state)
        self.deflate: Deflate | None = negotiate(asked.extensions) if settings.compression == "websocket" else None
        if self.deflate is not None:
            self.takes_time = True  # A short message may inflate to a long one.
            self.key = keys.find(self.key + self.deflate.field.decode("ascii"))  # what is written depends on it

    def check_request(self, connection: Connection) -> None:
        """As the base says.

        Raises:
            BadRequest, UpgradeRequired: the handshake is not valid (RFC 6455 §4.2.1).
        """
        shake_hands(connection.head)
        super().check_request(connection)

    def begin(self, connection: Connection, subscription: Subscription, now: float) -> None:
        """Shake hands, and begin to stream.

        Raises:
            BadRequest, UpgradeRequired: the handshake is not valid (RFC 6455 §4.2.1).
            Draining: the server shuts down; nothing new begins.
        """
        if connection.server.draining:
            raise Draining
        self.hold(Socket(connection, self, subscription, shake_hands(connection.head)), now)

    def encode(self, batch: Batch) -> bytes:
        """One text message."""
        return encode_envelope(batch)


def shake_hands(head: Head) -> bytes:
    """The header lines that prove that the handshake was understood, and select the subprotocol `slosh` if offered.

    Args:
        head: of a request whose `Upgrade` and `Connection` ask for a WebSocket.

    Raises:
        BadRequest, UpgradeRequired: the handshake breaks the standard (RFC 6455 §4.2.1).
    """
    if head.method != "GET" or head.minor == 0:
        raise BadRequest("A WebSocket handshake is a GET in HTTP/1.1 (RFC 6455 §4.2.1).")
    if head.all(b"sec-websocket-version") != [_VERSION]:
        raise UpgradeRequired(_VERSION.decode("ascii"))
    keys = head.late(b"sec-websocket-key")
    key = keys[0].decode("latin-1") if len(keys) == 1 else ""
    if not _KEY.fullmatch(key):
        raise BadRequest("A WebSocket handshake has one Sec-WebSocket-Key: 16 bytes in base64 (RFC 6455 §4.2.1).")
    accepted = b"Sec-WebSocket-Accept: %b\r\n" % accept_key(key).encode("ascii")
    # A browser that has offered subprotocols wants one of them back (WHATWG WebSockets §3), and not the token.
    return accepted + _SELECTED if SUBPROTOCOL in list_subprotocols(head) else accepted


def make_frame(kind: Opcode, data: bytes, deflate: Deflate | None) -> bytes:
    """A whole message as servers send it, unmasked (RFC 6455 §5.1), and compressed if that was agreed on."""
    deflated = deflate.compress(data) if deflate is not None else None
    if deflated is None:
        return Frame(kind, data).serialize(mask=False)
    frame = Frame(kind, deflated).serialize(mask=False)
    # The library sets RSV1 (RFC 7692 §6) only if the frame goes through an extension of its own.
    return bytes([frame[0] | _RSV1]) + frame[1:]


def switch_protocols(date: bytes, fields: bytes) -> bytes:
    """The answer to a handshake, with the line that `shake_hands` gave among its fields."""
    return _SWITCHING % (date, fields)


class Socket(Stream):
    """An open WebSocket.

    Args:
        accepted: the header line from `shake_hands`.
    """

    __slots__ = ("_accepted", "_classes", "_conversation", "_deflate", "_heard", "_text")

    takes_data: ClassVar[bool] = True

    def __init__(self, connection: Connection, action: WebSocket, subscription: Subscription, accepted: bytes) -> None:
        super().__init__(connection, action, subscription)
        self._accepted = accepted
        self._deflate = action.deflate
        self._conversation: Conversation | None = None
        self._classes: Classes | None = None  # by which the largest message of the conversation is known
        self._heard = True  # whether the client gave a heartbeat since the last ping
        self._text: LongText | None = None  # the message that is being checked

    def frame(self, data: bytes) -> bytes:
        """A text message. To compress it takes much of a turn's room."""
        if self._deflate is not None and self._deflate.takes(len(data)):
            self.action.engine.hub.room -= COMPRESSING * len(data)
        return make_frame(Opcode.TEXT, data, self._deflate)

    def make_preamble(self) -> bytes:
        """Switch protocols."""
        fields, first = self._accepted + self.action.fields, b""
        if self._deflate is not None:
            fields += self._deflate.field
        if not self.subscription.is_unsettled():  # as for all streams
            cursor = self.subscription.cursor()
            fields += next_field(cursor)
            first = b"" if fits_field(cursor) else self.frame(encode_place(cursor))
        return switch_protocols(self.connection.server.date(), fields) + first

    def write_heartbeat(self) -> None:
        """Ping, and give up on a client that did not answer the last one (RFC 6455 §5.5.2)."""
        if not self._heard:
            self.leave()
            self.connection.server.closed["ping"] += 1
            self.connection.abandon()
        elif not self.connection.is_stalled:
            self._heard = False
            self.connection.write_seldom(Frame(Opcode.PING, b"").serialize(mask=False))

    def writable(self) -> None:
        """The client has caught up; what it said meanwhile, such as the answer to a ping, was not read."""
        self._heard = True
        super().writable()

    def data(self, data: bytes, most: int) -> bytes:
        """Frames from the client."""
        self._heard = True
        conversation = self._speak()
        messages, rest = conversation.hear(data, most)
        for _, message in messages:
            self._publish(message)
        size = conversation.size + (len(self._text.value) if self._text is not None else 0)
        if not self.connection.count_incoming(size) and size:
            self.connection.server.closed["max_buffered"] += 1
            self.connection.count_incoming(0)  # It goes with the connection, within a moment.
            conversation.close(CloseCode.TRY_AGAIN_LATER, "max_buffered")
        self._reply(conversation)
        return rest

    def take_turn(self) -> None:
        """Check the next portion of a long message, and publish it once all is checked."""
        text = self._text
        if text is None:
            return
        try:
            if not text.go_on():
                self.connection.ask_for_turn(self)
                return
        except SloshError as error:
            self._published(error)
        else:
            self._hand_over(text.value)
        self._text = None
        self.connection.count_incoming(self._speak().size)

    def end(self) -> None:
        """Give what is gathered, and close; the client comes back with its cursor."""
        if not self.give_gathered(self.connection.server.now()):
            return
        conversation = self._speak()
        conversation.close()
        self._reply(conversation, close=True)

    def end_for_good(self) -> None:
        """Close as one does whose purpose is fulfilled (RFC 6455 §7.4.1, 1000)."""
        conversation = self._speak()
        conversation.close(CloseCode.NORMAL_CLOSURE)
        self._reply(conversation, close=True)

    def revoke(self, error: SloshError) -> None:
        """As the base says: 1008 is a violation of policy (RFC 6455 §7.4.1)."""
        conversation = self._speak()
        conversation.close(CloseCode.POLICY_VIOLATION, error.code)
        self._reply(conversation, close=True)

    def _speak(self) -> Conversation:
        classes, conversation = self.action.engine.hub.classes, self._conversation
        if conversation is None or classes is not self._classes:  # a reload has others
            asked, self._classes = self.action.asked, classes
            most = (classes.default if asked.several else classes.find(asked.names[0])).max_message
            if conversation is None:
                conversation = self._conversation = Conversation(most, deflated=self._deflate is not None)
            conversation.max_size = most
        return conversation

    def _reply(self, conversation: Conversation, *, close: bool = False) -> None:
        """Write what the protocol has to say, and finish when it has nothing to say any more."""
        reply = conversation.reply()
        if close or not conversation.is_open:
            if conversation.failure:
                self.connection.server.closed[f"websocket_{conversation.failure}"] += 1
            self.leave()
            self.connection.finish(reply, close=True)
        elif reply:
            self.connection.write(reply)

    def _publish(self, text: bytes) -> None:
        """Publish what the client said to the topic that it watches."""
        action = self.action
        try:
            if action.asked.several:
                raise BadRequest("Several topics are watched here; publish to one of them with a POST.")
            guard = find_guard(self.connection)
            if guard is not None:
                guard.check_message(self.connection, action.asked.names[0])
            if len(text) > LONG:
                # No other message has come with it: it is more than a portion of frames by itself.
                self._text = LongText(text, action.settings.max_depth)
                self.connection.ask_for_turn(self)
                return
            message = check_json(text, action.settings.max_depth)
        except SloshError as error:
            self._published(error)
            return
        self._hand_over(message)

    def _hand_over(self, message: bytes) -> None:
        """Publish a message that was checked."""
        action, now = self.action, self.connection.server.now()
        action.engine.publish(action.asked.names[0], (message,), now, self._published)

    def _published(self, outcome: Published | SloshError) -> None:
        """What became of it: silence is success, for the message itself comes back."""
        if isinstance(outcome, SloshError) and self.connection.is_open:
            connection = self.connection
            connection.server.note_refusal(outcome, connection.head, connection)
            self.connection.write(self.frame(json.dumps({"error": problem_document(outcome)}).encode()))
