"""An error as a small page, for a person whose browser went to a wrong address."""

import re
from base64 import b64encode
from difflib import get_close_matches
from hashlib import sha256
from html import escape
from typing import Final

from slosh.errors import SloshError
from slosh.http1.accept import Accept
from slosh.http1.head import Head
from slosh.http1.response import NO_SNIFF, NO_STORE, join_fields

#: The look of the other pages. It stands here because the viewer and its sheet may not be served.
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{max-width:40rem;margin:3rem auto;padding:0 1.25rem;font:16px/1.5 system-ui,sans-serif;"
    "background:light-dark(#f4f7f8,#0c1317);color:light-dark(#13232b,#e5eef1);overflow-wrap:anywhere}"
    "h1{font-size:1.5rem;line-height:1.2}a{color:light-dark(#0b6f75,#4ccfc4)}"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:0 1rem;font-size:.875rem;"
    "color:light-dark(#566872,#93a6af)}dd{margin:0}"
)
_FIELDS: Final = (
    b"Content-Type: text/html; charset=utf-8\r\n"
    b"Content-Security-Policy: default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(_STYLE.encode()).digest())
    + b"'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'\r\n"
    + NO_STORE
    + NO_SNIFF
)
_OWN: Final = {"healthy": "/-/healthy", "ready": "/-/ready", "metrics": "/-/metrics", "slosh.js": "/-/slosh.js"}
_LONGEST: Final = 512
"""Characters of an address that is offered. A longer one nobody typed."""


def wants_page(head: Head) -> bool:
    """Whether a browser goes to an address for a person to see: it wants a page more than JSON."""
    if head.method not in ("GET", "HEAD"):
        return False
    accept = Accept(head)
    page = accept.weight("text/html") if accept.is_there else 0.0
    return page > max(accept.weight("application/problem+json"), accept.weight("application/json"))


def error_page(error: SloshError, head: Head, *, has_view: bool) -> tuple[int, bytes, bytes]:
    """An error as a page, with the facts of its problem document: status, header lines, body.

    Args:
        has_view: whether the viewer is served.
    """
    facts = {"code": error.code, **error.facts()}
    rows = "".join(f"<dt>{escape(name)}<dd>{escape(str(value))}\n" for name, value in facts.items())
    likely = likely_addresses(head.path, has_view=has_view)
    links = "".join(f"<p>{_link(head.path, each)}\n" for each in likely if each != head.path)
    title = f"{error.status} {escape(error.title)}"
    page = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="color-scheme" content="light dark">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n"
        f"<h1>{title}</h1>\n<p>{escape(error.detail)}\n{links}<dl>\n{rows}</dl>\n"
    )
    return error.status, _FIELDS + join_fields(error.fields), page.encode()


def likely_addresses(path: str, *, has_view: bool = True) -> list[str]:
    """The addresses that `path`, percent-encoded, was most likely meant to be; the path itself if that is one.

    Whether there is anything is not looked at, so they tell nothing of what exists.
    """
    plain = re.sub(",+(?=,|/|$)|(?<=/),+", "", path)  # a comma stands between two names
    first, *rest = [part for part in plain.split("/") if part not in ("", ".", "..")] or [""]
    is_own = not rest or first == "-"
    own = get_close_matches(rest[-1] if rest else first, _OWN, n=1, cutoff=0.75) if is_own else []
    view = "view" if has_view else "topics"
    place = get_close_matches(first.lower(), ("topics", "view"), n=1, cutoff=0.65) if not own else []
    place = [view if each == "view" else each for each in place]
    if place:
        found = ["/".join(["", place[0], *rest])] if rest or place == ["topics"] else []
        found.append("/".join(["", view, *rest]) if rest else "/view/" if place == ["view"] else "/topics")
    elif own:
        found = [_OWN[own[0]]]
    elif first and first != "-":
        found = ["/".join(["", view, first, *rest]), "/topics"]
    else:
        found = ["/topics"]
    return [each for each in dict.fromkeys(found) if len(each) <= _LONGEST]


def _link(path: str, target: str) -> str:
    """A link that holds under any prefix that a proxy may have cut off."""
    up = "../" * (path.count("/") - 1)
    return f'Perhaps you meant <a href="{escape(up + target[1:])}">{escape(target)}</a>.'
