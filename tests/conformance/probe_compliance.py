"""Http11Probe's compliance cases, by its own names: what RFC 9110 and 9112 demand of an HTTP/1.1 server.

The bytes and the judgements follow that public suite (MIT licence, https://github.com/MDA2AV/Http11Probe), so that
the score can be set beside the ones it publishes. Only the host's name differs.
"""

from email.utils import parsedate_to_datetime

from tests.conformance.case import HOST, Answer, Ending, Seen, chunked, get, lines, post
from tests.conformance.rules import (
    ANSWERED,
    ANSWERED_OR_CLOSED,
    ANY,
    FAIL,
    LENIENT,
    NOT_SWITCHED,
    OK,
    ONLY_400,
    PASS,
    REFUSED,
    REFUSED_OR_501,
    UNSWITCHED,
    WARN,
    Case,
    Rule,
    Verdict,
    case,
    closes,
    echoed,
    has,
)

HELLO = b"5\r\nhello\r\n0\r\n\r\n"
WEBSOCKET = (
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)


def extension(seen: tuple[Seen, ...]) -> Verdict:
    """Prefer that a chunk extension is skipped; refusing it warns."""
    first = seen[0]
    if not first.answers:
        return WARN if first.ending is Ending.CLOSED else FAIL
    return WARN if first.status == 400 else echoed(b"hello")(seen)


def old_version(seen: tuple[Seen, ...]) -> Verdict:
    """Ask for 426 on an unknown WebSocket version; an answer that ignores the upgrade warns."""
    first = seen[0]
    if not first.answers:
        return PASS if first.ending is Ending.CLOSED else FAIL
    if first.status == 101:
        return FAIL
    return WARN if first.status in OK else PASS


def allow_on_405(seen: tuple[Seen, ...]) -> Verdict:
    """Ask for Allow beside a 405; a server that never says 405 warns."""
    if not seen[0].answers:
        return FAIL
    if seen[0].status != 405:
        return WARN
    return PASS if seen[0].answers[0].all(b"allow") else FAIL


def bare_204(seen: tuple[Seen, ...]) -> Verdict:
    """Ask that a 204 says no length; a server that answers otherwise warns."""
    if not seen[0].answers:
        return FAIL
    if seen[0].status != 204:
        return WARN
    return FAIL if seen[0].answers[0].all(b"content-length") else PASS


def no_interim(seen: tuple[Seen, ...]) -> Verdict:
    """Ask that no 1xx is sent."""
    return FAIL if 0 < seen[0].status < 200 else PASS


def no_body(answer: Answer, _: Ending) -> Verdict:
    return FAIL if answer.body else PASS


def no_stray_body(seen: tuple[Seen, ...]) -> Verdict:
    """Ask for a HEAD answer whose header block is the last thing on the wire."""
    return Rule(OK, check=no_body)(seen) if len(seen[0].answers) == 1 else FAIL


def fixdate(answer: Answer, _: Ending) -> Verdict:
    """Ask for the one date form that RFC 9110 §5.6.7 lets a server send."""
    dates = answer.all(b"date")
    if not dates or len(dates[0]) != 29 or not dates[0].endswith(b" GMT"):
        return WARN
    try:
        parsedate_to_datetime(dates[0].decode("ascii"))
    except ValueError:
        return WARN
    return PASS


def secret_kept(answer: Answer, _: Ending) -> Verdict:
    return WARN if answer.status in OK and b"secret-token-123" in answer.body else PASS


TARGET_AND_LINE: list[Case] = [
    case("COMP-BASELINE", get(), ANSWERED),
    case("RFC9112-2.2-BARE-LF-REQUEST-LINE", b"GET / HTTP/1.1\n" + HOST + b"\r\n", LENIENT, "RFC 9112 §2.2"),
    case(
        "RFC9112-2.2-BARE-LF-HEADER",
        b"GET / HTTP/1.1\r\nHost: example.test\nX-Test: value\r\n\r\n",
        LENIENT,
        "RFC 9112 §2.2",
    ),
    case("RFC9112-5.1-OBS-FOLD", get(b"X-Test: value", b" continued"), ONLY_400, "RFC 9112 §5.2"),
    case("RFC9110-5.6.2-SP-BEFORE-COLON", get(b"X-Test : value"), ONLY_400, "RFC 9112 §5.1"),
    case("RFC9112-3-MULTI-SP-REQUEST-LINE", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", LENIENT, "RFC 9112 §3"),
    case("RFC9112-7.1-MISSING-HOST", b"GET / HTTP/1.1\r\n\r\n", ONLY_400, "RFC 9112 §3.2"),
    case("RFC9112-2.3-INVALID-VERSION", get(version=b"HTTP/9.9"), Rule({400, 505}, closed=PASS), "RFC 9112 §2.3"),
    case("RFC9112-5-EMPTY-HEADER-NAME", get(b": empty-name"), REFUSED, "RFC 9112 §5"),
    case("RFC9112-3-CR-ONLY-LINE-ENDING", b"GET / HTTP/1.1\r" + HOST + b"\r\n", ONLY_400, "RFC 9112 §2.2"),
    case("RFC9112-3-MISSING-TARGET", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", REFUSED, "RFC 9112 §3"),
    case("RFC9112-3.2-FRAGMENT-IN-TARGET", get(target=b"/path#frag"), LENIENT, "RFC 9112 §3.2"),
    case("RFC9112-2.3-HTTP09-REQUEST", b"GET /\r\n", REFUSED, "RFC 9112 §2.3"),
    case("RFC9112-5-INVALID-HEADER-NAME", get(b"Bad[Name: value"), REFUSED, "RFC 9112 §5"),
    case("RFC9112-5-HEADER-NO-COLON", get(b"NoColonHere"), REFUSED, "RFC 9112 §5"),
    case("RFC9110-5.4-DUPLICATE-HOST", get(b"Host: other.example.com"), ONLY_400, "RFC 9112 §3.2"),
    case("RFC9112-6.1-CL-NON-NUMERIC", post(b"Content-Length: abc"), REFUSED, "RFC 9112 §6.3"),
    case("RFC9112-6.1-CL-PLUS-SIGN", post(b"Content-Length: +5", body=b"hello"), REFUSED, "RFC 9112 §6.3"),
    case("COMP-WHITESPACE-BEFORE-HEADERS", b"GET / HTTP/1.1\r\n \r\n" + HOST + b"\r\n", REFUSED, "RFC 9112 §2.2"),
    case("COMP-DUPLICATE-HOST-SAME", get(HOST[:-2]), ONLY_400, "RFC 9112 §3.2"),
    case("COMP-HOST-WITH-USERINFO", b"GET / HTTP/1.1\r\nHost: user@example.test\r\n\r\n", REFUSED, "RFC 9112 §3.2"),
    case("COMP-HOST-WITH-PATH", b"GET / HTTP/1.1\r\nHost: example.test/path\r\n\r\n", REFUSED, "RFC 9112 §3.2"),
    case("COMP-ASTERISK-WITH-GET", get(target=b"*"), REFUSED, "RFC 9112 §3.2.4"),
    case("COMP-OPTIONS-STAR", get(target=b"*", method=b"OPTIONS"), ANSWERED, "RFC 9112 §3.2.4"),
    case("COMP-UNKNOWN-TE-501", post(b"Transfer-Encoding: gzip"), REFUSED_OR_501, "RFC 9112 §6.1"),
    case("COMP-LEADING-CRLF", b"\r\n\r\n" + get(), LENIENT, "RFC 9112 §2.2"),
    case(
        "COMP-ABSOLUTE-FORM",
        get(target=b"http://example.test/"),
        Rule(OK, {400}, closed=WARN),
        "RFC 9112 §3.2.2",
        scored=False,
    ),
    case("COMP-METHOD-CASE", get(method=b"get"), Rule({400, 405, 501}, OK, closed=PASS), "RFC 9110 §9.1"),
    case("COMP-HOST-EMPTY-VALUE", b"GET / HTTP/1.1\r\nHost: \r\n\r\n", REFUSED, "RFC 9112 §3.2"),
    case("COMP-REQUEST-LINE-TAB", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", LENIENT, "RFC 9112 §3"),
    case("COMP-VERSION-MISSING-MINOR", get(version=b"HTTP/1"), REFUSED, "RFC 9112 §2.3"),
    case("COMP-VERSION-LEADING-ZEROS", get(version=b"HTTP/01.01"), REFUSED, "RFC 9112 §2.3"),
    case("COMP-VERSION-WHITESPACE", get(version=b"HTTP/ 1.1"), REFUSED, "RFC 9112 §2.3"),
    case("COMP-VERSION-CASE", get(version=b"http/1.1"), REFUSED, "RFC 9112 §2.3"),
    case("COMP-HTTP12-VERSION", get(version=b"HTTP/1.2"), Rule((), {*OK, 505}, closed=PASS), "§2.3", scored=False),
    case("COMP-SPACE-IN-TARGET", get(target=b"/pa th"), REFUSED, "RFC 9112 §3.2"),
    case(
        "COMP-LONG-URL-OK",
        get(target=b"/" + b"a" * 7900),
        Rule(frozenset(ANY) - {414}, closed=WARN),
        "RFC 9112 §3: at least 8,000 bytes of request line",
    ),
]

BODIES: list[Case] = [
    case("COMP-POST-CL-BODY", post(b"Content-Length: 5", body=b"hello"), echoed(b"hello"), "RFC 9112 §6.2"),
    case("COMP-POST-CL-ZERO", post(b"Content-Length: 0"), ANSWERED_OR_CLOSED, "RFC 9112 §6.2"),
    case("COMP-POST-NO-CL-NO-TE", post(), ANSWERED_OR_CLOSED, "RFC 9112 §6.3"),
    case("COMP-POST-CL-UNDERSEND", post(b"Content-Length: 10", body=b"hello"), REFUSED, "RFC 9112 §6.2"),
    case("COMP-CHUNKED-BODY", chunked(HELLO), echoed(b"hello"), "RFC 9112 §7.1"),
    case(
        "COMP-CHUNKED-MULTI",
        chunked(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        echoed(b"hello world"),
        "RFC 9112 §7.1",
    ),
    case("COMP-CHUNKED-EMPTY", chunked(b"0\r\n\r\n"), ANSWERED_OR_CLOSED, "RFC 9112 §7.1"),
    case("COMP-CHUNKED-NO-FINAL", chunked(b"5\r\nhello\r\n"), REFUSED, "RFC 9112 §7.1"),
    case(
        "COMP-GET-WITH-CL-BODY",
        get(b"Content-Length: 5") + b"hello",
        Rule({400}, frozenset(ANY) - {400}, closed=PASS),
        "RFC 9110 §9.3.1",
        scored=False,
    ),
    case("COMP-CHUNKED-EXTENSION", chunked(b"5;ext=value\r\nhello\r\n0\r\n\r\n"), extension, "RFC 9112 §7.1.1"),
    case(
        "COMP-CHUNKED-TRAILER-VALID",
        chunked(b"5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n"),
        echoed(b"hello"),
        "RFC 9112 §7.1.2",
    ),
    case(
        "COMP-CHUNKED-HEX-UPPERCASE",
        chunked(b"A\r\nhelloworld\r\n0\r\n\r\n"),
        echoed(b"helloworld"),
        "RFC 9112 §7.1",
    ),
    case(
        "COMP-DUPLICATE-CT",
        post(b"Content-Length: 5", b"Content-Type: text/plain", b"Content-Type: text/html", body=b"hello"),
        LENIENT,
        "RFC 9110 §5.3",
    ),
    case(
        "COMP-POST-UNSUPPORTED-CT",
        post(b"Content-Length: 5", b"Content-Type: application/x-nonsense", body=b"hello"),
        Rule({415, *OK}, frozenset(ANY), closed=WARN),
        "RFC 9110 §15.5.16",
        scored=False,
    ),
]

SEMANTICS: list[Case] = [
    case("COMP-UPGRADE-POST", post(b"Connection: Upgrade", *WEBSOCKET), UNSWITCHED, "RFC 6455 §4.1"),
    case("COMP-UPGRADE-MISSING-CONN", get(*WEBSOCKET), UNSWITCHED, "RFC 9110 §7.8"),
    case(
        "COMP-UPGRADE-UNKNOWN",
        get(b"Connection: Upgrade", b"Upgrade: totally-made-up/1.0"),
        UNSWITCHED,
        "RFC 9110 §7.8",
    ),
    case(
        "COMP-UPGRADE-INVALID-VER",
        get(b"Connection: Upgrade", *WEBSOCKET[:2], b"Sec-WebSocket-Version: 99"),
        old_version,
        "RFC 6455 §4.4",
    ),
    case(
        "COMP-UPGRADE-HTTP10",
        get(b"Connection: Upgrade", *WEBSOCKET, version=b"HTTP/1.0"),
        Rule(NOT_SWITCHED, closed=PASS),
        "RFC 9110 §7.8",
    ),
    case(
        "COMP-METHOD-CONNECT",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        Rule({400, 405, 501}, closed=PASS),
        "RFC 9110 §9.3.6",
    ),
    case("COMP-EXPECT-UNKNOWN", get(b"Expect: 200-ok"), Rule({417}, OK, closed=PASS), "RFC 9110 §10.1.1"),
    case(
        "COMP-METHOD-TRACE",
        get(method=b"TRACE"),
        Rule({405, 501}, OK, closed=PASS),
        "RFC 9110 §9.3.8",
        scored=False,
    ),
    case(
        "COMP-TRACE-WITH-BODY",
        get(b"Content-Length: 5", method=b"TRACE") + b"hello",
        Rule({400, 405, 501}, OK, closed=PASS),
        "RFC 9110 §9.3.8",
        scored=False,
    ),
    case(
        "COMP-TRACE-SENSITIVE",
        get(b"Authorization: Bearer secret-token-123", method=b"TRACE"),
        Rule({405, 501, *OK}, closed=PASS, check=secret_kept),
        "RFC 9110 §9.3.8",
        scored=False,
    ),
    case("COMP-CONNECTION-CLOSE", get(b"Connection: close"), closes(FAIL), "RFC 9112 §9.6"),
    case("COMP-HTTP10-DEFAULT-CLOSE", get(version=b"HTTP/1.0"), closes(WARN), "RFC 9112 §9.3"),
    case(
        "COMP-HTTP10-NO-HOST",
        b"GET / HTTP/1.0\r\n\r\n",
        Rule({400}, OK, closed=PASS),
        "RFC 9112 §3.2",
        scored=False,
    ),
    case(
        "COMP-RANGE-POST",
        post(b"Content-Length: 5", b"Range: bytes=0-10", body=b"hello"),
        Rule(frozenset(OK) - {206}),
        "RFC 9110 §14.2",
    ),
    case("COMP-HEAD-NO-BODY", b"HEAD / HTTP/1.1\r\n" + lines(HOST[:-2]) + b"\r\n", no_stray_body, "RFC 9110 §9.3.2"),
    case(
        "COMP-UNKNOWN-METHOD",
        get(method=b"FOOBAR"),
        Rule({400, 405, 501}, OK, closed=PASS),
        "RFC 9110 §9.1",
    ),
    case("COMP-405-ALLOW", get(method=b"DELETE"), allow_on_405, "RFC 9110 §15.5.6"),
    case("COMP-DATE-HEADER", get(), has(b"date", FAIL), "RFC 9110 §6.6.1"),
    case("COMP-DATE-FORMAT", get(), Rule(OK, check=fixdate), "RFC 9110 §5.6.7", scored=False),
    case(
        "COMP-NO-1XX-HTTP10",
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello", version=b"HTTP/1.0"),
        no_interim,
        "RFC 9110 §15.2",
    ),
    case("COMP-NO-CL-IN-204", get(method=b"OPTIONS"), bare_204, "RFC 9110 §8.6"),
    case("COMP-OPTIONS-ALLOW", get(method=b"OPTIONS"), has(b"allow", WARN), "RFC 9110 §9.3.7"),
    case("COMP-CONTENT-TYPE", get(), has(b"content-type", WARN), "RFC 9110 §8.3"),
    case(
        "COMP-RANGE-INVALID",
        get(b"Range: bytes=abc-xyz"),
        Rule({416, *OK} - {206}, frozenset(ANY), closed=WARN),
        "RFC 9110 §14.2",
        scored=False,
    ),
    case(
        "COMP-ACCEPT-NONSENSE",
        get(b"Accept: application/x-nonsense"),
        Rule({406}, OK, closed=WARN),
        "RFC 9110 §12.5.1",
        scored=False,
    ),
]

CASES = [*TARGET_AND_LINE, *BODIES, *SEMANTICS]
