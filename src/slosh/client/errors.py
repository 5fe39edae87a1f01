"""Every way in which the client says no."""

from collections.abc import Mapping
from typing import Final

from slosh.errors import CREDENTIALS_NEEDED, SloshError
from slosh.logs import escape

_CREDENTIALS_NEEDED: Final = (
    "This needs a token: give the client token=, or set SLOSH_TOKEN to it, or SLOSH_TOKEN_FILE to the name of a file "
    "that holds it."
)
_SHOWN: Final = 200
"""Characters of a value that an error repeats."""


class ClientError(SloshError):
    """The root of what the client raises. `detail` says what was wrong and what to do instead.

    Words of a server or of a proxy may stand in it. It ends on terminals and in logs, so what these obey is escaped.
    """

    code = "client"

    def __init__(self, detail: str) -> None:
        super().__init__(escape(detail))


def show(value: object) -> str:
    """A value as an error repeats it: the beginning of it, and its kind if Python cannot write it at all."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever a program's own class raises; a very long whole number is one, too
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class BadUse(ClientError, ValueError):
    """An argument that cannot be used; nothing was sent."""

    code = "bad_use"


class Unreachable(ClientError, ConnectionError):
    """No answer came from the server within the time that the client had.

    A gateway's 502, 503 or 504 is none of the server's.
    """

    code = "unreachable"


class Refused(ClientError):
    """The server answered, and the answer is no.

    Attributes:
        status: the HTTP status.
        problem: the problem document (RFC 9457), empty if the answer was none.
        reason: the fixed word in it, such as `bad_topic`; empty if there is none.
    """

    code = "refused"

    def __init__(self, status: int, problem: Mapping[str, object], where: str) -> None:
        said = problem.get("detail")
        if said == CREDENTIALS_NEEDED:
            said = _CREDENTIALS_NEEDED
        super().__init__(str(said) if said else f"{where} answered {status}, and not as a slosh server does.")
        self.status = status
        self.problem = problem
        self.reason = str(problem.get("code", ""))


class Unreadable(ClientError):
    """What came from the server cannot be made a Python value; the detail names its topic and its place.

    Attributes:
        topic: its name; empty if more than one message is meant.
        place: of the reader behind it, or before it if no place could be read. Give it as `since` to go on there.
    """

    code = "unreadable"

    def __init__(self, detail: str, topic: str, place: str) -> None:
        super().__init__(detail)
        self.topic = topic
        self.place = place


class NotTaken(Refused):
    """No one watches the topic, or it has ended, so the message was not stored.

    Raised only if `strict` asks for it.
    """

    code = "not_taken"
