"""What a client says on a WebSocket, in whole messages, and how it fails."""

import struct
import tracemalloc
import zlib

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from slosh.web.readers.websocket.conversation import UNIT, Conversation
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.web.frames import BINARY, CLOSE, CONT, PING, TEXT, frame


def closing(reply: bytes) -> int:
    """The code of the close frame that a reply ends with."""
    code: int = struct.unpack("!H", reply[reply.rindex(b"\x88") + 2 :][:2])[0]
    return code


def hear(conversation: Conversation, data: bytes, most: int = 1000) -> list[tuple[Opcode, bytes]]:
    """The messages in `data`, all of which is looked at, so many frames at a time."""
    messages: list[tuple[Opcode, bytes]] = []
    while data and conversation.is_open:
        whole, data = conversation.hear(data, most)
        messages += whole
    return messages


def test_messages_come_whole_however_they_are_cut() -> None:
    said = frame(TEXT, b"one") + frame(TEXT, b"t", fin=False) + frame(PING, b"!") + frame(CONT, b"wo")
    for size in range(1, len(said) + 1):
        conversation = Conversation(100)
        pieces = [said[at : at + size] for at in range(0, len(said), size)]
        messages = [message for piece in pieces for message in hear(conversation, piece)]
        assert messages == [(Opcode.TEXT, b"one"), (Opcode.TEXT, b"two")]
        assert conversation.reply() == b"\x8a\x01!", "the ping is answered"
        assert conversation.is_open


def test_binary_is_taken_where_it_is_wanted() -> None:
    said = frame(BINARY, b"\xff", fin=False) + frame(CONT, b"\x00")
    assert hear(Conversation(100, binary=True), said) == [(Opcode.BINARY, b"\xff\x00")]
    refusing = Conversation(100)
    assert hear(refusing, said) == []
    assert refusing.failure == closing(refusing.reply()) == 1003


@each_of(
    ("said", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xe4\xb8", fin=False) + frame(CONT, b"\x28"), 1007),
        (frame(TEXT, b"x" * 101), 1009),
        (frame(TEXT, b"x" * 60, fin=False) + frame(CONT, b"x" * 60), 1009),
        (frame(CONT, b"x"), 1002),
        (b"\x81\x01x", 1002),
    ],
)
def test_what_breaks_the_rules_fails_and_what_comes_behind_counts_for_nothing(said: bytes, code: int) -> None:
    conversation = Conversation(100)
    assert hear(conversation, frame(TEXT, b"before") + said + frame(TEXT, b"behind")) == [(Opcode.TEXT, b"before")]
    assert not conversation.is_open
    assert conversation.failure == closing(conversation.reply()) == code


SAID = st.lists(
    st.builds(
        frame,
        st.sampled_from([TEXT, TEXT, CONT, CONT, PING, BINARY, CLOSE, 0x3]),
        st.sampled_from([b"", b"1", b"\xe2", b"\x82\xac", b"\x03\xe8", b"x" * 130, b"x" * 90]),
        fin=st.booleans(),
        reserved=st.sampled_from([0, 0, 0, 0, 4]),
    ),
    max_size=12,
)


@PROPERTY
@given(SAID, st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_neither_cuts_nor_portions_change_anything(said: list[bytes], size: int, most: int, deflated: bool) -> None:
    whole, cut = Conversation(200, deflated=deflated), Conversation(200, deflated=deflated)
    data = b"".join(said)
    expected = hear(whole, data)
    heard, left = [], b""
    for at in range(0, len(data), size):
        messages, left = cut.hear(left + data[at : at + size], most)
        heard += messages
    heard += hear(cut, left, most)
    assert heard == expected
    assert (cut.reply(), cut.is_open, cut.failure) == (whole.reply(), whole.is_open, whole.failure)


def test_a_large_message_may_come_in_the_smallest_fragments_in_use() -> None:
    """64 bytes each, as in the public suite's case 9.3.1."""
    conversation = Conversation(1 << 20)
    count = (1 << 20) // 64
    said = frame(TEXT, b"x" * 64, fin=False) + frame(CONT, b"x" * 64, fin=False) * (count - 2) + frame(CONT, b"x" * 64)
    assert hear(conversation, said) == [(Opcode.TEXT, b"x" * (1 << 20))]


def test_no_more_is_read_than_was_asked_for_and_the_rest_is_given_back() -> None:
    conversation = Conversation(100_000)
    said = [frame(TEXT, b"%d" % number) for number in range(10)]
    messages, rest = conversation.hear(b"".join(said), 4)
    assert [message for _, message in messages] == [b"0", b"1", b"2", b"3"]
    assert rest == b"".join(said[4:])
    # What a message costs grows with its bytes.
    messages, rest = conversation.hear(frame(TEXT, b"x" * 3 * UNIT) + rest, 4)
    assert [message for _, message in messages] == [b"x" * 3 * UNIT]
    assert rest == b"".join(said[4:])


def test_of_compressed_messages_one_is_inflated_at_a_time() -> None:
    conversation = Conversation(1_000_000, deflated=True)
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(b" " * 1_000_000) + compressor.flush(zlib.Z_SYNC_FLUSH)
    said = frame(TEXT, data.removesuffix(b"\x00\x00\xff\xff"), reserved=4)
    tracemalloc.start()
    try:
        rest = said * 20
        for left in range(19, -1, -1):
            messages, rest = conversation.hear(rest, 16)
            assert [len(message) for _, message in messages] == [1_000_000]
            assert rest == said * left
            messages.clear()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_a_character_may_be_cut_between_fragments() -> None:
    whole = "世".encode()
    conversation = Conversation(100)
    assert hear(conversation, frame(TEXT, whole[:1], fin=False) + frame(CONT, whole[1:])) == [(Opcode.TEXT, whole)]


def test_a_close_of_either_side_is_no_failure() -> None:
    theirs = Conversation(100)
    hear(theirs, frame(CLOSE, struct.pack("!H", 1000)))
    assert closing(theirs.reply()) == 1000
    ours = Conversation(100)
    ours.close()
    assert closing(ours.reply()) == 1001
    assert (theirs.failure, ours.failure) == (0, 0)
    assert not theirs.is_open
    assert not ours.is_open
