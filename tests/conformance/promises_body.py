"""What slosh promises about the body of a request: one reading of where it ends, or none."""

from tests.conformance.case import Case, chunked, get, post
from tests.conformance.promises import ANSWERS, REFUSES, WAITS, Refuses, bodies, each

CHUNKED = b"Transfer-Encoding: chunked"
GOOD = b"5\r\nhello\r\n0\r\n\r\n"
END = b"0\r\n\r\n"


def length(value: bytes) -> bytes:
    """A POST with this Content-Length and five bytes of body."""
    return post(b"Content-Length:" + value, body=b"hello")


def coding(value: bytes) -> bytes:
    """A good chunked POST but for the spelling of its Transfer-Encoding."""
    return post(b"Transfer-Encoding:" + value, body=GOOD)


def size(value: bytes) -> bytes:
    """A chunked POST whose first chunk begins with the line `value`."""
    return chunked(value + b"\r\nhello\r\n" + END)


def after(value: bytes) -> bytes:
    """A chunked POST with `value` in place of the CR LF behind the first chunk."""
    return chunked(b"5\r\nhello" + value + END)


def trailer(value: bytes) -> bytes:
    """A chunked POST with `value` as its trailer section, less the empty line."""
    return chunked(b"5\r\nhello\r\n0\r\n" + value + b"\r\n")


LENGTHS: list[Case] = [
    *each(
        "Content-Length:",
        length,
        (
            b"",
            b" ",
            b" +5",
            b" -5",
            b" -0",
            b" 5,5",
            b" 5, 5",
            b" ,5",
            b" 5,",
            b" 5 5",
            b" 0x5",
            b" 0o5",
            b" 5.0",
            b" 5e0",
            b" 1_0",
            b" 5;",
            b' "5"',
            b" five",
            b" 5x",
            b" 05",
            b" 005",
            b" 00",
            b" \x0b5",
            b" 5\x00",
            b" \xd9\xa5",
            b" \xef\xbc\x95",
            b" 18446744073709551616",
            b" 18446744073709551621",
            b" 99999999999999999999999",
            b" -99999999999999999999999",
            b" " + b"0" * 40 + b"5",
        ),
        REFUSES,
        "RFC 9110 §8.6",
    ),
    *each("Content-Length:", length, (b"5", b" 5", b"\t5", b" 5 ", b"  5\t"), bodies(b"hello"), "RFC 9110 §5.5"),
    Case("the same length twice", (post(*[b"Content-Length: 5"] * 2, body=b"hello"),), REFUSES, "RFC 9110 §8.6"),
    Case("two lengths", (post(b"Content-Length: 5", b"content-length: 6", body=b"hello!"),), REFUSES, "RFC 9110 §8.6"),
    Case("two lengths on GET", (get(b"Content-Length: 0", b"Content-Length: 5"),), REFUSES, "RFC 9110 §8.6"),
    Case("a length and chunked", (post(b"Content-Length: 5", CHUNKED, body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("chunked and a length", (post(CHUNKED, b"Content-Length: 15", body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("a length of 0 and chunked", (post(b"Content-Length: 0", CHUNKED, body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("more than max_body", (post(b"Content-Length: 8388609"),), Refuses((413,)), "refused before it is sent"),
    Case("a gigabyte", (post(b"Content-Length: 999999999"),), Refuses((413,)), "refused before it is sent"),
    Case("a body that is not all there", (post(b"Content-Length: 10", body=b"hello"),), WAITS, "RFC 9112 §6.3"),
]

CODINGS: list[Case] = [
    *each(
        "Transfer-Encoding:",
        coding,
        (
            b"",
            b" ",
            b" ,",
            b" xchunked",
            b" chunkedx",
            b" chunk",
            b" chunked2",
            b" chunkedchunked",
            b" identity",
            b" gzip",
            b" gzip, chunked",
            b" chunked, gzip",
            b" chunked, identity",
            b" identity, chunked",
            b" chunked, chunked",
            b" , chunked",
            b" chunked,",
            b" chunked;q=1",
            b" chunked;",
            b' "chunked"',
            b" 'chunked'",
            b" chunked chunked",
            b" \x0bchunked",
            b" \x0cchunked",
            b" chunked\x0b",
            b" chunked\x00",
            b" \x00chunked",
            b" \xa0chunked",
            b" ch\xc5\xabnked",
            b" chun\xe2\x84\xaaed",
            b"\r\n chunked",
            b" chunked\r\n\tx",
            b" chunked\rx: y",
            b" chunked\nx: y",
        ),
        Refuses((400, 501)),
        "RFC 9112 §6.1: chunked, once, or nobody knows the length",
    ),
    *each(
        "Transfer-Encoding:",
        coding,
        (
            b"chunked",
            b" chunked",
            b"\tchunked",
            b" CHUNKED",
            b" chunked\t",
            b"\t chunked \t ",
            b"chunked \t",
            b"chunked ",
        ),
        bodies(b"hello"),
        "RFC 9112 §7, and white space around a value is no part of it (§5)",
    ),
    Case("chunked twice", (post(CHUNKED, CHUNKED, body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("chunked and identity", (post(CHUNKED, b"Transfer-Encoding: identity", body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("chunked and empty", (post(CHUNKED, b"Transfer-Encoding:", body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("gzip then chunked", (post(b"Transfer-Encoding: gzip", CHUNKED, body=GOOD),), REFUSES, "RFC 9112 §6.1"),
    Case("space before the colon", (post(b"Transfer-Encoding : chunked", body=GOOD),), REFUSES, "RFC 9112 §5.1"),
    Case("chunked in HTTP/1.0", (post(CHUNKED, body=GOOD, version=b"HTTP/1.0"),), REFUSES, "RFC 9112 §6.1"),
]

CHUNKS: list[Case] = [
    *each(
        "chunk size",
        size,
        (
            b"",
            b"g",
            b"5g",
            b"0x5",
            b"+5",
            b"-5",
            b" 5",
            b"5 ",
            b"\t5",
            b"5\t",
            b"5,",
            b"1_0",
            b"5;",
            b"5;a",
            b"5;a=b",
            b'5;a="b"',
            b'5;a="b\r\n0\r\n\r\n"',
            b"5 ;a",
            b"5;\n",
            b"5;\0",
            b"5;a\rb",
            b"5\n",
            b"\n5",
            b"\r5",
            b"5\r",
            b"5\0",
            b"\xd9\xa5",
            b"FFFFFFFFFFFFFFFF",
            b"FFFFFFFFFFFFFFFF5",
            b"10000000000000005",
            b"0" * 100 + b"5",
            b"five",
        ),
        REFUSES,
        "RFC 9112 §7.1; extensions (§7.1.1) mean nothing to anybody and are where servers disagree",
    ),
    *each("chunk size", size, (b"5", b"05", b"005"), bodies(b"hello"), "RFC 9112 §7.1"),
    *each(
        "behind a chunk",
        after,
        (b"", b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"!\r\n", b"\r\n\r\n", b"\0\r\n"),
        REFUSES,
        "RFC 9112 §7.1",
    ),
    *each(
        "trailers", trailer, (b"", b"X: v\r\n", b"X: v\r\nY:\r\n", b"x-1:v\r\n"), bodies(b"hello"), "RFC 9112 §7.1.2"
    ),
    *each(
        "trailers",
        trailer,
        (
            b"X\r\n",
            b"X : v\r\n",
            b": v\r\n",
            b" X: v\r\n",
            b"X: v\r\n w\r\n",
            b"X: v\n",
            b"X: \0\r\n",
            b"X: \rv\r\n",
            b"\n",
        ),
        REFUSES,
        "RFC 9112 §7.1.2: they obey the rules of fields",
    ),
    Case("16 kB of trailers", (trailer(b"X: " + b"v" * 17_000 + b"\r\n"),), Refuses((400, 431)), "CVE-2026-22815"),
    Case("endless trailer", (chunked(b"0\r\nX: " + b"v" * 17_000),), Refuses((400, 431)), "CVE-2026-22815"),
    Case("10,000 trailers", (trailer(b"X: v\r\n" * 10_000),), Refuses((400, 431)), "CVE-2026-22815"),
    Case("endless chunk size", (chunked(b"0" * 20_000),), Refuses((400, 431)), "nothing is kept of a size line"),
    Case("no body in chunks", (chunked(END),), bodies(b""), "RFC 9112 §7.1"),
    Case("several zeros end it", (chunked(b"000\r\n\r\n"),), bodies(b""), 'RFC 9112 §7.1: 1*"0"'),
    Case(
        "chunks of every size",
        (chunked(b"1\r\na\r\nA\r\n" + b"b" * 10 + b"\r\nff\r\n" + b"c" * 255 + b"\r\n" + END),),
        bodies(b"a" + b"b" * 10 + b"c" * 255),
        "RFC 9112 §7.1",
    ),
    Case("chunks above max_body", (chunked(b"800001\r\n" + b"a" * 0x800001),), Refuses((413,)), "as soon as it passes"),
    Case("no last chunk", (chunked(b"5\r\nhello\r\n"),), WAITS, "RFC 9112 §7.1"),
    Case("no empty line at the end", (chunked(b"5\r\nhello\r\n0\r\n"),), WAITS, "RFC 9112 §7.1.2"),
]

PLAIN: list[Case] = [
    Case("POST without a length", (post(),), bodies(b""), "RFC 9112 §6.3: no body"),
    Case("GET with a body", (get(b"Content-Length: 5") + b"hello",), bodies(b"hello"), "RFC 9110 §9.3.1"),
    Case("DELETE with a body", (get(b"Content-Length: 5", method=b"DELETE") + b"hello",), bodies(b"hello"), "§9.3.5"),
    Case("PATCH in chunks", (get(CHUNKED, method=b"PATCH") + GOOD,), bodies(b"hello"), "RFC 5789"),
    Case("HEAD", (get(method=b"HEAD"),), bodies(b""), "RFC 9110 §9.3.2"),
    Case(
        "HTTP/1.0 POST",
        (post(b"Content-Length: 5", body=b"hello", version=b"HTTP/1.0"),),
        bodies(b"hello", closes=True),
    ),
    Case("any bytes", (post(b"Content-Length: 256", body=bytes(range(256))),), bodies(bytes(range(256)))),
    Case("a field named like a length", (post(b"Content_Length: 9", b"Content-Length: 2", body=b"ab"),), bodies(b"ab")),
    Case("the echo's own baseline", (get(),), ANSWERS),
]

CASES = [*LENGTHS, *CODINGS, *CHUNKS, *PLAIN]
