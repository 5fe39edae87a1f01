"""WebSocket, frame by frame: the handshake, what a client may say, how it ends (RFC 6455)."""

import json
import struct
from dataclasses import replace

import pytest

from slosh.parts import make_bounds
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.frames import BINARY, CLOSE, CONT, HANDSHAKE, PING, PONG, TEXT, frame, frames, open_socket
from tests.web.harness import Client, Response, Site, request
from tests.web.posting import kept, large, post
from tests.web.transports import WebSocket


def shake(site: Site, **fields: str | None) -> Response:
    """The answer to a handshake with other fields; None leaves one out."""
    chosen = {name: value for name, value in (HANDSHAKE | fields).items() if value is not None}
    return site.connect().get("/topics/a", **chosen).next()


def closed_with(client: Client) -> int:
    """The code of the close frame, which is the last thing that the server sends."""
    *_, (opcode, payload) = frames(client)
    assert opcode == CLOSE
    assert not client.served()
    code: int = struct.unpack("!H", payload[:2])[0]
    return code


# The handshake.


def test_the_handshake_is_the_one_of_the_standard(site: Site) -> None:
    answer = shake(site)
    assert answer.status == 101
    assert answer["Upgrade"] == "websocket"
    assert answer["Connection"] == "Upgrade"
    assert answer["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the example of RFC 6455 §1.3
    assert answer["Slosh-Next"] == "epoch000.0"
    assert "Sec-WebSocket-Extensions" not in answer
    assert "Content-Length" not in answer


@each_of(
    "fields",
    [
        {"Sec_WebSocket_Key": None},
        {"Sec_WebSocket_Key": "short"},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==x"},
        {"Sec_WebSocket_Key": "!!!!"},
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZ"},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZSEh"},  # 18 bytes
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub24="},  # 14
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="},
        {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="},
    ],
)
def test_a_handshake_that_is_none_is_400(site: Site, fields: dict[str, str | None]) -> None:
    answer = shake(site, **fields)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert site.watchers("a") == 0


@each_of("version", ["8", "12", "14", "x", "13, 8", "13\r\nSec-WebSocket-Version: 13", "", "013", None])
def test_another_version_is_told_which_one_is_spoken(site: Site, version: str | None) -> None:
    """RFC 6455 §4.4."""
    answer = shake(site, Sec_WebSocket_Version=version)
    assert (answer.status, answer.code) == (426, "upgrade_required")
    assert answer["Sec-WebSocket-Version"] == "13"
    assert answer["Upgrade"] == "websocket"


def test_after_a_refused_handshake_the_connection_serves_on(site: Site) -> None:
    client = site.connect().get("/topics/a", **(HANDSHAKE | {"Sec_WebSocket_Version": "8"}))
    assert client.next().status == 426
    assert client.get("/topics/a?wait=0").next().status == 200


@pytest.mark.parametrize("fields", [{"Upgrade": "h2c"}, {"Connection": "keep-alive"}, {"Upgrade": "websocket2"}])
def test_what_asks_for_no_websocket_is_a_poll(site: Site, fields: dict[str, str]) -> None:
    """`Upgrade` without `Connection: upgrade` may have come through a proxy that took no note (RFC 9110 §7.8)."""
    answer = site.connect().get("/topics/a?wait=0", **(HANDSHAKE | fields)).next()
    assert answer["Content-Type"] == "application/json"


def test_a_cookie_of_single_sign_on_is_no_reason_to_refuse(make_site: MakeSite) -> None:
    """The bound of a head is `max_head`, for handshakes as for all requests, and 431 tells of it."""
    site = make_site(max_head=16_384)
    assert shake(site, Cookie="token=" + "x" * 9000).status == 101
    assert shake(site, Cookie="token=" + "x" * 15_900).status == 101
    too_large = shake(site, Cookie="token=" + "x" * 16_384)
    assert (too_large.status, too_large.code) == (431, "head_too_large")
    assert "max_head" in too_large.json["detail"]


def test_so_is_a_long_target(make_site: MakeSite) -> None:
    site = make_site(max_head=16_384)
    assert site.connect().get("/topics/a?x=" + "y" * 9000, **HANDSHAKE).next().status == 101


def test_http_1_0_upgrades_to_nothing(site: Site) -> None:
    """RFC 9110 §7.8."""
    client = site.connect().send(request("GET", "/topics/a?wait=0", b"", "1.0", **HANDSHAKE))
    assert client.next().status == 200


@pytest.mark.parametrize("fields", [{"Upgrade": "WebSocket"}, {"Connection": "UPGRADE"}])
def test_the_words_of_the_handshake_are_read_in_any_case_and_in_lists(site: Site, fields: dict[str, str]) -> None:
    assert shake(site, **fields).status == 101


def test_a_subprotocol_is_politely_not_selected(site: Site) -> None:
    answer = shake(site, Sec_WebSocket_Protocol="mqtt, graphql-ws")
    assert answer.status == 101
    assert "Sec-WebSocket-Protocol" not in answer


def test_the_subprotocol_slosh_is_selected_without_rules_too(site: Site) -> None:
    """A browser that has offered subprotocols wants one of them back (WHATWG WebSockets section 3)."""
    assert shake(site, Sec_WebSocket_Protocol="slosh, chat")["Sec-WebSocket-Protocol"] == "slosh"


@pytest.mark.parametrize("setting", ["off", "websocket"])
def test_compression_is_negotiated_where_it_was_turned_on_and_never_else(make_site: MakeSite, setting: str) -> None:
    """CVE-2018-1000518: what is not inflated cannot be a bomb."""
    answer = shake(
        make_site(compression=setting), Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"
    )
    assert answer.status == 101
    assert ("Sec-WebSocket-Extensions" in answer) is (setting == "websocket")


def test_a_wrong_query_is_refused_before_the_handshake(site: Site) -> None:
    assert site.connect().get("/topics/a?since=nonsense", **HANDSHAKE).next().code == "bad_query"


def test_a_topic_that_is_full_refuses_the_handshake(make_site: MakeSite) -> None:
    site = make_site(max_watchers=1)
    open_socket(site)
    answer = shake(site)
    assert (answer.status, answer.code) == (503, "too_many_watchers")


def test_what_comes_in_one_packet_with_the_handshake_is_heard(site: Site) -> None:
    lines = [
        "GET /topics/a HTTP/1.1",
        "Host: x",
        *(f"{n.replace('_', '-')}: {v}" for n, v in HANDSHAKE.items()),
        "",
        "",
    ]
    client = site.connect().send("\r\n".join(lines).encode() + frame(TEXT, b"7"))
    assert client.next().status == 101
    ((opcode, payload),) = frames(client)
    assert (opcode, json.loads(payload)["res"]) == (TEXT, [7])


# Publishing.


def test_a_text_message_is_published_and_comes_back_to_all(site: Site) -> None:
    talker, other = WebSocket(site), WebSocket(site)
    talker.say(' {"t": 1} ')
    assert talker.messages == other.listen().messages == [{"t": 1}]
    assert not talker.errors


def test_a_message_in_fragments_is_one_message(site: Site) -> None:
    client = open_socket(site)
    parts = [frame(TEXT, b'"\xe2', fin=False), frame(PING, b"between"), frame(CONT, b"\x82", fin=False)]
    client.send(*parts, frame(CONT, b'\xac"'))
    got = list(frames(client))
    assert got[0] == (PONG, b"between")
    assert json.loads(got[1][1])["res"] == ["€"]


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_frames_are_heard_however_they_are_cut(site: Site, cut: int) -> None:
    client = open_socket(site)
    data = frame(TEXT, b'{"a":"0123456789"}') + frame(PING, b"x")
    client.send(data[:cut], data[cut:])
    assert sorted(opcode for opcode, _ in frames(client)) == [TEXT, PONG]


@pytest.mark.parametrize(
    ("text", "code"), [("{", "bad_json"), ("", "bad_json"), ("NaN", "bad_json"), ("[" * 600 + "]" * 600, "bad_json")]
)
def test_what_is_no_message_is_answered_with_an_error_and_the_socket_stays(site: Site, text: str, code: str) -> None:
    reader = WebSocket(site).say(text)
    assert isinstance(reader, WebSocket)
    assert [error["code"] for error in reader.errors] == [code]
    assert reader.errors[0].keys() >= {"type", "title", "status", "detail", "code"}
    assert site.refused(code) == 1
    assert reader.say("1").messages == [1]


def test_who_watches_several_topics_publishes_with_a_post(site: Site) -> None:
    for topics in ("a,b", "*"):
        reader = WebSocket(site, topics).say("1")
        assert [error["code"] for error in reader.errors] == ["bad_request"]
        assert not reader.messages


def test_a_message_of_the_full_size_is_taken_and_a_larger_one_closes(make_site: MakeSite) -> None:
    site = make_site(max_message=1000)
    client = open_socket(site)
    client.send(frame(TEXT, b"1" * 1000))
    assert [opcode for opcode, _ in frames(client)] == [TEXT]
    client.send(frame(TEXT, b"1" * 1001))
    assert closed_with(client) == 1009
    assert site.closed("websocket_1009") == 1


def test_fragments_are_counted_together(make_site: MakeSite) -> None:
    """Others gathered them without a bound."""
    site = make_site(max_message=1000)
    client = open_socket(site)
    client.send(frame(TEXT, b"1" * 600, fin=False))
    client.send(frame(CONT, b"1" * 600, fin=False))
    assert closed_with(client) == 1009
    assert site.watchers("a") == 0


@pytest.mark.parametrize(("before", "after"), [(1000, 2000), (2000, 1000)])
def test_another_max_message_holds_for_one_that_is_open(make_site: MakeSite, before: int, after: int) -> None:
    site = make_site(max_message=before)
    client = open_socket(site)
    client.send(frame(TEXT, b"1" * before))
    assert [payload.count(b"1") > 900 for _, payload in frames(client)] == [True]
    site.hub.set_bounds(make_bounds(replace(site.settings, max_message=after)), site.loop.time())
    client.wire.arrived.clear()
    client.send(frame(TEXT, b"1" * after))
    assert [payload.count(b"1") > 900 for _, payload in frames(client)] == [True]
    client.send(frame(TEXT, b"1" * (after + 1)))
    assert closed_with(client) == 1009


def test_a_declared_length_is_refused_before_it_comes(site: Site) -> None:
    client = open_socket(site)
    client.send(struct.pack("!BBQ", 0x81, 0xFF, 2**40))
    assert closed_with(client) == 1009


# Signs of life.


def test_a_ping_is_answered(site: Site) -> None:
    client = open_socket(site).send(frame(PING, b"are you there?"))
    assert list(frames(client)) == [(PONG, b"are you there?")]


def test_it_is_pinged_every_20_s_and_stays_while_it_answers(site: Site) -> None:
    reader = WebSocket(site)
    for beats in range(1, 10):
        site.advance(20.1)
        assert reader.listen().beats == beats
    assert not reader.ended
    assert site.watchers("a") == 1


def test_who_does_not_answer_a_ping_until_the_next_is_cut(site: Site) -> None:
    client = open_socket(site)
    site.advance(39)
    assert client.served()
    assert site.watchers("a") == 1
    site.advance(2)
    assert client.wire.was_cut()
    assert site.watchers("a") == 0
    assert site.closed("ping") == 1


def test_any_word_is_a_heartbeat(site: Site) -> None:
    client = open_socket(site)
    for _ in range(10):
        site.advance(19)
        client.send(frame(PONG))
    assert client.served()


def test_a_socket_that_was_full_over_a_ping_has_time_to_answer_it(site: Site) -> None:
    """While it was full nothing of what it sent was read, its pong neither."""
    reader = WebSocket(site)
    reader.listen()
    site.advance(19)
    reader.stall()
    post(site, large(1))
    site.advance(2)  # the ping goes behind the message, which waits
    post(site, large(2))
    for _ in range(3):
        reader.drain(10_000)  # slow, and going on
        site.advance(40)
    reader.drain()
    site.advance(1)
    assert not reader.listen().ended
    for _ in range(3):
        site.advance(20)
        assert not reader.listen().ended
    assert [message["n"] for message in reader.messages] == [1, 2]


def test_a_ping_that_it_could_not_read_yet_cuts_nobody(site: Site) -> None:
    reader = WebSocket(site)
    reader.listen()
    site.advance(20.1)  # the ping has come, and it has not looked at it
    reader.stall()
    post(site, large(1))
    site.advance(30)
    assert reader.client is not None
    reader.client.take()
    site.advance(1)
    assert not reader.listen().ended
    site.advance(21)
    assert not reader.listen().ended
    assert [message["n"] for message in reader.messages] == [1]


# How it ends.


def test_a_client_that_closes_is_answered_with_its_own_code(site: Site) -> None:
    client = open_socket(site).send(frame(CLOSE, struct.pack("!H", 4000) + b"bye"))
    assert closed_with(client) == 4000
    assert site.watchers("a") == 0


GOOD_CODES = (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)


@pytest.mark.parametrize("within", [False, True], ids=["between messages", "within one"])
@each_of("reason", [b"", b"auf Wiederh\xc3\xb6ren"])
@each_of("code", GOOD_CODES)
def test_a_close_is_answered_with_its_own_code_and_reason(
    site: Site, code: int, reason: bytes, *, within: bool
) -> None:
    """Also within a fragmented message (RFC 6455 §5.4, §5.5.1)."""
    payload = struct.pack("!H", code) + reason
    begun = frame(TEXT, b'"begun', fin=False) + frame(PING, b"!") if within else b""
    client = open_socket(site).send(begun + frame(CLOSE, payload))
    assert list(frames(client)) == [*([(PONG, b"!")] if within else []), (CLOSE, payload)]
    assert not client.served()
    assert site.watchers("a") == 0
    assert not any(name.startswith("slosh_closed_total") and value for name, value in site.metrics().items())


def test_a_close_without_a_code_is_answered_without_one(site: Site) -> None:
    client = open_socket(site).send(frame(TEXT, b'"begun', fin=False) + frame(CLOSE))
    assert list(frames(client)) == [(CLOSE, b"")]
    assert not client.served()


@pytest.mark.parametrize("within", [False, True], ids=["between messages", "within one"])
@each_of("code", BAD_CODES)
def test_a_close_with_a_code_that_may_not_be_sent_is_1002(make_site: MakeSite, code: int, *, within: bool) -> None:
    site = make_site()
    begun = frame(TEXT, b'"begun', fin=False) if within else b""
    client = open_socket(site).send(begun + frame(CLOSE, struct.pack("!H", code)))
    assert closed_with(client) == 1002
    assert site.closed("websocket_1002") == 1


@pytest.mark.parametrize("size", [0, 125, 126, 127, 65_535, 65_536, 100_000])
def test_every_length_in_its_shortest_form_is_heard(site: Site, size: int) -> None:
    client = open_socket(site).send(frame(TEXT, b"1".ljust(size)[:size]))
    ((opcode, payload),) = frames(client)
    assert opcode == TEXT
    assert ("error" in json.loads(payload)) == (size == 0)


def test_a_message_of_endless_fragments_is_closed_with_1009(make_site: MakeSite) -> None:
    site = make_site(max_message=6400)
    client = open_socket(site)
    client.send(frame(TEXT, b"1", fin=False) + frame(CONT, fin=False) * (1024 + 100 - 2) + frame(CONT))
    assert [opcode for opcode, _ in frames(client)] == [TEXT], "so many it may have"
    client.send(frame(TEXT, b"1", fin=False) + frame(CONT, fin=False) * (1024 + 100 - 1))
    assert client.silent()
    client.send(frame(CONT))
    assert closed_with(client) == 1009
    assert site.closed("websocket_1009") == 1
    assert site.watchers("a") == 0


def test_what_was_said_before_the_close_is_published(site: Site) -> None:
    other = WebSocket(site)
    open_socket(site).send(frame(TEXT, b"1") + frame(CLOSE, struct.pack("!H", 1000)))
    assert other.listen().messages == [1]


WRONG = {
    "binary": (frame(BINARY, b"1"), 1003),
    "binary in fragments": (frame(BINARY, b"1", fin=False), 1003),
    "text that is not UTF-8": (frame(TEXT, b'"\xff"'), 1007),
    "text that ends in the middle of a character": (frame(TEXT, b'"\xe2\x82'), 1007),
    "a surrogate": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "no mask": (frame(TEXT, b"1", mask=b""), 1002),
    "a reserved bit": (frame(TEXT, b"1", reserved=4), 1002),
    "an unknown opcode": (frame(0x3, b"1"), 1002),
    "an unknown control opcode": (frame(0xB), 1002),
    "a fragment of nothing": (frame(CONT, b"1"), 1002),
    "a message inside another": (frame(TEXT, b"1", fin=False) + frame(TEXT, b"2"), 1002),
    "a control frame in fragments": (frame(PING, fin=False), 1002),
    "a control frame that is too long": (frame(PING, b"x" * 126), 1002),
    "a close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "a close with a code that nobody may send": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "a close whose reason is not UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    "125 bytes with a length of 16 bits": (struct.pack("!BBH", 0x81, 0xFE, 125) + bytes(4) + b"1" * 125, 1002),
    "no byte with a length of 16 bits": (struct.pack("!BBH", 0x81, 0xFE, 0) + bytes(4), 1002),
    "a ping with a length of 16 bits": (struct.pack("!BBH", 0x89, 0xFE, 5) + bytes(4) + b"1" * 5, 1002),
    "125 bytes with a length of 64 bits": (struct.pack("!BBQ", 0x81, 0xFF, 125) + bytes(4) + b"1" * 125, 1002),
    "65,535 bytes with a length of 64 bits": (struct.pack("!BBQ", 0x81, 0xFF, 65_535) + bytes(4) + b"1" * 65_535, 1002),
    "a length with its highest bit": (struct.pack("!BBQ", 0x81, 0xFF, 1 << 63), 1002),
    "a fragment with a length of 16 bits": (
        frame(TEXT, b"1", fin=False) + struct.pack("!BBH", 0x80, 0xFE, 1) + bytes(4) + b"1",
        1002,
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_breaks_the_standard_closes_with_the_code_for_it(site: Site, wrong: str) -> None:
    data, code = WRONG[wrong]
    client = open_socket(site).send(data)
    assert closed_with(client) == code
    assert site.watchers("a") == 0


@pytest.mark.parametrize("wrong", ["binary", "text that is not UTF-8", "no mask"])
def test_what_comes_behind_a_fatal_frame_is_not_heard(site: Site, wrong: str) -> None:
    """RFC 6455 §7.1.7."""
    other = WebSocket(site)
    open_socket(site).send(WRONG[wrong][0] + frame(TEXT, b"1"), frame(TEXT, b"2"))
    assert not other.listen().messages


def test_a_client_that_vanishes_or_half_closes_is_no_watcher(site: Site) -> None:
    open_socket(site).reset()
    open_socket(site).half_close()
    assert site.watchers("a") == 0


def test_shutting_down_closes_with_1001(site: Site) -> None:
    client = open_socket(site)
    site.drain()
    assert closed_with(client) == 1001


def test_while_shutting_down_no_handshake_is_taken(site: Site) -> None:
    """It was on its way when the drain began, so the connection was not closed."""
    whole = request("GET", "/topics/a", **HANDSHAKE)
    client = site.connect().send(whole[:-2])
    site.drain()
    answer = client.send(whole[-2:]).next()
    assert (answer.status, answer.code, answer["Connection"]) == (503, "draining", "close")
    assert site.watchers("a") == 0


def test_a_life_ends_with_1001(site: Site) -> None:
    reader = WebSocket(site)
    for _ in range(31):
        site.advance(20)
        reader.listen()
    assert reader.ended
    assert reader.protocol.close_rcvd is not None
    assert reader.protocol.close_rcvd.code == 1001


# Floods.


def test_a_stalled_client_that_floods_stays_bounded(site: Site) -> None:
    """Answers to pings, and to nonsense, do not pile up for who does not read them: nothing more is read from it."""
    client = open_socket(site).take_nothing()
    pings = frame(PING, b"x" * 125) * 500
    for _ in range(100):
        client.send(pings)
    written = client.wire.get_write_buffer_size()
    assert written < 300_000
    assert not client.wire.is_reading()
    for _ in range(100):
        client.send(frame(TEXT, b"{") * 100)
    assert client.wire.get_write_buffer_size() == written
    client.take()
    assert sum(opcode == PONG for opcode, _ in frames(client)) == 50_000


def test_a_stalled_client_that_stays_stalled_is_cut(site: Site) -> None:
    client = open_socket(site).take_nothing()
    for _ in range(10):
        client.send(frame(PING, b"x" * 125) * 500)
    site.advance(125)
    assert client.wire.was_cut()
    assert site.watchers("a") == 0


def test_a_reader_from_the_past_is_told_all_in_one_message(site: Site) -> None:
    kept(site, 1, 2)
    client = open_socket(site, "/topics/a?since=earliest")
    ((opcode, payload),) = frames(client)
    assert opcode == TEXT
    assert payload == b'{"max":2,"saw":2,"delivering":2,"res":[1,2],"next":"epoch000.2"}'
