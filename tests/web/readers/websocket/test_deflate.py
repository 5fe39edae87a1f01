"""Compressed WebSocket messages (RFC 7692): off until asked for, shared by readers, and no bomb goes off."""

import json
import random
import struct
import tracemalloc
import zlib
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response as Handshake
from websockets.uri import parse_uri

from slosh.web.readers.websocket.deflate import Deflate, negotiate
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.timing import assert_quick
from tests.web.conftest import MakeSite
from tests.web.frames import CLOSE, CONT, HANDSHAKE, TEXT, frame
from tests.web.harness import Client, Site
from tests.web.posting import post
from tests.web.test_portions import turn

PLAIN = "permessage-deflate"
BROWSER = "permessage-deflate; client_max_window_bits"
LIBRARY = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
LONG = {"pad": "slosh " * 200}
COMPRESSED = 0b100
"""RSV1 (RFC 7692 §7.2.3.1)."""


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site that compresses."""
    return make_site(compression="websocket")


def opened(site: Site, offer: str = BROWSER, target: str = "/topics/a") -> Client:
    client = site.connect().get(target, **HANDSHAKE, Sec_WebSocket_Extensions=offer)
    assert client.next().status == 101
    return client


def deflate(text: bytes, bits: int = 15) -> bytes:
    """A message compressed by itself, as RFC 7692 §7.2.1 says."""
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def inflate(data: bytes, bits: int = 15) -> bytes:
    return zlib.decompressobj(wbits=-bits).decompress(data + b"\x00\x00\xff\xff")


def taken(client: Client) -> tuple[bool, bytes]:
    """The one text frame that has come: whether it is compressed, and what it says."""
    data = bytes(client.wire.arrived)
    client.wire.arrived.clear()
    assert data[0] & ~0x40 == 0x80 | TEXT
    length, start = data[1], 2
    if length == 126:
        length, start = struct.unpack("!H", data[2:4])[0], 4
    assert len(data) == start + length
    compressed = bool(data[0] & 0x40)
    return compressed, inflate(data[start:]) if compressed else data[start:]


def code_of(client: Client) -> int:
    """The code of the close frame that ends what has come."""
    data = bytes(client.wire.arrived)
    code: int = struct.unpack("!H", data[data.rindex(bytes([0x80 | CLOSE])) + 2 :][:2])[0]
    assert not client.served()
    return code


# Agreeing.


def agreed(*offers: str) -> str:
    found = negotiate(offers)
    return found.field.decode().removeprefix("Sec-WebSocket-Extensions: ").rstrip() if found else ""


BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@each_of(
    ("offers", "answer"),
    [
        ((PLAIN,), BOTH),
        ((BROWSER,), BOTH),
        ((LIBRARY,), f"{BOTH}; server_max_window_bits=12; client_max_window_bits=12"),
        (("x-webkit-deflate-frame, permessage-deflate",), BOTH),
        (("permessage-deflate; server_max_window_bits=8, permessage-deflate",), BOTH),  # zlib knows no window of 8
        (("permessage-deflate; nonsense", PLAIN), BOTH),
        (("permessage-deflate; nonsense",), ""),
        (("permessage-deflate; server_max_window_bits=16",), ""),
        (("x-webkit-deflate-frame",), ""),
        (("permessage-deflate; =",), ""),
        (("\xff",), ""),
        ((), ""),
    ],
)
def test_an_offer_that_can_be_kept_is_taken_up_and_nothing_is_carried_over(
    offers: tuple[str, ...], answer: str
) -> None:
    """RFC 7692 section 7.1."""
    assert agreed(*offers) == answer


def test_it_is_off_until_it_is_asked_for(make_site: MakeSite) -> None:
    answer = make_site().connect().get("/topics/a", **HANDSHAKE, Sec_WebSocket_Extensions=BROWSER).next()
    assert "Sec-WebSocket-Extensions" not in answer


def test_who_offers_nothing_gets_nothing(site: Site) -> None:
    client = site.connect().get("/topics/a", **HANDSHAKE)
    assert "Sec-WebSocket-Extensions" not in client.next()
    post(site, LONG)
    assert taken(client)[0] is False


def test_a_refused_handshake_agrees_on_nothing(site: Site) -> None:
    fields = HANDSHAKE | {"Sec_WebSocket_Version": "8"}
    answer = site.connect().get("/topics/a", **fields, Sec_WebSocket_Extensions=BROWSER).next()
    assert answer.status == 426
    assert "Sec-WebSocket-Extensions" not in answer


# What we send.


def test_a_long_message_is_compressed_and_a_short_one_is_not(site: Site) -> None:
    client = opened(site)
    post(site, 1)
    assert taken(client) == (False, b'{"max":1,"saw":1,"delivering":1,"res":[1],"next":"epoch000.1"}')
    for number in (2, 3):
        post(site, LONG)
        compressed, text = taken(client)
        assert compressed
        assert json.loads(text)["res"] == [LONG]
        assert json.loads(text)["max"] == number, "each message is whole by itself"


def test_who_agreed_and_who_did_not_are_each_sent_their_own(site: Site) -> None:
    """Also where they stand at the same place in the same turn."""
    fields = {"Sec_WebSocket_Extensions": LIBRARY}
    clients = [opened(site), site.connect().get("/topics/a", **HANDSHAKE), opened(site)]
    clients[1].next()
    narrow = site.connect().get("/topics/a", **HANDSHAKE, **fields)
    narrow.next()
    post(site, LONG)
    texts = [taken(client) for client in (*clients, narrow)]
    assert [compressed for compressed, _ in texts] == [True, False, True, True]
    assert len({text for _, text in texts}) == 1


@PROPERTY
@given(st.binary(max_size=5000) | st.binary(max_size=50).map(lambda part: part * 100), st.integers(9, 15))
def test_what_is_compressed_is_inflated_to_the_same_within_the_window_that_was_agreed_on(
    message: bytes, bits: int
) -> None:
    data = Deflate(bits, b"").compress(message)
    if data is not None:
        assert inflate(data, bits) == message
        assert len(data) < len(message)


# What clients send.


def test_a_compressed_message_is_published(site: Site) -> None:
    client = opened(site)
    for _ in range(2):  # each by itself
        client.send(frame(TEXT, deflate(json.dumps(LONG).encode()), reserved=COMPRESSED))
        assert json.loads(taken(client)[1])["res"] == [LONG]
    client.send(frame(TEXT, b"7"))  # a client may leave one as it is
    assert json.loads(taken(client)[1])["res"] == [7]


def test_in_fragments_too(site: Site) -> None:
    client, data = opened(site), deflate(json.dumps(LONG).encode())
    client.send(frame(TEXT, data[:5], fin=False, reserved=COMPRESSED) + frame(CONT, data[5:]))
    assert json.loads(taken(client)[1])["res"] == [LONG]


def test_who_did_not_agree_may_not_compress(site: Site, make_site: MakeSite) -> None:
    for each in (site, make_site()):
        client = each.connect().get("/topics/a", **HANDSHAKE)
        client.next()
        client.send(frame(TEXT, deflate(b"1"), reserved=COMPRESSED))
        assert code_of(client) == 1002


@pytest.mark.parametrize("said", [b"\xff\xff\xff", b"\x00\x00\x00", b"\x07"])
def test_what_does_not_inflate_fails_the_connection(site: Site, said: bytes) -> None:
    client = opened(site).send(frame(TEXT, said, reserved=COMPRESSED))
    assert code_of(client) in (1002, 1007)


def bomb(megabytes: int) -> bytes:
    """So much white space, which JSON allows, in a thousandth of the bytes."""
    return deflate(b" " * (megabytes << 20) + b"1")


def pieces(data: bytes, size: int) -> bytes:
    """A compressed message in fragments."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    first = frame(TEXT, parts[0], fin=False, reserved=COMPRESSED)
    return first + b"".join(frame(CONT, part, fin=False) for part in parts[1:]) + frame(CONT)


@pytest.mark.parametrize(
    "size", [0, 10_000, 500, 1], ids=["one frame", "large fragments", "small ones", "single bytes"]
)
def test_a_bomb_is_failed_with_1009_and_never_inflated_beyond_the_bound(make_site: MakeSite, size: int) -> None:
    """CVE-2018-1000518. Seen as the memory that was taken meanwhile."""
    site = make_site(compression="websocket", max_message=100_000)
    client = opened(site)
    data = bomb(64 if size != 1 else 2)
    said = pieces(data, size) if size else frame(TEXT, data, reserved=COMPRESSED)
    tracemalloc.start()
    try:
        client.send(said)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code_of(client) == 1009
    assert peak < 4_000_000
    assert site.closed("websocket_1009") == 1
    assert site.metrics()["slosh_published_messages_total"] == 0


def test_a_message_of_just_the_bound_is_taken_and_a_longer_one_is_not(make_site: MakeSite) -> None:
    """Of one in fragments none is longer, compressed, than what the message may still have: some bytes of tolerance."""
    text = b'"' + b"x" * 9_998 + b'"'
    for tolerance, said in (
        (0, frame(TEXT, deflate(text), reserved=COMPRESSED)),
        (10, pieces(deflate(text), 7)),
    ):
        site = make_site(compression="websocket", max_message=10_000 + tolerance)
        client = opened(site)
        client.send(said)
        assert json.loads(taken(client)[1])["res"] == [json.loads(text)]
        client.reset()
    site = make_site(compression="websocket", max_message=10_000)
    too_long = deflate(text + b" ")
    for said in (frame(TEXT, too_long, reserved=COMPRESSED), pieces(too_long, 7)):
        assert code_of(opened(site).send(said)) == 1009


# Another's client.


@pytest.mark.parametrize("bits", [None, 9, 12, 15])
def test_the_client_of_the_library_understands(site: Site, bits: int | None) -> None:
    extension = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=bits)
    protocol = ClientProtocol(parse_uri("ws://slosh.test/topics/a"), extensions=[extension])
    protocol.send_request(protocol.connect())
    client = site.connect()

    def exchange() -> list[bytes]:
        for part in protocol.data_to_send():
            client.send(part)
        protocol.receive_data(bytes(client.wire.arrived))
        client.wire.arrived.clear()
        events = protocol.events_received()
        assert not any(isinstance(event, Handshake) and event.status_code != 101 for event in events)
        return [bytes(event.data) for event in events if isinstance(event, Frame) and event.opcode is Opcode.TEXT]

    exchange()
    assert protocol.extensions
    for _ in range(3):
        protocol.send_text(json.dumps(LONG).encode())
        assert [json.loads(text)["res"] for text in exchange()] == [[LONG]]


def test_what_does_not_get_shorter_is_sent_as_it_is() -> None:
    agreed = negotiate(["permessage-deflate"])
    assert agreed is not None
    assert agreed.compress(bytes(random.Random(1).choices(range(256), k=1000))) is None
    assert agreed.compress(b"x" * 1000) is not None


def test_a_window_of_8_bits_is_not_agreed_on_because_zlib_has_none() -> None:
    """It would use one of 9 bits, and the client could not read that."""
    assert negotiate(["permessage-deflate; server_max_window_bits=8"]) is None
    agreed = negotiate(["permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9"])
    assert agreed is not None
    assert agreed.bits == 9


def test_what_is_very_large_is_sent_as_it_is() -> None:
    """To compress a MiB would hold up everybody for a fifteenth of a second, for each window that a reader has."""
    agreed = Deflate(15, b"")
    assert agreed.compress(b"x" * (256 * 1024)) is not None
    assert agreed.compress(b"x" * (256 * 1024 + 1)) is None


@pytest.mark.parametrize("size", [20_000, 32 * 1024, 32 * 1024 + 1, 256 * 1024])
def test_compressing_takes_no_long_time(size: int) -> None:
    """Also of what is slow to compress."""
    chosen = random.Random(1)
    hard = [
        bytes(chosen.choices(letters, k=size)) for letters in (b"01", b"ACGT", b"0123456789,", bytes(range(65, 123)))
    ]
    for bits in (9, 12, 15):
        for message in hard:
            assert_quick(partial(Deflate(bits, b"").compress, message), 0.05)  # some 10 ms
            found = Deflate(bits, b"").compress(message)
            assert found is None or inflate(found, bits) == message


def test_readers_with_other_windows_are_written_to_in_other_turns(site: Site) -> None:
    clients = [opened(site, f"{PLAIN}; server_max_window_bits={bits}") for bits in range(9, 16)]
    site.engine.accept("a", [b'"%b"' % (b"x" * 200_000)], site.loop.time())
    written = []
    for _ in range(10):
        turn(site)
        written.append(sum(bool(client.wire.arrived) for client in clients))
    assert written[-1] == len(clients)
    assert max(after - before for before, after in pairwise([0, *written])) == 1
