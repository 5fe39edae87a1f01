"""slosh takes exactly what the grammar says, and ends each request where the grammar ends it.

Sound requests are damaged in every way that has ever hurt a server; where slosh and the grammar would disagree about
a single byte there is a request that could be smuggled.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conformance.case import chunked, get, post
from tests.conformance.fake import FakeClient
from tests.conformance.reference import read
from tests.conformance.tables import PROBE, PROMISES
from tests.conformance.wire import parse

SOUND = (
    get(),
    get(target=b"/a%20b?c=d"),
    get(target=b"*", method=b"OPTIONS"),
    get(target=b"http://example.test/x"),
    get(version=b"HTTP/1.0"),
    get(b"Connection: close"),
    get(b"Connection: keep-alive, x", version=b"HTTP/1.0"),
    post(b"Content-Length: 5", body=b"hello"),
    post(b"Content-Length: 10", b"X: v", body=b"0\r\n\r\nGET /"),
    chunked(b"5\r\nhello\r\n0\r\n\r\n"),
    chunked(b"1\r\na\r\nA\r\n0123456789\r\n0\r\nX: v\r\n\r\n"),
    get(b"X-Test: a b\tc", b"Empty:"),
)
PIECES = (
    *(bytes([n]) for n in (0, 1, 9, 10, 11, 12, 13, 0x1F, 0x20, 0x7F, 0x80, 0x85, 0xA0, 0xFF)),
    *(b"%c" % n for n in b"\"#%'()+,-./05:;<=>?@AFGXZ[\\]_a{|}~*"),
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\r\n\t",
    b" :",
    b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\n",
    b"Host: example.test\r\n",
    b"Host: other.test\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"content-length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"chunked",
    b", chunked",
    b"0x",
    b"1",
    b";a=b",
    b"HTTP/1.0",
    b"http://",
    b"%0a",
)


def answered(data: bytes) -> list[bytes]:
    """The bodies of what slosh answered with 200 (empty for HEAD) before it refused or waited."""
    client = FakeClient()
    client.feed(data)
    answers = [answer for answer in parse(client.output, ended=client.hung_up()) if answer.status >= 200]
    assert all(answer.status == 200 for answer in answers[:-1]), "nothing is answered behind a refusal"
    assert all(answer.status in {200, 400, 413, 417, 431, 501, 505} for answer in answers)
    return [answer.body for answer in answers if answer.status == 200]


def expected(data: bytes) -> list[bytes]:
    return [request.body for request in read(data)]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Some sound requests in a row, with a few bytes taken out, put in or put in place of others."""
    data = b"".join(draw(st.lists(st.sampled_from(SOUND), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        out = draw(st.integers(0, 2))
        data = data[:at] + draw(st.sampled_from((b"", *PIECES))) + data[at + out :]
    return data


def comparable(data: bytes) -> bool:
    """Whether the two can be compared by bodies: /echo and HEAD answer otherwise."""
    return b"HEAD " not in data and b"/echo" not in data


@settings(deadline=None, max_examples=400)
@given(damaged())
@example(b"GET /a%20b?\tc=d HTTP/1.1\r\nHost: example.test\r\n\r\n")
@example(b"GET http://example.test/?\t HTTP/1.1\r\nHost: example.test\r\n\r\n")
def test_slosh_takes_exactly_what_the_grammar_takes(data: bytes) -> None:
    assert not comparable(data) or answered(data) == expected(data)


def test_the_grammar_and_slosh_agree_on_every_case() -> None:
    for case in (*PROBE, *PROMISES):
        data = b"".join(case.sends)
        if comparable(data) and len(data) < 8000:
            assert answered(data) == expected(data), case.name
