"""Which pages may do what: the Origin policy, and CORS (WHATWG Fetch §3.3).

A request without an `Origin` comes from no page, so no page of a stranger uses a person's browser against that person.
With an `Origin`, a page of the same origin and of those in the setting `origins` may do all; any other page may ask,
but its browser does not show it the answer, and it may neither post nor open a WebSocket (CVE-2019-13611).
"""

import re
from ipaddress import ip_address
from typing import Final

from slosh.errors import SettingError
from slosh.http1.head import Head
from slosh.http1.proxies import is_over_tls
from slosh.http1.response import field
from slosh.schemes import DEFAULT_PORTS

_EXPOSED: Final = "Slosh-Next, Slosh-Watchers, Slosh-Ignored, Idempotent-Replayed, Retry-After, Date"
_METHODS: Final = "GET, HEAD, POST, DELETE, OPTIONS"
_HEADERS: Final = ("Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer", "Cache-Control")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}", re.ASCII)
_MOST_HEADERS: Final = 64
"""Names of fields in the answer to a preflight."""
_MAX_AGE: Final = 600
"""Seconds that a browser may remember what a preflight said."""
_DEFAULT_PORTS: Final = {scheme: f":{port}" for scheme, port in DEFAULT_PORTS.items()}
"""Ports that browsers leave out of an origin, and that proxies put into `Host` all the same."""
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]+)(.*)")
_HOST: Final = re.compile(
    r"([A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII
)
_NO_PAGES: Final = {"ws": "http", "wss": "https", "ftp": "https"}
"""Schemes that no page has, and those that were meant."""
_SANDBOXED: Final = "pages in a sandbox and files say so, whoever wrote them. Write * for the pages of all."
_NEVER_MEANT: Final = {"null": _SANDBOXED, "file://": _SANDBOXED}
"""What browsers send for very many pages at a time."""


class Origins:
    """The policy.

    Args:
        has_tls: whether this server itself speaks TLS.
        allowed: the setting: origins with spaces or commas between, `*` for any, empty for none but the same.

    Raises:
        SettingError: one of them is no origin.
    """

    def __init__(self, allowed: str, *, has_tls: bool = False) -> None:
        self._has_tls = has_tls
        origins = allowed.replace(",", " ").split()
        self._any = "*" in origins
        self._allowed = frozenset(_check(origin) for origin in origins if origin != "*")

    def may_write(self, head: Head) -> bool:
        """Whether the page that sent a request may post, or open a WebSocket."""
        origin = head.first(b"origin")
        return not origin or self._any or _normal(origin) in self._allowed or _is_same(head, origin)

    def may_use_session(self, head: Head, *, is_secure: bool) -> bool:
        """Whether the session cookie counts, that came with a request of whichever page.

        It does for pages of this server, and of origins that are listed one by one. `SameSite=Strict` keeps it from
        pages of other sites already; this is for those of other origins of the same site, and for clients that do not
        know `SameSite`.

        Args:
            is_secure: whether the client came over TLS, so that a page that came without is another's.
        """
        origin = head.first(b"origin")
        if origin:
            is_own = _is_same(head, origin) and not (is_secure and origin.lower().startswith("http:"))
            return is_own or _normal(origin) in self._allowed
        # Browsers leave out the origin of a page's own reads. One that is older than `Sec-Fetch-Site` sends neither.
        site = head.first(b"sec-fetch-site")
        is_unsafe = head.method not in ("GET", "HEAD") or bool(head.first(b"upgrade"))
        return site in ("same-origin", "none") or (not site and not is_unsafe)

    def same_site(self, head: Head) -> str:
        """The `SameSite` of a cookie that the page which sent a request can bring again; nothing for no cookie.

        Browsers send a page of another site only cookies that say `None`, and take these over TLS alone. A page that
        may not read the answer has no place to keep, and shall not move that of pages which have.
        """
        origin = head.first(b"origin")
        if not origin or _is_same(head, origin):
            return "Lax"
        if _normal(origin) not in self._allowed:
            return ""
        if head.first(b"sec-fetch-site") == "same-site":
            return "Lax"
        return "None" if self._has_tls or is_over_tls(head) else ""

    def fields(self, head: Head) -> bytes:
        """The header lines that let the page read the answer, none if it may not or need not."""
        origin = head.first(b"origin")
        if not origin or _is_same(head, origin):
            return b""
        expose = field("Access-Control-Expose-Headers", _EXPOSED)
        if _normal(origin) in self._allowed:
            credentials = field("Access-Control-Allow-Credentials", "true") + field("Vary", "Origin")
            return field("Access-Control-Allow-Origin", origin) + credentials + expose
        return field("Access-Control-Allow-Origin", "*") + expose if self._any else b""

    def preflight_fields(self, head: Head) -> bytes:
        """The header lines of the answer to a preflight, none if the page may not."""
        fields = self.fields(head)
        if not fields or not head.first(b"access-control-request-method"):
            return fields
        return (
            fields
            + field("Access-Control-Allow-Methods", _METHODS)
            + field("Access-Control-Allow-Headers", ", ".join([*_HEADERS, *_asked_headers(head)]))
            + field("Access-Control-Max-Age", str(_MAX_AGE))
            + field("Vary", "Access-Control-Request-Headers")
        )


def _asked_headers(head: Head) -> list[str]:
    """The fields that a page wants to send, apart from those that stand in every answer.

    What is no name is left out, and so is what proxies say: with `X-Forwarded-Host` a page could claim to be ours.
    """
    known = {name.lower() for name in _HEADERS}
    names = dict.fromkeys(head.tokens(b"access-control-request-headers"))
    asked = (name for name in names if _TOKEN.fullmatch(name) and name not in known)
    return [name for name in asked if name != "forwarded" and not name.startswith("x-forwarded-")][:_MOST_HEADERS]


def frame_ancestors(allowed: str) -> str:
    """The sources that a page's `frame-ancestors` names (CSP Level 3 §6.4.2), from the setting `frame_origins`.

    Raises:
        SettingError: one of them is no origin.
    """
    origins = allowed.replace(",", " ").split()
    return " ".join(["'self'", *(each if each == "*" else _check(each, "frame_origins") for each in origins)])


def tell_how_to_allow(origin: str) -> str:
    """What to write so that the pages of an origin may do all, in a sentence."""
    try:
        _check(origin)
    except SettingError:
        return (
            "No setting lists them, for others say the same; --origins '*' lets in the pages of all, without cookies."
        )
    return f"The setting origins lists those that may: --origins {origin}."


def _check(origin: str, setting: str = "origins") -> str:
    """An origin of the setting, as it is compared.

    Raises:
        SettingError: no browser sends it.
    """
    if origin.lower() in _NEVER_MEANT:
        raise SettingError(f"{setting}: {origin} is no origin of one page: {_NEVER_MEANT[origin.lower()]}")
    match = _ORIGIN.fullmatch(origin)
    wrong = "it has to begin with a scheme, https:// or capacitor://"
    if match is not None:
        scheme, host, rest = match[1].lower(), match[2], match[3]
        if rest:
            wrong = "browsers send neither a path nor a slash behind it"
        elif scheme in _NO_PAGES:
            wrong = f"no page is loaded by {scheme}. Write {_NO_PAGES[scheme]}://{host}"
        elif "*" in host:
            wrong = "* stands alone, for all origins; a part of one it cannot be"
        elif "@" in host or not host.isascii():
            wrong = "the host has to be as browsers send it, in ASCII (xn--…) and without a user"
        elif scheme in _DEFAULT_PORTS and not _is_host(host):
            wrong = "the host or the port is none"
        else:
            return _normal(origin)
        if scheme in _DEFAULT_PORTS and rest and _is_host(host):
            wrong += f". Write {_normal(f'{scheme}://{host}')}"
    raise SettingError(f"{setting}: {origin} is no origin: {wrong}. An origin looks like https://app.example:8443.")


def _is_host(text: str) -> bool:
    """Whether `text` is a name or an address, and perhaps a port, as an origin of http has them (WHATWG URL §3.5)."""
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or 1) not in range(1, 65536):
        return False
    name = match[1]
    if not name.startswith("[") and not name.rpartition(".")[2].isdecimal():
        return True
    try:
        return str(ip_address(name.strip("[]"))) == name.strip("[]").lower()
    except ValueError:
        return False


def _normal(origin: str) -> str:
    """An origin as browsers write it: lower case, and no port if it is the scheme's own (RFC 6454 §6.2)."""
    origin = origin.lower()
    return origin.removesuffix(_DEFAULT_PORTS.get(origin.partition("://")[0], ""))


def _is_same(head: Head, origin: str) -> bool:
    """Whether the page came from this very server. A proxy in front may have changed the host, and says so.

    A page elsewhere cannot set `X-Forwarded-Host`: for that its browser would ask in a preflight first.
    """
    scheme, mark, host = _normal(origin).partition("://")
    if not mark:
        return False  # "null", which is what a page in a sandbox says, wherever it came from
    port = _DEFAULT_PORTS.get(scheme, "")
    if not port:  # as of capacitor://localhost: a page of a program on the client's machine, which no server has sent
        return False
    named = [head.first(b"host").lower(), *head.tokens(b"x-forwarded-host")]
    return host in [each.removesuffix(port) for each in named]
