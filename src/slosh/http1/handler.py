"""The interface of an application: `Application.route` chooses an action for a head, and an action answers requests.

An action is chosen by the head alone and stores nothing of a request, so it serves any number of requests and
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
    """Answers the requests with one kind of head.

    Attributes:
        max_body: bytes that the body may have.
        body_bound: the name of the setting with that bound; empty for none.
        fields: header lines of every answer, also of refusals.
        takes_time: whether it may take more than some 100 µs, whatever the body.
    """

    __slots__ = ()

    takes_time: bool = False
    body_bound: str = "max_body"
    max_body: int = 0
    fields: bytes = b""

    is_open: ClassVar[bool] = False
    """Whether it needs no rights. Actions on topics override `is_allowed`; an action that does neither is refused if
    there are rules."""

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:  # noqa: ARG002 - most need none, or say more
        """Whether `rights` are enough for a request with this variable part (None if it has none).

        Called before the engine is asked, so that neither the answer nor its timing reveals anything about a topic.
        """
        return self.is_open

    def may_be_held(self) -> bool:
        """Whether a request may wait for an event, and not only until its answer is ready."""
        return False

    def count_messages(self, body: bytes) -> int:  # noqa: ARG002 - most publish none
        """How many messages a request with this body would publish; an upper estimate."""
        return 0

    def refuse_early(
        self,
        connection: Connection,  # noqa: ARG002 - most are refused when they run
        variable: object | None,  # noqa: ARG002
        *,
        asks_first: bool,  # noqa: ARG002
    ) -> SloshError | None:
        """The error, if the request will be refused whatever its body is; None if that is not known yet.

        Args:
            asks_first: whether the client waits for a 100 before it sends the body (RFC 9110 §10.1.1). If so, the
                request is refused with any error returned here; otherwise only with one about rights or rates.
        """
        return None

    def run(self, connection: Connection, body: bytes) -> None:
        """Answer the request on `connection`, or `hold` it there and answer later.

        Raises:
            SloshError: the request is refused; the connection writes the problem document.
        """
        raise NotImplementedError

    def understand(self, part: bytes) -> object | None:  # noqa: ARG002 - most have no such part
        """The meaning of `part`, for `run_with`, as the variable part of the head.

        None if the head has to be parsed. `part` may be any bytes (see `Application.split`).
        """
        return None

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:  # noqa: ARG002 - what is not understood
        """As `run`, for a head whose variable part means `variable`."""
        self.run(connection, body)

    def find_path(self, variable: object) -> str:  # noqa: ARG002 - most have no such part, or not in their path
        """The path of a request whose variable part means `variable`, for logs; empty if it is the head's own."""
        return ""


@mypyc_attr(allow_interpreted_subclasses=True)
class Application:
    """A server's behaviour apart from HTTP."""

    __slots__ = ()

    @property
    def reads_cookies(self) -> bool:
        """Whether `route` reads cookies, so that an action only serves heads with the same ones."""
        return False

    def pick_cookies(self, late: list[bytes]) -> list[bytes]:  # noqa: ARG002 - most look at none
        """The cookies that `route` reads. Called if `reads_cookies` is True.

        Args:
            late: the fields in `fields.LATE`, each name before its value.

        Returns:
            A key: if it is equal for two heads, `route` must choose the same action for both.
        """
        return []

    def route(self, head: Head) -> Action:
        """Choose the action, only from the request line and the fields in `fields.READ`. A refusal is an action too.

        The action will serve other heads that have the same, but other values of the fields in `fields.LATE`.
        """
        raise NotImplementedError

    def render_refusal(
        self,
        error: SloshError,
        head: Head | None,  # noqa: ARG002 - others tell an error in the form that the client asks for
        server: ServerState,  # noqa: ARG002 - as above
    ) -> tuple[int, bytes, bytes]:
        """The status, the header lines and the body of the answer for `error`.

        Args:
            head: of the request; None if it was not parsed.
            server: the server that refuses it.
        """
        return problem(error)

    def split(self, block: bytes) -> tuple[int, int]:  # noqa: ARG002 - most have none
        """Where the variable part of a head begins and ends: a reader's place, or a topic's name. (0, 0) for none.

        With any other valid text in that position the head must be as valid as it is now, and have the same action
        (apart from what the part itself means).
        """
        return 0, 0

    def split_late(self, block: bytes) -> tuple[int, int]:  # noqa: ARG002 - most have none
        """Where the late part of a head with a variable part begins and ends: how long a reader waits. (0, 0) for none.

        As for `split`, but an action that understands the variable part reads this one, `Head.part`, when it runs.
        """
        return 0, 0


class ByTrust(Action):
    """Chooses between two actions by the peer, for a head in which a proxy changes the URL: only a trusted one may.

    Attributes:
        other: as below.

    Args:
        trusted: the action if the peer is a trusted proxy.
        other: the action if it is not; the same, apart from header lines of the answer.
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
        """As the chosen action."""
        self._choose(connection).run(connection, body)

    def understand(self, part: bytes) -> object | None:
        """As both actions."""
        return self.other.understand(part)

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:
        """As the chosen action."""
        self._choose(connection).run_with(connection, body, variable)

    def may_be_held(self) -> bool:
        """As both actions."""
        return self.other.may_be_held()

    def is_allowed(self, rights: Rights, variable: object | None) -> bool:
        """As both actions."""
        return self.other.is_allowed(rights, variable)

    def count_messages(self, body: bytes) -> int:
        """As both actions."""
        return self.other.count_messages(body)

    def refuse_early(self, connection: Connection, variable: object | None, *, asks_first: bool) -> SloshError | None:
        """As the chosen action."""
        return self._choose(connection).refuse_early(connection, variable, asks_first=asks_first)

    def find_path(self, variable: object) -> str:
        """As both actions."""
        return self.other.find_path(variable)

    def _choose(self, connection: Connection) -> Action:
        return self._trusted if connection.server.proxies.trusts(connection.peer) else self.other


class Refusal(Action):
    """The action for a request that is refused by its head alone. Its body is read, so the connection stays open."""

    __slots__ = ("error", "fields", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, error: SloshError, max_body: int, fields: bytes) -> None:
        # The traceback would keep the frames alive, and they this object: a cycle that only the collector can free.
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
