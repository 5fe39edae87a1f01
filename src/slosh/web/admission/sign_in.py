"""`/-/session`: a token is kept as a cookie, for pages and `EventSource`, which can send no field.

The rules of this file:

* A session is opened by the field `Authorization` alone. A page of another origin cannot send it unasked: its browser
  asks first, in a preflight that is not granted here (WHATWG Fetch §3.3.2).
* The cookie is the token. Nothing is remembered here, so taking the token away ends the session too.
"""

import json
import math
from typing import ClassVar, Final

from slosh.access.rights import Grant, Rights
from slosh.errors import NotFound, Unauthorized
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.http1.response import JSON_ANSWER, NO_STORE
from slosh.web.admission.credentials import COOKIE, find_bearer
from slosh.web.admission.gate import Gate

SESSION: Final = "/-/session"
ALLOW_SESSION: Final = "GET, HEAD, POST, DELETE, OPTIONS"
_LONGEST: Final = 400 * 86_400
"""Seconds of a cookie's life that browsers grant at most (RFC 6265bis §5.5)."""


class SessionCookie:
    """How the cookie is written.

    Args:
        prefix: of the URL, which a proxy has cut off.
        is_secure: whether the client came over TLS.
    """

    __slots__ = ("_attributes",)

    def __init__(self, prefix: str, *, is_secure: bool) -> None:
        secure = "; Secure" if is_secure else ""
        self._attributes = f"; Path={prefix.replace(';', '%3B')}/; HttpOnly; SameSite=Strict{secure}"

    def line(self, token: str, seconds: int) -> bytes:
        """The `Set-Cookie` line; 0 seconds take the cookie away."""
        return f"Set-Cookie: {COOKIE}={token}; Max-Age={seconds}{self._attributes}\r\n".encode("ascii")


def describe(grant: Grant) -> bytes:
    """What is told of a grant, as a line of JSON."""
    facts = {
        "name": grant.name,
        "read": grant.rights.read,
        "publish": grant.rights.publish,
        "expires": None if grant.expires == math.inf else int(grant.expires * 1000),
    }
    return json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


class OpenSession(Action):
    """The action of a POST: gives the cookie for the token in `Authorization`."""

    __slots__ = ("_cookie", "_gate", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, gate: Gate, cookie: SessionCookie) -> None:
        self._gate = gate
        self._cookie = cookie
        self.max_body = 0

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none
        """Set it.

        Raises:
            Unauthorized: there is no token, or one that does not count.
        """
        credential = find_bearer(connection.head)
        if not credential.is_sent:
            raise Unauthorized
        grant = self._gate.identify(credential, connection)
        left = min(grant.expires - connection.server.wall(), _LONGEST)
        cookie = self._cookie.line(credential.token, max(1, int(left)))
        connection.respond(200, JSON_ANSWER + cookie, describe(grant))


class CloseSession(Action):
    """The action of a DELETE: takes the cookie away."""

    __slots__ = ("_cookie", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, cookie: SessionCookie) -> None:
        self._cookie = cookie
        self.max_body = 0

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none
        """Take it away."""
        connection.respond(204, NO_STORE + self._cookie.line("", 0), b"")


class TellSession(Action):
    """The action of a GET: what the token of this request allows, and what is public."""

    __slots__ = ("_gate", "max_body")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.max_body = 0

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - it tells them
        """Everybody may know his own."""
        return True

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - it has none
        """Tell it."""
        grant = connection.grant
        if grant is None:
            raise NotFound
        connection.respond(200, JSON_ANSWER, describe(grant))
