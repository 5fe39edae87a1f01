"""Where a request carries its token: a field, a subprotocol of a WebSocket, the session cookie, or the query.

The rules of this file:

* The first of these places that has one counts: `Authorization` (RFC 6750 §2.1), the subprotocol, the query if the
  setting allows it, the cookie.
* The cookie comes with whatever a browser sends, so it counts only for pages of this server and of the origins that the
  setting names. An unsafe request has to say where its page is from, by `Origin` or `Sec-Fetch-Site`. It is no error
  for the cookie not to count: the request is one without a token then.
* Another scheme than Bearer is for somebody in front of us, and passed over.
"""

import contextlib
from typing import Final, NamedTuple

from slosh.errors import BadRequest
from slosh.http1.head import Head
from slosh.web.admission.origins import Origins
from slosh.web.query import parse_query
from slosh.web.readers.cookies import find_cookie

COOKIE: Final = "slosh_session"
PARAMETER: Final = "access_token"
SUBPROTOCOL: Final = "slosh"
_BEARER: Final = "bearer."
"""What the subprotocol begins with that carries a token."""


class Credential(NamedTuple):
    """A token, and whether one that does not count is an error. Never shown.

    Attributes:
        token: its text; empty for none.
        is_sent: whether the client has sent it on purpose. A cookie comes by itself, and an old one is none.
        is_left: whether the query has one, which the setting leaves aside.
    """

    token: str
    is_sent: bool
    is_left: bool = False

    def __repr__(self) -> str:
        return "Credential(…)"


NO_CREDENTIAL: Final = Credential("", is_sent=False)
LEFT_IN_QUERY: Final = Credential("", is_sent=False, is_left=True)


def find_bearer(head: Head) -> Credential:
    """The token in `Authorization`."""
    values = head.all(b"authorization")
    if len(values) > 1:
        return Credential("", is_sent=True)  # Somebody in front of us may have looked at the other one.
    if values:
        scheme, _, token = values[0].decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return Credential(token.strip(" "), is_sent=True)
    return NO_CREDENTIAL


def find_credential(head: Head, origins: Origins, *, in_query: bool, is_secure: bool) -> Credential:
    """The token of a request, from wherever it may stand.

    Args:
        in_query: the setting `token_in_query`.
        is_secure: whether the client is known to have come over TLS.
    """
    found = find_bearer(head)
    if found.is_sent:
        return found
    for protocol in list_subprotocols(head):
        if protocol.startswith(_BEARER):
            return Credential(protocol.removeprefix(_BEARER), is_sent=True)
    token = None
    if PARAMETER in head.query:
        with contextlib.suppress(BadRequest):
            token = parse_query(head.query).get(PARAMETER)
        if in_query and token is not None:
            return Credential(token, is_sent=True)
    cookie = find_cookie(head.late(b"cookie"), COOKIE)
    if cookie and origins.may_use_session(head, is_secure=is_secure):
        return Credential(cookie, is_sent=False)
    return NO_CREDENTIAL if token is None else LEFT_IN_QUERY


def list_subprotocols(head: Head) -> list[str]:
    """The subprotocols that the client of a WebSocket offers (RFC 6455 §11.3.4), as they are spelled."""
    values = b",".join(head.all(b"sec-websocket-protocol")).decode("latin-1").split(",")
    return [protocol for value in values if (protocol := value.strip(" \t"))]
