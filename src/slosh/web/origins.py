"""Which pages may do what: the Origin policy, and CORS (WHATWG Fetch §3.3).

Without an `Origin` nobody's browser is being used against him. With one, a page of the same origin and of
those in the setting `origins` may do all; any other page may ask, but its browser does not show it the
answer, and it may neither post nor open a WebSocket (CVE-2019-13611).
"""

from typing import Final
from urllib.parse import urlsplit

from slosh.errors import SettingError
from slosh.web.head import Head
from slosh.web.response import field

_EXPOSED: Final = "Slosh-Next, Slosh-Watchers, Slosh-Ignored, Idempotent-Replayed, Retry-After, Date"
_METHODS: Final = "GET, HEAD, POST, OPTIONS"
_HEADERS: Final = "Content-Type, Idempotency-Key, Last-Event-ID, Prefer, Cache-Control"
_MAX_AGE: Final = 600
"""Seconds that a browser may remember what a preflight said."""
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
"""Ports that browsers leave out of an origin, and that proxies put into `Host` all the same."""


class Origins:
    """The policy.

    Args:
        allowed: the setting: origins with spaces or commas between, `*` for any, empty for none but the same.

    Raises:
        SettingError: one of them is no origin.
    """

    def __init__(self, allowed: str) -> None:
        origins = allowed.replace(",", " ").split()
        self._any = "*" in origins
        self._allowed = frozenset(_check(origin) for origin in origins if origin != "*")

    def may_write(self, head: Head) -> bool:
        """Whether the page that sent a request may post, or open a WebSocket."""
        origin = head.first(b"origin")
        return not origin or self._any or _normal(origin) in self._allowed or _is_same(head, origin)

    def fields(self, head: Head) -> bytes:
        """The header lines that let the page read the answer, none where it may not or need not."""
        origin = head.first(b"origin")
        if not origin or _is_same(head, origin):
            return b""
        expose = field("Access-Control-Expose-Headers", _EXPOSED)
        if _normal(origin) in self._allowed:
            credentials = field("Access-Control-Allow-Credentials", "true") + field("Vary", "Origin")
            return field("Access-Control-Allow-Origin", origin) + credentials + expose
        return field("Access-Control-Allow-Origin", "*") + expose if self._any else b""

    def preflight_fields(self, head: Head) -> bytes:
        """The header lines of the answer to a preflight, none where the page may not."""
        fields = self.fields(head)
        if not fields or not head.first(b"access-control-request-method"):
            return fields
        return (
            fields
            + field("Access-Control-Allow-Methods", _METHODS)
            + field("Access-Control-Allow-Headers", _HEADERS)
            + field("Access-Control-Max-Age", str(_MAX_AGE))
        )


def _check(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        parts = urlsplit("")
    said = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc or said != origin.lower() or not origin.isascii():
        raise SettingError(f"origins: {origin} is no origin. Write it as the browser does: https://app.example:8443.")
    return _normal(origin)


def _normal(origin: str) -> str:
    """An origin as browsers write it: lower case, and no port where it is the scheme's own (RFC 6454 §6.2)."""
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
    named = [head.first(b"host").lower(), *head.tokens(b"x-forwarded-host")]
    return host in [each.removesuffix(port) for each in named]
