"""What clients may say on a WebSocket: our reader of frames agrees with two others, on sound and on broken frames.

The references are `wsproto` and `websockets`, whose authors read RFC 6455 without us. Where one of them may differ from
ours the reason stands at the difference.
"""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from wsproto import frame_protocol as wsproto

from slosh.web.readers.websocket.conversation import Conversation
from tests.properties import PROPERTY
from tests.web.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame

SIZE = 1000


@dataclass
class Heard:
    """What a reader makes of some bytes.

    Attributes:
        messages: that are whole, with whether they are text.
        pings: what has to be answered with a pong.
        close: the code of the client's close, 1005 for none, 0 where it did not close.
        failure: the code with which the connection is failed, 0 where it is not.
    """

    messages: list[tuple[bool, bytes]] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    close: int = 0
    failure: int = 0


def code_of(payload: bytes) -> int:
    """The code in a close frame's payload."""
    return int.from_bytes(payload[:2], "big") if payload else 1005


def replies_of(data: bytes) -> list[tuple[int, bytes]]:
    """The frames of a server, none of which is long."""
    found = []
    while data:
        length = data[1]
        assert length < 126
        found.append((data[0] & 0xF, data[2 : 2 + length]))
        data = data[2 + length :]
    return found


def ours(pieces: list[bytes]) -> Heard:
    heard, conversation, rest = Heard(), Conversation(SIZE, binary=True), b""
    for piece in pieces:
        rest += piece
        while rest and conversation.is_open:
            messages, rest = conversation.hear(rest, 3)
            heard.messages += [(kind is Opcode.TEXT, bytes(data)) for kind, data in messages]
    for kind, payload in replies_of(conversation.reply()):
        if kind == PONG:
            heard.pings.append(payload)
        elif not conversation.failure:
            heard.close = code_of(payload)
    heard.failure = conversation.failure
    return heard


def by_wsproto(pieces: list[bytes]) -> Heard:
    heard, reader, message = Heard(), wsproto.FrameProtocol(client=False, extensions=[]), b""
    is_text = True
    try:
        for piece in pieces:
            reader.receive_bytes(piece)
            for each in reader.received_frames():
                if isinstance(each.payload, tuple):
                    heard.close = int(each.payload[0])
                    return heard
                payload = each.payload.encode() if isinstance(each.payload, str) else bytes(each.payload)
                if each.opcode == wsproto.Opcode.PING:
                    heard.pings.append(payload)
                elif each.opcode != wsproto.Opcode.PONG:
                    is_text = each.opcode == wsproto.Opcode.TEXT
                    message += payload
                    if each.message_finished:
                        heard.messages.append((is_text, message))
                        message = b""
    except wsproto.ParseFailed as failed:
        heard.failure = int(failed.code)
    return heard


def by_websockets(pieces: list[bytes]) -> Heard:
    """Its protocol gives frames; text is decoded once its message is whole, as its connections do."""
    heard, reader, message, is_text = Heard(), ServerProtocol(max_size=SIZE), b"", True
    reader.state = OPEN
    reader.parser = reader.parse()
    next(reader.parser)
    for piece in pieces:
        reader.receive_data(piece)
    for event in reader.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.PING:
            heard.pings.append(bytes(event.data))
        elif event.opcode is Opcode.CLOSE:
            heard.close = code_of(bytes(event.data))
        elif event.opcode is not Opcode.PONG:
            is_text = event.opcode is Opcode.TEXT if event.opcode is not Opcode.CONT else is_text
            message += bytes(event.data)
            if event.fin:
                try:
                    message.decode() if is_text else None
                except UnicodeDecodeError:
                    heard.failure = 1007
                    return heard
                heard.messages.append((is_text, message))
                message = b""
    if reader.parser_exc is not None:
        sent = reader.close_sent
        heard.failure = sent.code if sent is not None else 1002
        heard.close = 0
    return heard


TEXTS = st.one_of(
    st.text(max_size=8).map(str.encode), st.binary(max_size=8), st.sampled_from([b"x" * 125, b"x" * 126, b"\xc3"])
)
CLOSES = st.one_of(
    st.just(b""),
    st.builds(
        lambda code, reason: code.to_bytes(2, "big") + reason,
        st.one_of(st.integers(0, 5001), st.sampled_from([999, 1000, 1001, 1004, 1005, 1006, 1015, 1016, 3000, 4999])),
        st.sampled_from([b"", b"bye"]),
    ),
    st.just(b"\x03"),
    st.just(b"\x03\xe8\xff"),  # not with a wrong code: either break may be told then
)
SOUND = st.one_of(
    TEXTS.map(lambda data: frame(TEXT, data)),
    TEXTS.map(lambda data: frame(BINARY, data)),
    st.lists(TEXTS, min_size=1, max_size=3).map(
        lambda parts: (
            frame(TEXT, fin=False)
            + b"".join(frame(PING, b"in between") + frame(CONT, part, fin=False) for part in parts)
            + frame(CONT)
        )
    ),
    st.binary(max_size=125).map(lambda data: frame(PING, data)),
    st.binary(max_size=9).map(lambda data: frame(PONG, data)),
)
ANY = st.one_of(
    SOUND,
    CLOSES.map(lambda data: frame(CLOSE, data)),
    st.builds(
        lambda opcode, data, fin, reserved: frame(opcode, data, fin=fin, reserved=reserved),
        st.integers(0, 15).filter(lambda opcode: opcode != CLOSE),
        TEXTS,
        st.booleans(),
        st.sampled_from([0, 0, 0, 0, 1, 2, 4]),
    ),
    st.sampled_from([frame(TEXT, b"x", mask=b""), frame(CLOSE, fin=False), frame(CLOSE, reserved=1)]),
)


@st.composite
def said(draw: st.DrawFn) -> list[bytes]:
    """Frames, cut anywhere."""
    data = b"".join(draw(st.lists(ANY, max_size=6)))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@PROPERTY
@given(said())
def test_our_reader_agrees_with_wsproto(pieces: list[bytes]) -> None:
    assert ours(pieces) == by_wsproto(pieces)


@PROPERTY
@given(said())
def test_our_reader_agrees_with_websockets(pieces: list[bytes]) -> None:
    mine, theirs = ours(pieces), by_websockets(pieces)
    if mine.failure == 1007:
        # It decodes a text once its last fragment is there; the standard lets a server fail at once (RFC 6455 §8.1).
        assert theirs.messages[: len(mine.messages)] == mine.messages
        assert theirs.pings[: len(mine.pings)] == mine.pings
    elif mine.close and theirs.failure:
        # It takes no close within a message, where the standard allows control frames (RFC 6455 §5.4).
        assert (mine.messages, mine.pings, theirs.failure) == (theirs.messages, theirs.pings, 1002)
    else:
        assert mine == theirs
