"""Http11Probe's request-smuggling cases, by its own names: bytes that two parsers could read differently.

See probe_compliance for the source.
"""

from tests.conformance.case import Seen, chunked, get, post
from tests.conformance.rules import (
    FAIL,
    LENIENT,
    OK,
    PASS,
    REFUSED,
    REFUSED_OR_501,
    WARN,
    Case,
    Verdict,
    case,
    follow_up,
    one_answer,
    refused_or_closed,
    safe_sequence,
    strict_or_closes,
)

HELLO = b"hello"
FIVE = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
BANANAS = b"D\r\nhello-bananas\r\n0\r\n\r\n"
LENGTH = "RFC 9110 §8.6"
CODING = "RFC 9112 §6.1"
CHUNK = "RFC 9112 §7.1"


def length(value: bytes, body: bytes = HELLO) -> bytes:
    """Make a POST whose Content-Length is spelled `value`."""
    return post(b"Content-Length: " + value, body=body)


def coding(value: bytes) -> bytes:
    """Make a POST whose Transfer-Encoding is spelled `value`, and which also has a length of 5."""
    return post(b"Transfer-Encoding: " + value, FIVE, body=HELLO)


def trailer(line: bytes) -> bytes:
    """Make a good chunked POST with one trailer field."""
    return chunked(b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n")


LENGTHS: list[Case] = [
    case(
        "SMUG-DUPLICATE-CL",
        post(FIVE, b"Content-Length: 10", body=b"helloworld"),
        REFUSED,
        LENGTH,
    ),
    case("SMUG-CL-LEADING-ZEROS", length(b"005"), LENIENT, LENGTH),
    case("SMUG-CL-NEGATIVE", length(b"-1", b""), REFUSED, LENGTH),
    case("SMUG-CL-TRAILING-SPACE", length(b"5 "), LENIENT, "RFC 9110 §5.5"),
    case("SMUG-CL-EXTRA-LEADING-SP", length(b" 5"), LENIENT, "RFC 9110 §5.5"),
    case("SMUG-CL-COMMA-DIFFERENT", length(b"5, 10"), REFUSED, LENGTH),
    case("SMUG-CL-OCTAL", length(b"0o5"), REFUSED, LENGTH),
    case("SMUG-CL-HEX-PREFIX", length(b"0x5"), REFUSED, LENGTH),
    case("SMUG-CL-INTERNAL-SPACE", length(b"1 0", b"hello12345"), REFUSED, LENGTH),
    case("SMUG-CL-COMMA-SAME", length(b"5, 5"), LENIENT, LENGTH, scored=False),
    case("SMUG-CL-COMMA-TRIPLE", length(b"5, 5, 5"), LENIENT, LENGTH, scored=False),
    case("SMUG-CL-UNDERSCORE", length(b"1_0", b"helloworld"), REFUSED, LENGTH),
    case("SMUG-CL-NEGATIVE-ZERO", length(b"-0", b""), REFUSED, LENGTH),
    case("SMUG-CL-DOUBLE-ZERO", length(b"00", b""), LENIENT, LENGTH),
    case("SMUG-CL-LEADING-ZEROS-OCTAL", length(b"0200", b"A" * 200), LENIENT, LENGTH),
]

CODINGS: list[Case] = [
    case(
        "SMUG-CL-TE-BOTH",
        post(b"Content-Length: %d" % len(BANANAS), CHUNKED, body=BANANAS),
        LENIENT,
        CODING,
    ),
    case("SMUG-TE-XCHUNKED", coding(b"xchunked"), REFUSED_OR_501, CODING),
    case("SMUG-TE-TRAILING-SPACE", coding(b"chunked "), strict_or_closes(400, 501), CODING),
    case(
        "SMUG-TE-SP-BEFORE-COLON",
        post(b"Transfer-Encoding : chunked", FIVE, body=HELLO),
        REFUSED,
        "RFC 9112 §5.1",
    ),
    case(
        "SMUG-CLTE-PIPELINE",
        post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n"),
        refused_or_closed,
        CODING,
    ),
    case(
        "SMUG-TECL-PIPELINE",
        post(CHUNKED, b"Content-Length: 30", body=b"0\r\n\r\n"),
        refused_or_closed,
        CODING,
    ),
    case("SMUG-TE-DOUBLE-CHUNKED", coding(b"chunked, chunked"), LENIENT, CODING),
    case("SMUG-TE-CASE-MISMATCH", coding(b"Chunked"), LENIENT, CODING),
    case(
        "SMUG-TE-NOT-FINAL-CHUNKED",
        post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
        REFUSED,
        "RFC 9112 §6.3",
    ),
    case(
        "SMUG-TE-HTTP10",
        post(CHUNKED, FIVE, body=HELLO, version=b"HTTP/1.0"),
        REFUSED,
        CODING,
    ),
    case("SMUG-TE-EMPTY-VALUE", coding(b""), REFUSED, CODING),
    case("SMUG-TE-LEADING-COMMA", coding(b", chunked"), LENIENT, "RFC 9110 §5.6.1"),
    case(
        "SMUG-TE-DUPLICATE-HEADERS",
        post(CHUNKED, b"Transfer-Encoding: identity", FIVE, body=HELLO),
        REFUSED,
        CODING,
    ),
    case("SMUG-TE-VTAB", coding(b"\x0bchunked"), REFUSED, CODING),
    case("SMUG-TE-FORMFEED", coding(b"\x0cchunked"), REFUSED, CODING),
    case("SMUG-TE-NULL", coding(b"chunked\0"), REFUSED, CODING),
    case("SMUG-TE-IDENTITY", coding(b"identity"), REFUSED_OR_501, "RFC 9112 §7"),
    case("SMUG-TE-TRAILING-COMMA", coding(b"chunked,"), LENIENT, "RFC 9110 §5.6.1"),
    case(
        "SMUG-TE-OBS-FOLD",
        post(b"Transfer-Encoding:", b" chunked", FIVE, body=HELLO),
        strict_or_closes(400),
        "RFC 9112 §5.2",
    ),
    case(
        "SMUG-TRANSFER_ENCODING",
        post(b"Transfer_Encoding: chunked", FIVE, body=HELLO),
        LENIENT,
        CODING,
        scored=False,
    ),
    case("SMUG-CHUNKED-WITH-PARAMS", coding(b"chunked;ext=val"), LENIENT, CODING, scored=False),
    case(
        "SMUG-TE-TAB-BEFORE-VALUE",
        post(b"Transfer-Encoding:\tchunked", FIVE, body=HELLO),
        LENIENT,
        "RFC 9110 §5.5",
        scored=False,
    ),
]

CHUNKS: list[Case] = [
    case(name, chunked(body), rule, CHUNK)
    for name, body, rule in (
        ("SMUG-CHUNK-BARE-SEMICOLON", b"5;\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-EXT-INVALID-TOKEN", b"5;bad[=x\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-UNDERSCORE", b"1_0\r\nhello world!!!!!\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-HEX-PREFIX", b"0x5\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-SIZE-PLUS", b"+5\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-SIZE-TRAILING-OWS", b"5 \r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-LEADING-SP", b" 5\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-MISSING-TRAILING-CRLF", b"5\r\nhello0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-EXT-LF", b"5;\nhello\r\n0\r\n\r\n", LENIENT),
        ("SMUG-CHUNK-SPILL", b"5\r\nhello!!\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-LF-TERM", b"5\r\nhello\n0\r\n\r\n", LENIENT),
        ("SMUG-CHUNK-EXT-CTRL", b"5;\0ext\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-EXT-CR", b"5;a\rX\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-LF-TRAILER", b"5\r\nhello\r\n0\r\n\n", LENIENT),
        ("SMUG-CHUNK-NEGATIVE", b"-1\r\nhello\r\n0\r\n\r\n", REFUSED),
        ("SMUG-CHUNK-BARE-CR-TERM", b"5\rhello\r\n0\r\n\r\n", REFUSED),
    )
]

OTHERS: list[Case] = [
    case("SMUG-BARE-CR-HEADER-VALUE", post(FIVE, b"X-Test: val\rue", body=HELLO), REFUSED, "RFC 9112 §2.2"),
    case(
        "SMUG-EXPECT-100-CL",
        post(FIVE, b"Expect: 100-continue", body=HELLO),
        LENIENT,
        "RFC 9110 §10.1.1",
        scored=False,
    ),
    case("SMUG-TRAILER-CL", trailer(b"Content-Length: 50"), LENIENT, "RFC 9110 §6.5.1", scored=False),
    case("SMUG-TRAILER-TE", trailer(CHUNKED), LENIENT, "RFC 9110 §6.5.1", scored=False),
    case("SMUG-TRAILER-HOST", trailer(b"Host: evil.example.com"), LENIENT, "RFC 9110 §6.5.1", scored=False),
    case("SMUG-TRAILER-AUTH", trailer(b"Authorization: Bearer evil"), LENIENT, "§6.5.1", scored=False),
    case("SMUG-TRAILER-CONTENT-TYPE", trailer(b"Content-Type: text/evil"), LENIENT, "§6.5.1", scored=False),
    case("SMUG-HEAD-CL-BODY", get(FIVE, method=b"HEAD") + HELLO, LENIENT, "RFC 9110 §9.3.2", scored=False),
    case("SMUG-OPTIONS-CL-BODY", get(FIVE, method=b"OPTIONS") + HELLO, LENIENT, "§9.3.7", scored=False),
    case(
        "SMUG-ABSOLUTE-URI-HOST-MISMATCH",
        get(target=b"http://other.example.com/"),
        LENIENT,
        "RFC 9112 §3.2.2",
        scored=False,
    ),
    case(
        "SMUG-MULTIPLE-HOST-COMMA",
        b"GET / HTTP/1.1\r\nHost: example.test, other.example.com\r\n\r\n",
        REFUSED,
        "RFC 9110 §7.2",
    ),
]

HIDDEN = b"0\r\n\r\n" + get()
HIDDEN_LENGTH = b"%d" % len(HIDDEN)


def hides(*fields: bytes, body: bytes = HIDDEN) -> bytes:
    """Make a POST whose body, to a parser that frames it the other way, ends in a second request."""
    return post(*fields, body=body)


def tecl() -> bytes:
    """Make the TE.CL form: by its length the body ends right before a whole request inside the chunk."""
    inner = get(b"Content-Length: 7")
    size = b"%x" % len(inner)
    body = size + b"\r\n" + inner + b"\r\n0\r\n\r\n"
    return hides(CHUNKED, b"Content-Length: %d" % (len(size) + 2), body=body)


WITH_LENGTH = b"Content-Length: " + HIDDEN_LENGTH
SMUGGLED: list[Case] = [
    case(name, sent, one_answer, CODING)
    for name, sent in (
        ("SMUG-CLTE-SMUGGLED-GET", hides(WITH_LENGTH, CHUNKED)),
        ("SMUG-CLTE-SMUGGLED-GET-CL-PLUS", hides(b"Content-Length: +" + HIDDEN_LENGTH, CHUNKED)),
        ("SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC", hides(WITH_LENGTH + b"x", CHUNKED)),
        ("SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD", hides(b"Transfer-Encoding:", b" chunked", WITH_LENGTH)),
        (
            "SMUG-CLTE-SMUGGLED-HEAD",
            hides(b"Content-Length: %d" % (len(HIDDEN) + 1), CHUNKED, body=b"0\r\n\r\n" + get(method=b"HEAD")),
        ),
        ("SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE", hides(WITH_LENGTH, b"Transfer-Encoding: chunked ")),
        ("SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA", hides(WITH_LENGTH, b"Transfer-Encoding: , chunked")),
        ("SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH", hides(WITH_LENGTH, b"Transfer-Encoding: Chunked")),
        (
            "SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET",
            hides(CHUNKED, b"Transfer-Encoding: identity", WITH_LENGTH),
        ),
        ("SMUG-TECL-SMUGGLED-GET", tecl()),
        (
            "SMUG-DUPLICATE-CL-SMUGGLED-GET",
            hides(b"Content-Length: 4", b"Content-Length: %d" % (4 + len(get())), body=b"PING" + get()),
        ),
    )
]

PREFIX = get()[:-2]


def both_answered(seen: tuple[Seen, ...]) -> Verdict:
    """Ask that two plain requests on one connection are both answered; a server that closes warns."""
    if seen[0].status not in OK:
        return FAIL
    return PASS if seen[1].status in OK else WARN


SEQUENCES: list[Case] = [
    case(name, (sent, get()), safe_sequence, CODING)
    for name, sent in (
        ("SMUG-CLTE-CONN-CLOSE", post(FIVE, CHUNKED, body=b"0\r\n\r\n")),
        ("SMUG-TECL-CONN-CLOSE", post(CHUNKED, FIVE, body=b"0\r\n\r\n")),
        ("SMUG-CLTE-DESYNC", post(b"Content-Length: 6", CHUNKED, body=b"0\r\n\r\nX")),
        ("SMUG-TECL-DESYNC", post(CHUNKED, b"Content-Length: 30", body=b"0\r\n\r\nX")),
        (
            "SMUG-OPTIONS-TE-OBS-FOLD",
            get(b"Transfer-Encoding:", b" chunked", FIVE, method=b"OPTIONS") + HELLO,
        ),
        ("SMUG-CHUNK-INVALID-SIZE-DESYNC", chunked(b"+0\r\n\r\nX")),
    )
] + [
    case(
        "SMUG-GET-CL-PREFIX-DESYNC",
        (get(b"Content-Length: %d" % len(PREFIX)) + PREFIX, b"\r\n" + get()),
        follow_up(odd_first=WARN, odd_next=WARN),
        "RFC 9110 §9.3.1",
        scored=False,
    ),
    case(
        "SMUG-CL0-BODY-POISON",
        (post(b"Content-Length: 0", body=b"X"), get()),
        follow_up(odd_first=WARN, odd_next=WARN),
        "RFC 9112 §6.2",
        scored=False,
    ),
    case(
        "SMUG-GET-CL-BODY-DESYNC",
        (get(FIVE) + HELLO, get()),
        follow_up(odd_first=WARN, odd_next=WARN),
        "RFC 9110 §9.3.1",
        scored=False,
    ),
    case(
        "SMUG-OPTIONS-CL-BODY-DESYNC",
        (get(FIVE, method=b"OPTIONS") + HELLO, get()),
        follow_up(odd_first=WARN, odd_next=WARN),
        "RFC 9110 §9.3.7",
        scored=False,
    ),
    case(
        "SMUG-EXPECT-100-CL-DESYNC",
        (post(FIVE, b"Expect: 100-continue", body=HELLO), get()),
        follow_up(refusals=frozenset({400, 417}), odd_first=WARN, odd_next=WARN),
        "RFC 9110 §10.1.1",
        scored=False,
    ),
    case("SMUG-PIPELINE-SAFE", (get(), get()), both_answered, "RFC 9112 §9.3", scored=False),
]

CASES = [*LENGTHS, *CODINGS, *CHUNKS, *OTHERS, *SMUGGLED, *SEQUENCES]
