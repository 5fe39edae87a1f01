"""What stands between the wire and the work: an application gives an action for a head, an action answers a request.

An action is chosen by the head alone and keeps nothing of a request, so it serves any number of them and
is cached with the head. An action that cannot answer at once holds the request with an exchange (`exchange.py`).
"""

from typing import ClassVar

from slosh.access.rights import Rights
from slosh.compiled import mypyc_attr
from slosh.errors import SloshError
from slosh.http1.connection import Connection
from slosh.http1.head import Head
from slosh.http1.response import problem
from slosh.http1.state import ServerState


@mypyc_attr(allow_interpreted_subclasses=True)
class Action:
    """What is to be done for a request.

    Attributes:
        max_body: bytes that the body may have.
        body_bound: the setting that says so; empty for none.
        fields: header lines of every answer, also of refusals.
        takes_time: whether it may take more than some 100 µs, whatever its body is.
    """

    __slots__ = ()

    takes_time: bool = False
    body_bound: str = "max_body"
    max_body: int = 0
    fields: bytes = b""

    is_open: ClassVar[bool] = False
    """Whether it needs no right. Actions on topics say by `is_allowed` which they need; one that says nothing is
    refused wherever there are rules."""

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - most need none, or say more
        """Whether `rights` are enough for a request with this variable part, None if it has none.

        It is asked before the engine is, so that nothing of a topic shows in the answer, nor in its time.
        """
        return self.is_open

    def may_be_held(self) -> bool:
        """Whether a request may be held until something happens, and not only until its answer is ready."""
        return False

    def count_messages(self, body: bytes) -> int:  # noqa: ARG002 - most publish none
        """How many messages a request with this body would publish, rather too many than too few."""
        return 0

    def refuse_early(
        self,
        connection: Connection,  # noqa: ARG002 - most are refused when they run
        variable: object | None,  # noqa: ARG002
        *,
        asks_first: bool,  # noqa: ARG002
    ) -> SloshError | None:
        """The error, if a request will be refused whatever its body; None if that is not known yet.

        Args:
            asks_first: whether the client waits for a 100 before it sends the body (RFC 9110 §10.1.1). The request is
                refused with the error then; else only if it is one of rights or rates.
        """
        return None

    def run(self, connection: Connection, body: bytes) -> None:
        """Answer the request on `connection`, or `hold` it there and answer later.

        Raises:
            SloshError: it is refused; the connection writes the problem document.
        """
        raise NotImplementedError

    def understand(self, part: bytes) -> object | None:  # noqa: ARG002 - most have no such part
        """What `part` means, for `run_with`, where it stands in the head in place of the variable part.

        None if the head has to be parsed with it: `part` may be anything (see `Application.split`).
        """
        return None

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:  # noqa: ARG002 - what is not understood
        """As `run`, for a head whose variable part means `variable`."""
        self.run(connection, body)

    def find_path(self, variable: object) -> str:  # noqa: ARG002 - most have no such part, or not in their path
        """The path of a request whose variable part means `variable`, for people; empty for the head's own."""
        return ""


@mypyc_attr(allow_interpreted_subclasses=True)
class Application:
    """What a server does, apart from HTTP."""

    __slots__ = ()

    @property
    def reads_cookies(self) -> bool:
        """Whether `route` looks at cookies too, so that an action serves heads with the same ones alone."""
        return False

    def pick_cookies(self, late: list[bytes]) -> list[bytes]:  # noqa: ARG002 - most look at none
        """What `route` looks at of the cookies, if `reads_cookies` says that it does.

        Args:
            late: the fields in `fields.LATE`, each name before its value.

        Returns:
            The same for two heads only if it chooses the same action for both.
        """
        return []

    def route(self, head: Head) -> Action:
        """Decide what to do, from the request line and the fields in `fields.READ` alone: a refusal is an action too.

        The action serves other heads with these, in which what the fields in `fields.LATE` say is different.
        """
        raise NotImplementedError

    def render_refusal(
        self,
        error: SloshError,
        head: Head | None,  # noqa: ARG002 - others tell an error in the form that the client asks for
        server: ServerState,  # noqa: ARG002 - as above
    ) -> tuple[int, bytes, bytes]:
        """The status, the header lines and the body that tell `error`.

        Args:
            head: of the request; None if it was not read.
            server: that refuses it.
        """
        return problem(error)

    def split(self, block: bytes) -> tuple[int, int]:  # noqa: ARG002 - most have none
        """Where in a head the part begins and ends that changes with each request: a reader's place, a topic's name.

        With anything else in its place the head must be as sound as with what it has now, and the same must be done for
        it, apart from that. (0, 0) if there is no such part.
        """
        return 0, 0


class ByTrust(Action):
    """What is done for a request in which somebody in front of us says something of the URL: it counts from some alone.

    Attributes:
        other: what is done if the peer is no trusted proxy.

    Args:
        trusted: if the peer is a trusted proxy.
        other: if it is not; of the same kind, and apart from the answer's header lines the same.
    """

    __slots__ = ("_trusted", "body_bound", "fields", "max_body", "other", "takes_time")

    def __init__(self, trusted: Action, other: Action) -> None:
        self._trusted = trusted
        self.other = other
        self.fields = other.fields
        self.max_body = other.max_body
        self.body_bound = other.body_bound
        self.takes_time = other.takes_time

    def run(self, connection: Connection, body: bytes) -> None:
        """As the one that counts."""
        self._choose(connection).run(connection, body)

    def understand(self, part: bytes) -> object | None:
        """As either."""
        return self.other.understand(part)

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:
        """As the one that counts."""
        self._choose(connection).run_with(connection, body, variable)

    def may_be_held(self) -> bool:
        """As either."""
        return self.other.may_be_held()

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:
        """As either."""
        return self.other.is_allowed(rights, variable)

    def count_messages(self, body: bytes) -> int:
        """As either."""
        return self.other.count_messages(body)

    def refuse_early(self, connection: Connection, variable: object | None, *, asks_first: bool) -> SloshError | None:
        """As the one that counts."""
        return self._choose(connection).refuse_early(connection, variable, asks_first=asks_first)

    def find_path(self, variable: object) -> str:
        """As either."""
        return self.other.find_path(variable)

    def _choose(self, connection: Connection) -> Action:
        return self._trusted if connection.server.proxies.trusts(connection.peer) else self.other


class Refusal(Action):
    """The action for a request that can be refused by its head alone. Its body is read, so the connection lives on."""

    __slots__ = ("error", "fields", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, error: SloshError, max_body: int, fields: bytes) -> None:
        # It would hold the frames in which it was raised, and they this refusal: garbage that only the collector finds.
        error.__traceback__ = None
        error.__context__ = None
        self.error = error
        self.max_body = max_body
        self.fields = fields

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - the same whatever the body
        """Answer with the error."""
        connection.refuse(self.error)

    def refuse_early(
        self,
        connection: Connection,  # noqa: ARG002 - the same whatever they are
        variable: object | None,  # noqa: ARG002
        *,
        asks_first: bool,  # noqa: ARG002
    ) -> SloshError | None:
        """As the base says."""
        return self.error
