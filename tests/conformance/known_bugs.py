"""Bytes with which real servers were broken, each with what went wrong there.

Gathered from what the HTTP Garden project and llhttp's and uNetworking's h1spec tests found in servers and parsers.
All must end in one refusal, but for the few at the end.
"""

from tests.conformance.case import HOST, Case, chunked, get, post
from tests.conformance.promises import ANSWERS, REFUSES, Answers, Refuses, bodies, flow

HIDDEN = get(target=b"/evil")
LENGTH = b"Content-Length: %d" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
SPOILT_NAME = bytes(range(9)) + bytes(range(11, 32)) + b' "(),/;?@[]{}'

GARDEN: list[Case] = [
    Case(f"garden: {name}", (sent,), Refuses((400, 501, 505)), why)
    for name, sent, why in (
        ("a chunk size that int() takes", chunked(b"0_2e\r\n" + HIDDEN), "aiohttp, gunicorn, tornado"),
        ("NUL and CR in a value", get(b"Header: v\x00\ralue"), "aiohttp, gunicorn, tornado"),
        ("blank behind a name", get(b"Content-Length : 34") + HIDDEN, "aiohttp, cheroot"),
        ("blank before the first name", b"GET / HTTP/1.1\r\n\t" + HOST + b"\r\n", "aiohttp"),
        ("a version's longest prefix", get(version=b"HTTP/1.32"), "aiohttp"),
        ("a version's 8-bit overflow", get(version=b"HTTP/4294967295.255"), "busy servers"),
        ("CRs in a version", get(version=b"HTTP/\r\r1.1"), "fasthttp"),
        ("no version to speak of", b"\x00 / HTTP/............0596.7407.\r\n" + HOST + b"\r\n", "methods unchecked"),
        ("a method's longest prefix", get(method=b'G=":(e),[T];?"'), "aiohttp"),
        ("a target that is none", get(target=b"!"), "aiohttp"),
        ("LF before the version", b"GET /\nHTTP/1.1\r\n" + HOST + b"\r\n", "aiohttp"),
        ("a non-ASCII name", get(b"\xeffoo: bar"), "aiohttp, daphne, mongoose"),
        ("every wrong character in a name", get(SPOILT_NAME + b": v"), "daphne, mongoose, tornado"),
        ("a length that int() takes", get(b"Content-Length: +1_0") + b"0123456789", "aiohttp, tornado, werkzeug"),
        ("chunked twice taken for no body", post(CHUNKED, CHUNKED, body=b"1\r\nZ\r\n" + END), "tornado"),
        ("A0 around chunked", post(b"Transfer-Encoding: \xa0chunked\xa0", body=END), "tornado, str.strip()"),
        ("85 behind chunked", post(b"Transfer-Encoding: chunked\x85", body=END), "str.strip()"),
        ("FF around chunked", post(b"Transfer-Encoding: \xffchunked\xff", body=b"1\r\nZ\r\n" + END), "bytes >= 0x80"),
        ("FF around a host", b"GET / HTTP/1.1\r\nHost: \xffa\xff\r\n\r\n", "bytes >= 0x80 stripped"),
        ("85 behind a name", get(b"Content-Length\x85: 10") + b"0123456789", "str.strip()"),
        ("CR between fields", get(b"Visible: :/\rSmuggled: :)"), "CPython, mongoose"),
        ("empty length, one request", post(b"Content-Length: "), "Go, lighttpd, OpenLiteSpeed"),
        ("empty length, then another", post(b"Content-Length: ", LENGTH, body=HIDDEN), "the first one wins"),
        ("empty chunk size", chunked(b"\r\n\r\n"), "Go, hyper, mongoose: read as 0"),
        ("empty name first", b"GET / HTTP/1.1\r\n: ignored\r\n" + HOST + b"\r\n", "read as the end of the head"),
        ("neither name nor value", get(b":", b"I: am chopped off"), "read as the end of the head"),
        ("LFs before a value", get(b"Useless:\n\nGET / HTTP/1.1"), "all white space stripped"),
        (
            "comma before chunked",
            post(b"Transfer-Encoding: ,chunked", b"Content-Length: 5", body=END),
            "another coding",
        ),
        ("comma before chunked, no length", post(b"Transfer-Encoding: ,chunked", body=END), "another coding"),
        ("two lengths, first wins", get(b"Content-Length: 1", b"Content-Length: 0") + b"Z", "first"),
        ("two lengths, last wins", post(b"Content-Length: 0", LENGTH, body=HIDDEN), "last"),
        ("a chunk size that strtoll() takes", chunked(b"-0x0\r\n\r\n"), "0x, +, - prefixes"),
        ("a length that makes it spin", get(b"Content-Length: -48"), "an endless loop"),
        ("no colon but a blank", get(b"Content-Length 10") + b"0123456789", "colon not needed"),
        ("a length's longest prefix", get(b"Content-Length: 1Z") + b"Z", "atoi()"),
        ("octal length", get(b"Content-Length: 010") + b"01234567", "strtoll(,,0)"),
        ("CR and any byte end the head", get()[:-2] + b"\rZ" + HIDDEN, "node, llhttp lenient"),
        ("CR and any byte end a chunk size", chunked(b"5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n" + HIDDEN), "node"),
        ("CRs before an extension", chunked(b"2\r\r;a\r\n02\r\n41\r\n0\r\n\r\n" + HIDDEN), "CDNs"),
        ("CRs in an extension", chunked(b"41;a=b\r\r" + b"X" * 65 + b"\r\n0\r\n\r\n" + HIDDEN), "h2o"),
        ("a chunk size with words behind", chunked(b"1these-bytes-never-get-validated\r\nZ\r\n0\r\n\r\n"), "prefix"),
        ("a host with NUL", b"GET / HTTP/1.1\r\nHost: google.com\x00.example.test\r\n\r\n", "forwarded whole"),
        ("NUL behind a value", get(b"Evil: evil\x00"), "stripped"),
        ("a name over two lines", post(b"Transfer-", b"Encoding: chunked", b"Content-Length: 5", body=END), "joined"),
        ("LF within a name", get(b"Te\nst: test"), "forwarded as it is"),
        ("two bytes for the last CR LF", chunked(b"0\r\nX:POST / HTTP/1.1\r\n").replace(b"X:", b"X\n"), "any two"),
        ("an unknown coding taken for chunked", post(b"Transfer-Encoding: blegh", body=b"1\r\nZ\r\n" + END), "a guess"),
        ("going on behind a bad chunk", chunked(b"INVALID!!!\r\n" + HIDDEN), "the next line taken for a request"),
        ("LF ends everything", get().replace(b"\r\n", b"\n"), "forwarded as it is"),
        ("LF behind chunk data", chunked(b"a\r\n0123456789\n0\r\n\r\n"), "proxies"),
        ("CR for the end of a size", chunked(b"1\r0\n"), "forwarded without body"),
        ("blanks before the last size", chunked(b"           0\r\n\r\n"), "forwarded"),
    )
]

LLHTTP: list[Case] = [
    Case(f"llhttp: {name}", (sent,), REFUSES, why)
    for name, sent, why in (
        ("ICE", get(version=b"ICE/1.0"), "another protocol"),
        ("IHTTP", get(version=b"IHTTP/1.0"), "nearly a protocol"),
        ("RTSP on PUT", get(method=b"PUT", version=b"RTSP/1.0"), "another protocol"),
        ("LF, then a coding", post(b"x:x\nTransfer-Encoding: chunked", body=b"1\r\nA\r\n" + END), "the field hides"),
        ("CR, then a coding", post(b"x:\rTransfer-Encoding: chunked", body=b"1\r\nA\r\n" + END), "the field hides"),
        ("at sign in a name", get(b"Fo@: Failure"), "RFC 9110 §5.6.2"),
        ("SOH in a name", get(b"Foo\x01test: Bar"), "RFC 9110 §5.6.2"),
        ("folded name", get(b"name", b" : value"), "RFC 9112 §5.2"),
        ("corrupted Connection", get(b"Connection\r\x1b\x35\xd5eep-Alive"), "octets gone wrong"),
        ("LF, then a length", get(b"Dummy: x\nContent-Length: 23") + HIDDEN, "the length hides"),
        ("a blank before a length", post(b"Foo: bar", b" Content-Length: 38") + HIDDEN, "folded or not"),
        ("CR in Content-Length", get(b"Content\rLength: 003") + b"abc", "taken for a dash"),
        ("CR in keep-alive", get(b"Connection: keep\ralive"), "taken for a dash"),
        ("blank behind Connection", get(b"Connection : upgrade", b"Upgrade: ws"), "RFC 9112 §5.1"),
        (
            "CR before the body",
            post(b"Content-Length: 3", body=b"").replace(b"\r\n\r\n", b"\r\n\rabc"),
            "no empty line",
        ),
        (
            "three empty codings",
            post(b"Content-Length: 10", *[b"Transfer-Encoding:"] * 3, body=b"2\r\nAA\r\n" + END),
            "",
        ),
        ("a fold behind chunked", post(CHUNKED, b"  abc", body=b"5\r\nWorld\r\n" + END), "chunked abc"),
        ("no semicolon", chunked(b"2 erfrferferf\r\naa\r\n0 rrrr\r\n\r\n"), "words behind a size"),
        ("open quotes", chunked(b'5;a="abc";b="def; ghi\r\nhello\r\n0\r\n\r\n'), "where does it end"),
        ("LF and blanks in a size", chunked(b"3 \n  \r\nfoo\r\n" + END), "RFC 9112 §7.1"),
        ("a size, then the end", chunked(b"3\r\nfoo\r\n\r\n"), "no last chunk"),
    )
]

FINE: list[Case] = [
    Case(
        "h1spec: names in any case, empty value", (b"GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n",), ANSWERS
    ),
    Case("h1spec: an expectation without a body", (get(b"Expect: 100-continue"),), ANSWERS, "RFC 9110 §10.1.1"),
    Case("h1spec: words before the method", (b"Extra lineGET / HTTP/1.1\r\n" + HOST + b"\r\n",), REFUSES),
    Case(
        "h1spec: both lengths in odd letters",
        (post(b"content-LengtH: 5", b"TransFer-Encoding: chunked", body=b"c\r\nHellO world1\r\n" + END),),
        REFUSES,
    ),
    Case("h1spec: no Host but a length", (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",), REFUSES),
    Case("h1spec: no version", (b"GET / \r\n\r\n",), REFUSES),
    Case("llhttp: letters beyond ASCII in a value", (get(b"Test: D\xc3\xbcsseldorf", b"T: \xffx"),), ANSWERS),
    Case("llhttp: close with a tab", (get(b"Connection: close\t"),), Answers(closes=True)),
    Case("llhttp: many options", (get(b"Connection: token, upgrade, token, keep-alive"),), ANSWERS),
    Case("llhttp: two lists of options", (get(b"Connection: a", b"Connection: close"),), Answers(closes=True)),
    flow(
        "garden: a byte behind a chunked body",
        (chunked(END) + b"\0",),
        Answers(((200, 400),), closes=True),
        "a crash elsewhere",
        answers=2,
    ),
    flow("garden: nonsense behind close", (get(b"Connection: close") + b"Invalid\r\n\r\n",), Answers(closes=True)),
    flow(
        "garden: extra lines in a chunk",
        (chunked(b"%x\r\n" % (len(HIDDEN) + 9) + END + HIDDEN + b"\r\n\r\n" + b"\r\n" + END),),
        bodies(END + HIDDEN + b"\r\n\r\n"),
    ),
    flow(
        "garden: pipelined bytes are no body",
        (post(b"Content-Length: 0") + post(LENGTH), HIDDEN),
        Answers(((200,), (200,)), (b"", HIDDEN)),
    ),
]

CASES = [*GARDEN, *LLHTTP, *FINE]
