"""What slosh promises about the head of a request: everything that two servers could read differently is refused."""

from tests.conformance.case import HOST, Case, get
from tests.conformance.promises import ANSWERS, REFUSES, WAITS, Answers, Refuses, each

CONTROLS = (*(bytes([n]) for n in range(0x20) if n not in (9, 10, 13)), b"\x7f")
NOT_TOKEN = tuple(bytes([n]) for n in b'"(),/;<=>?@[\\]{}\x80\xc3\xff \t')
KEPT_OPEN = Answers(closes=False)


def line(first: bytes) -> bytes:
    """A request with `first` as its whole first line."""
    return first + b"\r\n" + HOST + b"\r\n"


def targeted(target: bytes) -> bytes:
    return get(target=target)


def hosted(value: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost:" + value + b"\r\n\r\n"


def valued(value: bytes) -> bytes:
    return get(b"X-Test: a" + value + b"b")


def named(character: bytes) -> bytes:
    return get(b"X-" + character + b"Test: value")


REQUEST_LINES: list[Case] = [
    *each(
        "first line",
        line,
        (
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET / HTTP/1.1\t",
            b"GET /\x0bHTTP/1.1",
            b"GET /",
            b"GET / ",
            b"GET",
            b"GET / HTTP",
            b"GET / HTTP/",
            b"GET / HTTP/1",
            b"GET / HTTP/1.",
            b"GET / HTTP/.1",
            b"GET / HTTP/1.1.1",
            b"GET / HTTP/11",
            b"GET / HTTP/1.10",
            b"GET / HTTP/01.1",
            b"GET / HTTP/+1.1",
            b"GET / HTTP/1,1",
            b"GET / http/1.1",
            b"GET / HTTQ/1.1",
            b"GET / RTSP/1.0",
            b"GET / ICE/1.0",
            b"GET / HTTP/1.1 HTTP/1.1",
            b"/ HTTP/1.1",
            b"GET/ / HTTP/1.1",
            b"G\0T / HTTP/1.1",
            b"G\xc3\x89T / HTTP/1.1",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 / HTTP/1.1",
        ),
        REFUSES,
        "RFC 9112 §3",
    ),
    *each(
        "version",
        lambda version: get(version=version),
        (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9"),
        Refuses((400, 505)),
        "RFC 9110 §15.6.6",
    ),
    *each(
        "method",
        lambda method: get(method=method),
        (b"FOOBAR", b"A" * 300, b"BREW", b"PRI", b"DESCRIBE"),
        Refuses((400, 501)),
        "RFC 9110 §9.1: 501 for a method that is not known",
    ),
    *each(
        "unknown method",
        lambda method: get(method=method),
        (b"VERSION-CONTROL", b"M-SEARCH", b"get", b"Get", b"X", b"!#$%&'*+-.^_`|~", b"A" * 32, b"BASELINE-CONTROL"),
        Refuses((501,)),
        "RFC 9110 §9.1: a method is any token, and one that is not known is 501",
    ),
    *each(
        "no method",
        lambda method: get(method=method),
        (b"G(T", b'"GET"', b"GET/", b"G\xc3\x89T", b"A" * 33),
        REFUSES,
        "RFC 9110 §5.6.2",
    ),
    Case(
        "CONNECT",
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",),
        Refuses((400, 405, 501)),
        "RFC 9110 §9.3.6: never a tunnel",
    ),
]

TARGETS: list[Case] = [
    *each(
        "target",
        targeted,
        (
            b"*",
            b"x",
            b"?q",
            b"example.test:80",
            b"example.test",
            b"ftp://example.test/",
            b"http:/example.test/",
            b"http:///path",
            b"http://",
            b"http://user@example.test/",
            b"http://user:word@example.test/",
            b"http://user@example.test",
            b"http://@example.test/",
            b"http://example.test@",
            b"http://example.test:x/",
            b"http://example.test#f",
            b"http://other.test/",
            b"http://other.test:1234/a",
            b"http://other.test?a=b",
            b"http://example.test:1234/a",
            b"https://other.test/a?b",
            b"http://?a=b",
            b"http:example.test",
            b"http://exa mple.test/",
            b"/a#b",
            b"/a\\b",
            b"/%",
            b"/%4",
            b"/%zz",
            b"/%4g/",
            b"/%%41",
            b"/\x00",
            b"/a\x01b",
            b"/a\x7f",
            b"/caf\xc3\xa9",
            b"/\xc0\xaf",
            b"/\xff",
            b"/a<b",
            b"/a>b",
            b"/?q=caf\xc3\xa9",
            b"/?q=\x00",
            b"/?q#f",
        ),
        REFUSES,
        "RFC 9112 §3.2",
    ),
    *each(
        "target",
        targeted,
        (
            b"/",
            b"//",
            b"//example.com/",
            b"/a/../b",
            b"/%41%2f%2F",
            b"/a;b=c,d~e!$&'()*+@:",
            b"/?",
            b"/?a=b&c=%20d?e/f",
            b"http://example.test/a",
            b"HTTP://example.test",
            b"http://example.test:80/",
            b"http://EXAMPLE.test?a=b",
            b"https://example.test:443/a?b",
            b"/" + b"a" * 8000,
        ),
        ANSWERS,
        "RFC 9112 §3.2",
    ),
    Case("OPTIONS *", (get(target=b"*", method=b"OPTIONS"),), ANSWERS, "RFC 9112 §3.2.4"),
    Case("POST *", (get(target=b"*", method=b"POST"),), REFUSES, "RFC 9112 §3.2.4"),
]

HOSTS: list[Case] = [
    *each(
        "Host:",
        hosted,
        (
            b"",
            b" ",
            b" a b",
            b" a,b",
            b" user@a",
            b" a/b",
            b" a?b",
            b" a#b",
            b" a:b",
            b" a:80:80",
            b" a:-1",
            b" a:+1",
            b" a\tb",
            b" a\\b",
            b" <a>",
            b" [::1",
            b" ::1",
            b" [::1]a",
            b" a\x00",
            b" a\x7f",
            b" \xc3\xa9",
            b" %zz",
            b" http://a/",
        ),
        REFUSES,
        "RFC 9112 §3.2",
    ),
    *each(
        "Host:",
        hosted,
        (b"a", b" a ", b"\ta\t", b" \t a \t ", b" a:", b" a:80", b" 127.0.0.1:8000", b" [::1]:80", b" a-b.c_d"),
        ANSWERS,
        "RFC 9112 §3.2, and white space around a value is no part of it (§5)",
    ),
    Case("no Host", (b"GET / HTTP/1.1\r\n\r\n",), REFUSES, "RFC 9112 §3.2"),
    Case("no Host, 1.0", (b"GET / HTTP/1.0\r\n\r\n",), Answers(closes=True), "Host came with HTTP/1.1"),
    Case("Host twice", (get(HOST[:-2]),), REFUSES, "RFC 9112 §3.2"),
    Case("Host twice, 1.0", (get(b"Host: b", version=b"HTTP/1.0"),), REFUSES, "RFC 9112 §3.2"),
    Case("Host twice, other case", (get(b"hOsT: b"),), REFUSES, "RFC 9112 §3.2"),
]

FIELDS: list[Case] = [
    *each("value with", valued, CONTROLS, REFUSES, "RFC 9110 §5.5"),
    *each("value with", valued, (b"\r", b"\n", b"\r\r", b"\n\r", b"\r\n ", b"\r\n\t"), REFUSES, "RFC 9112 §2.2, §5.2"),
    *each("value with", valued, (b"\x80", b"\xff", b"\xc3\xa9", b"\t", b" ", b'"(),:;'), KEPT_OPEN, "RFC 9110 §5.5"),
    *each("name with", named, (*NOT_TOKEN, *CONTROLS, b"\r", b"\n"), REFUSES, "RFC 9110 §5.1"),
    *each("name with", named, (b"!", b"#$%&'*+-.^_`|~", b"0"), ANSWERS, "RFC 9110 §5.6.2"),
    *each(
        "field line",
        get,
        (b"X", b": v", b" : v", b" X: v", b"\tX: v", b"X : v", b"X\t: v", b"X\x0b: v", b"X\r: v", b"X\n: v", b"\0: v"),
        REFUSES,
        "RFC 9112 §5",
    ),
    *each("field line", get, (b"X:", b"X: ", b"X:v", b"X:\t v \t", b"X: :v"), ANSWERS, "RFC 9112 §5"),
    *each(
        "line ends",
        lambda end: get(b"X: v").replace(b"\r\n", end),
        (b"\n", b"\r", b"\n\r", b"\r\r\n"),
        REFUSES,
        "RFC 9112 §2.2",
    ),
    Case("fold before the first field", (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n",), REFUSES, "RFC 9112 §2.2"),
    Case("empty line of spaces", (b"GET / HTTP/1.1\r\n" + HOST + b"  \r\n\r\n",), REFUSES, "RFC 9112 §2.2"),
    Case("LF ends the head", (get()[:-2] + b"\n",), REFUSES, "RFC 9112 §2.2"),
    Case("CR then data ends the head", (get()[:-2] + b"\rX: v\r\n\r\n",), REFUSES, "RFC 9112 §2.2"),
    Case("a second head in a value", (get(b"X: a\r\n\rGET /evil HTTP/1.1"),), REFUSES, "llhttp's vector"),
]

LIMITS: list[Case] = [
    Case("64 fields", (get(*(b"X-%d: v" % n for n in range(63))),), ANSWERS, "max_fields counts Host too"),
    Case("65 fields", (get(*(b"X-%d: v" % n for n in range(64))),), Refuses((431,)), "max_fields"),
    Case("10,000 fields", (get(*(b"X: v" for _ in range(10_000))),), Refuses((431,)), "tornado CVE-2025-67725"),
    Case("16 KiB of head", (get(b"X: " + b"v" * (16384 - len(get(b"X: ")))),), ANSWERS, "max_head"),
    Case("16 KiB and a byte", (get(b"X: " + b"v" * (16385 - len(get(b"X: ")))),), Refuses((431,)), "max_head"),
    Case("60 kB of cookie", (get(b"Cookie: a=" + b"\\" * 60_000),), Refuses((431,)), "CVE-2024-52804"),
    Case("60 kB of ranges", (get(b"Range: bytes=" + b"0-0," * 15_000 + b"0-"),), Refuses((431,)), "CVE-2025-62727"),
    Case("100 kB target", (get(target=b"/" + b"a" * 100_000),), Refuses((414, 431)), "max_head"),
    Case("endless first line", (b"GET /" + b"a" * 20_000,), Refuses((414, 431)), "nothing is kept beyond max_head"),
    Case("endless field", (get()[:-2] + b"X: " + b"a" * 20_000,), Refuses((431,)), "nothing is kept beyond max_head"),
]

PARTS: list[Case] = each(
    "part of a head",
    bytes,
    (
        b"G",
        b"GET ",
        b"GET /hello",
        b"GET /hello ",
        b"GET /hello HTTP",
        b"GET /hello HTTP/1.1",
        b"GET /hello HTTP/1.1\r",
        b"GET /hello HTTP/1.1\r\n",
        b"GET /hello HTTP/1.1\r\nHos",
        b"GET /hello HTTP/1.1\r\nHost:",
        b"GET /hello HTTP/1.1\r\nHost: ",
        b"GET /hello HTTP/1.1\r\nHost: a",
        b"GET /hello HTTP/1.1\r\nHost: a\r",
        b"GET /hello HTTP/1.1\r\nHost: a\r\n",
        b"GET /hello HTTP/1.1\r\nHost: a\r\n\r",
    ),
    WAITS,
    "a request is answered when it is complete",
)

CASES = [*REQUEST_LINES, *TARGETS, *HOSTS, *FIELDS, *LIMITS, *PARTS]
