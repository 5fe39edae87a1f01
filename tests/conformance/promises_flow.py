"""What slosh promises about several requests on one connection: in order, each once, none invented."""

from tests.conformance.case import Case, chunked, get, post
from tests.conformance.promises import Answers, Refuses, bodies, flow

HELLO = (b"Content-Length: 5",)
GOOD = b"5\r\nhello\r\n0\r\n\r\n"
HIDDEN = get(target=b"/hidden")
ONE = post(b"Content-Length: 3", body=b"one")
TWO = chunked(b"3\r\ntwo\r\n0\r\n\r\n")
THREE = post(b"Content-Length: 5", body=b"three")
EXPECT = b"Expect: 100-continue"
CLOSE = b"Connection: close"
UPGRADE = b"Connection: Upgrade"
WEBSOCKET = (
    UPGRADE,
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)
H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


def then(*statuses: int) -> Answers:
    """One step with these statuses, then the connection is closed."""
    return Answers((statuses,), closes=True)


PIPELINES: list[Case] = [
    flow("three at once", (ONE + TWO + THREE,), bodies(b"one", b"two", b"three"), "RFC 9112 §9.3.2", answers=3),
    flow("three one by one", (ONE, TWO, THREE), Answers(((200,), (200,), (200,)), (b"one", b"two", b"three"))),
    flow("twenty at once", (ONE * 20,), bodies(*[b"one"] * 20), "RFC 9112 §9.3.2", answers=20),
    flow("empty lines between", (ONE + b"\r\n" + TWO,), bodies(b"one", b"two"), "RFC 9112 §2.2", answers=2),
    flow("an empty line first", (b"\r\n" + ONE,), bodies(b"one"), "RFC 9112 §2.2: ignored, some clients send it"),
    flow("a bad one in the middle", (ONE + b"BAD\r\n\r\n" + TWO,), then(200, 400), "RFC 9112 §9.3.2", answers=2),
    flow("behind a refusal", (get(b"X : v") + ONE, ONE), Refuses(), "nobody knows where the next one begins"),
    flow("behind Connection: close", (get(CLOSE) + ONE, ONE), Answers(((200,), ()), closes=True), "RFC 9112 §9.6"),
    flow("behind HTTP/1.0", (get(version=b"HTTP/1.0") + ONE,), then(200), "RFC 9112 §9.3"),
    flow(
        "kept alive in HTTP/1.0",
        (get(b"Connection: keep-alive", version=b"HTTP/1.0"), get(version=b"HTTP/1.0")),
        Answers(((200,), (200,)), closes=True),
        "RFC 9112 §9.3",
    ),
    flow("CLOSE in other cases", (get(b"Connection: foo, CLOSE"),), then(200), "RFC 9110 §7.6.1: tokens in any case"),
    flow("a word with close in it", (get(b"Connection: closed"),), Answers(), "RFC 9110 §7.6.1"),
]

DESYNC: list[Case] = [
    flow("CL.TE", (post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nX"), get()), Refuses()),
    flow(
        "TE.CL",
        (post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"1\r\nA\r\n0\r\n\r\n"), get()),
        Refuses(),
    ),
    flow(
        "TE.TE",
        (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=b"0\r\n\r\n" + HIDDEN), get()),
        Refuses(),
    ),
    flow(
        "CL.0: a body is read even where the method needs none",
        (get(b"Content-Length: %d" % len(HIDDEN)) + HIDDEN + ONE,),
        bodies(HIDDEN, b"one"),
        "the bytes of a body are never the next request",
        answers=2,
    ),
    flow(
        "CL.0 on OPTIONS, DELETE, HEAD",
        tuple(get(b"Content-Length: %d" % len(HIDDEN), method=m) + HIDDEN for m in (b"OPTIONS", b"DELETE", b"HEAD")),
        Answers(((200,), (200,), (200,)), (HIDDEN, HIDDEN, b"")),
    ),
    flow(
        "0.CL: what follows a body of 0 is a request",
        (post(b"Content-Length: 0") + ONE,),
        bodies(b"", b"one"),
        answers=2,
    ),
    flow("poison behind a body of 0", (post(b"Content-Length: 0", body=b"X") + get(),), then(200, 501), answers=2),
    flow(
        "a request in a chunk",
        (chunked(b"%x\r\n" % len(HIDDEN) + HIDDEN + b"\r\n0\r\n\r\n") + ONE,),
        bodies(HIDDEN, b"one"),
        answers=2,
    ),
    flow(
        "a request in a trailer", (chunked(b"0\r\nX: " + HIDDEN),), bodies(b""), "its lines are trailers, and dropped"
    ),
    flow("a request in an extension", (chunked(b"0;" + HIDDEN + b"\r\n0\r\n\r\n"), get()), Refuses()),
    flow("a chunk that spills", (chunked(b"5\r\nhelloX\r\n0\r\n\r\n"), get()), Refuses()),
    flow(
        "a length in the trailers", (chunked(b"0\r\nContent-Length: 50\r\n\r\n") + ONE,), bodies(b"", b"one"), answers=2
    ),
]

UPGRADES: list[Case] = [
    flow("h2c is not taken up", (get(*H2C) + ONE,), bodies(b"", b"one"), "RFC 9110 §7.8: may be ignored", answers=2),
    flow("h2c with a body", (post(*H2C, *HELLO, body=b"hello") + ONE,), bodies(b"hello", b"one"), answers=2),
    flow("an unknown protocol", (get(UPGRADE, b"Upgrade: x/1") + ONE,), bodies(b"", b"one"), "§7.8", answers=2),
    flow("WebSocket over POST", (post(*WEBSOCKET, *HELLO, body=b"hello") + ONE,), bodies(b"hello", b"one"), answers=2),
    flow("WebSocket without Connection", (get(*WEBSOCKET[1:]) + ONE,), bodies(b"", b"one"), "§7.8", answers=2),
    flow("prior knowledge of HTTP/2", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,), Refuses((400, 501, 505))),
    flow("TLS on the plain port", (b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03" + b"\x8a" * 20 + b"\n",), Refuses()),
]

EXPECTATIONS: list[Case] = [
    flow(
        "the body is asked for",
        (post(*HELLO, EXPECT), b"hello"),
        Answers(((100,), (200,)), (b"hello",)),
        "RFC 9110 §10.1.1",
        interim=True,
    ),
    flow(
        "chunks are asked for",
        (chunked(b"").replace(b"\r\n\r\n", b"\r\n" + EXPECT + b"\r\n\r\n"), GOOD),
        Answers(((100,), (200,)), (b"hello",)),
        "RFC 9110 §10.1.1",
        interim=True,
    ),
    flow("no body, no 100", (post(b"Content-Length: 0", EXPECT),), bodies(b""), "RFC 9110 §10.1.1"),
    flow("no 100 to HTTP/1.0", (post(*HELLO, EXPECT, body=b"hello", version=b"HTTP/1.0"),), then(200), "§10.1.1"),
    flow("no 100 for what is too large", (post(b"Content-Length: 8388609", EXPECT),), Refuses((413,)), "§10.1.1"),
    flow("another expectation", (post(*HELLO, b"Expect: 200-ok", body=b"hello"),), Answers(((417,),), closes=True)),
    flow(
        "100-Continue in other case",
        (post(*HELLO, b"Expect: 100-Continue"), b"hello"),
        Answers(((100,), (200,)), (b"hello",)),
        "RFC 9110 §10.1.1: case-insensitive",
        interim=True,
    ),
]

CASES = [*PIPELINES, *DESYNC, *UPGRADES, *EXPECTATIONS]
