"""The cookie is the session: one for each topic, held by the client, nothing remembered here."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from slosh.core.cursor import Cursor, parse_cursor
from slosh.core.reading import Unknown

_WHITE_SPACE: Final = b" \t"
_SEMICOLON: Final = 0x3B


def cookie_name(topic: str) -> str:
    """The name of the cookie that carries a place in `topic`.

    It has a digest of the topic's name, because a cookie's path covers the topics below it too, and their
    places are not this one's.
    """
    return "slosh_" + blake2b(topic.encode(), digest_size=6).hexdigest()


def find_place(values: Iterable[bytes], name: str) -> Cursor | Unknown | None:
    """The place in the cookie `name`, or None when there is no such cookie."""
    text = find_cookie(values, name)
    return None if text is None else parse_cursor(text) or Unknown()


def find_cookie(values: Iterable[bytes], name: str) -> str | None:
    """The value of the cookie `name`, or None when there is no such cookie.

    One search for the name and no unquoting, which others have made quadratic (CVE-2024-52804): white space is looked
    at once at most, and no other cookie is taken apart. A pair without a name is skipped, so that it cannot stand in
    for another (CVE-2023-23934).

    Args:
        values: of all the `Cookie` fields. The first cookie of the name counts: user agents put the one
            with the longest path first (RFC 6265 §5.4).
    """
    wanted = name.encode("ascii") + b"="
    for value in values:
        at = value.find(wanted)
        while at >= 0:
            before = at - 1
            while before >= 0 and value[before] in _WHITE_SPACE:
                before -= 1
            at += len(wanted)
            if before < 0 or value[before] == _SEMICOLON:  # Otherwise it is the end of another name, or within a value.
                end = value.find(b";", at)
                return (value[at:end] if end >= 0 else value[at:]).rstrip(_WHITE_SPACE).decode("latin-1")
            at = value.find(wanted, at)
    return None


def set_cookie(name: str, path: str, *, secure: bool, same_site: str = "Lax") -> tuple[bytes, bytes]:
    """The `Set-Cookie` line (RFC 6265 §4.1), as what stands before and after the cursor.

    Args:
        path: the topic's URL path as the client wrote it, still percent-encoded; the client compares it
            letter by letter. A semicolon would end it, so it is encoded.
        same_site: `Lax`; or `None`, which has to be secure, for pages of other sites.
    """
    path = path.replace(";", "%3B")
    attributes = f"; Path={path}; HttpOnly; SameSite={same_site}" + ("; Secure" if secure else "")
    return f"Set-Cookie: {name}=".encode("ascii"), attributes.encode("ascii") + b"\r\n"
