"""Http11Probe's malformed-input, normalisation and cookie cases, by its own names.

See probe_compliance for the source. Its garbage came from .NET's seeded generator; ours is spelled out.
"""

import hashlib

from tests.conformance.case import Answer, Ending, chunked, get, post
from tests.conformance.rules import (
    FAIL,
    LENIENT,
    ODD_TARGET,
    OK,
    PASS,
    REFUSED,
    TOO_LARGE,
    WARN,
    Case,
    Rule,
    Verdict,
    case,
)

BIG = 100_000
GARBAGE = b"\xfe" + b"".join(hashlib.sha256(bytes([n])).digest() for n in range(8))[1:]


def not_taken_for(proper: bytes, spelled: bytes, value: bytes) -> Rule:
    """Refuse or drop the field `spelled`; keeping it as it is warns, renaming it to `proper` fails.

    The server's /echo answers with the request's field lines.
    """

    def check(answer: Answer, _: Ending) -> Verdict:
        verdict = PASS
        for line in answer.body.split(b"\n"):
            name, _colon, rest = line.partition(b":")
            if rest.strip().lower() != value:
                continue
            if name.lower() == proper.lower() and name.lower() != spelled.lower():
                return FAIL
            if name.lower() == spelled.lower():
                verdict = WARN
        return verdict

    return Rule({*OK}, closed=PASS, check=check)


def refused_or(rule: Rule) -> Rule:
    """Let any 4xx or 5xx pass beside what `rule` says of a 2xx."""

    def check(answer: Answer, ending: Ending) -> Verdict:
        if answer.status >= 400 or rule.check is None:
            return PASS
        return rule.check(answer, ending)

    return Rule({*OK, *range(400, 600)}, closed=PASS, check=check)


def same_case(answer: Answer, _: Ending) -> Verdict:
    for line in answer.body.split(b"\n"):
        name, _colon, rest = line.partition(b":")
        if rest.strip().lower() == b"chunked" and name.lower() == b"transfer-encoding":
            return WARN if name == b"TRANSFER-ENCODING" else FAIL
    return PASS


def without(unsafe: bytes) -> Rule:
    """Refuse, or answer 2xx without any byte of `unsafe` in the body."""

    def check(answer: Answer, _: Ending) -> Verdict:
        return FAIL if answer.status in OK and set(unsafe) & set(answer.body) else PASS

    return Rule({400, *OK}, closed=PASS, check=check)


def cookie_kept(*pairs: bytes) -> Rule:
    """Answer 2xx with every pair in the body, else the verdict warns."""

    def check(answer: Answer, _: Ending) -> Verdict:
        return PASS if all(pair in answer.body for pair in pairs) else WARN

    return Rule(OK, {400, 404}, closed=WARN, check=check)


def echo(*fields: bytes, target: bytes = b"/echo") -> bytes:
    return get(*fields, target=target)


def framed(*fields: bytes) -> bytes:
    """Make an honest 11-byte POST to /echo with odd fields beside its length."""
    return post(b"Content-Length: 11", *fields, body=b"hello world", target=b"/echo")


MALFORMED: list[Case] = [
    case("MAL-BINARY-GARBAGE", GARBAGE, REFUSED),
    case("MAL-LONG-URL", get(target=b"/" + b"A" * BIG), Rule({400, 414, 431}, closed=PASS), "RFC 9110 §15.5.15"),
    case("MAL-LONG-HEADER-VALUE", get(b"X-Big: " + b"B" * BIG), TOO_LARGE, "RFC 6585 §5"),
    case("MAL-MANY-HEADERS", get(*(b"X-H-%d: value" % n for n in range(10_000))), TOO_LARGE, "RFC 6585 §5"),
    case("MAL-NUL-IN-URL", get(target=b"/\0test"), REFUSED, "RFC 9112 §3.2"),
    case("MAL-CONTROL-CHARS-HEADER", get(b"X-Test: abc\x07\x08\x0bdef"), REFUSED, "RFC 9110 §5.5"),
    case("MAL-INCOMPLETE-REQUEST", get(b"X-Test: value")[:-4], REFUSED),
    case("MAL-EMPTY-REQUEST", b"", REFUSED),
    case("MAL-LONG-HEADER-NAME", get(b"A" * BIG + b": val"), TOO_LARGE, "RFC 6585 §5"),
    case("MAL-LONG-METHOD", get(method=b"A" * BIG), Rule({400}, closed=PASS), "RFC 9112 §3.1"),
    case("MAL-NON-ASCII-HEADER-NAME", get(b"X-T\xc3\xabst: value"), REFUSED, "RFC 9110 §5.1"),
    case("MAL-NON-ASCII-URL", get(target=b"/caf\xc3\xa9"), REFUSED, "RFC 9112 §3.2"),
    case("MAL-CL-OVERFLOW", post(b"Content-Length: 99999999999999999999"), REFUSED, "RFC 9110 §8.6"),
    case("MAL-WHITESPACE-ONLY-LINE", b"   \r\n\r\n", REFUSED),
    case("MAL-NUL-IN-HEADER-VALUE", get(b"X-Test: val\0ue"), REFUSED, "RFC 9110 §5.5"),
    case(
        "MAL-CHUNK-SIZE-OVERFLOW",
        chunked(b"FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n"),
        REFUSED,
        "RFC 9112 §7.1",
    ),
    case(
        "MAL-H2-PREFACE",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Rule({400, 505}, closed=PASS, silent=PASS),
        "RFC 9113 §3.4",
    ),
    case("MAL-CL-EMPTY", post(b"Content-Length: "), REFUSED, "RFC 9110 §8.6"),
    case("MAL-CL-TAB-BEFORE-VALUE", post(b"Content-Length:\t5", body=b"hello"), LENIENT, "RFC 9110 §5.5"),
    case("MAL-URL-BACKSLASH", get(target=b"/path\\file"), ODD_TARGET, "RFC 3986 §2"),
    case("MAL-URL-OVERLONG-UTF8", get(target=b"/\xc0\xaf"), REFUSED, "RFC 3629 §3"),
    case("MAL-URL-PERCENT-NULL", get(target=b"/path%00.html"), ODD_TARGET),
    case("MAL-URL-PERCENT-CRLF", get(target=b"/path%0d%0aX-Injected:%20true"), ODD_TARGET),
    case(
        "MAL-CHUNK-EXT-64K",
        chunked(b"5;ext=" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n"),
        Rule({400, 431}, OK, closed=PASS),
        "CVE-2023-39326",
    ),
    case(
        "MAL-RANGE-OVERLAPPING",
        get(b"Range: bytes=" + b",".join([b"0-"] * 1000)),
        Rule((), {200, 206, 400, 416, 431}, closed=PASS),
        "CVE-2011-3192",
        scored=False,
    ),
    case("MAL-POST-CL-HUGE-NO-BODY", post(b"Content-Length: 999999999"), REFUSED),
]

NORMALISATION: list[Case] = [
    case(
        "NORM-UNDERSCORE-CL",
        framed(b"Content_Length: 99"),
        refused_or(not_taken_for(b"Content-Length", b"Content_Length", b"99")),
    ),
    case(
        "NORM-SP-BEFORE-COLON-CL",
        framed(b"Content-Length : 5"),
        refused_or(not_taken_for(b"Content-Length", b"Content-Length ", b"5")),
        "RFC 9112 §5.1",
    ),
    case(
        "NORM-TAB-IN-NAME",
        framed(b"Content\tLength: 99"),
        refused_or(not_taken_for(b"Content-Length", b"Content\tLength", b"99")),
    ),
    case(
        "NORM-CASE-TE",
        framed(b"TRANSFER-ENCODING: chunked"),
        refused_or(Rule(OK, check=same_case)),
        scored=False,
    ),
    case(
        "NORM-UNDERSCORE-TE",
        framed(b"Transfer_Encoding: chunked"),
        refused_or(not_taken_for(b"Transfer-Encoding", b"Transfer_Encoding", b"chunked")),
    ),
]

SURVIVED = Rule({400, 431, *OK}, closed=PASS)
COOKIES: list[Case] = [
    case("COOK-ECHO", echo(b"Cookie: foo=bar"), cookie_kept(b"foo=bar"), scored=False),
    case("COOK-OVERSIZED", echo(b"Cookie: big=" + b"A" * 65_536), SURVIVED, scored=False),
    case("COOK-EMPTY", echo(b"Cookie: "), SURVIVED, scored=False),
    case("COOK-NUL", echo(b"Cookie: foo=\0bar"), without(b"\0"), scored=False),
    case("COOK-CONTROL-CHARS", echo(b"Cookie: foo=\1\2\3"), without(b"\1\2\3"), scored=False),
    case(
        "COOK-MANY-PAIRS",
        echo(b"Cookie: " + b"; ".join(b"k%d=v%d" % (n, n) for n in range(1000))),
        SURVIVED,
        scored=False,
    ),
    case("COOK-MALFORMED", echo(b"Cookie: ===;;;"), SURVIVED, scored=False),
    case("COOK-MULTI-HEADER", echo(b"Cookie: a=1", b"Cookie: b=2"), cookie_kept(b"a=1", b"b=2"), scored=False),
]

CASES = [*MALFORMED, *NORMALISATION, *COOKIES]
