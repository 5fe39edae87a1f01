"""What stands between the wire and the work: an application gives an action for a head, an action answers a request.

An action is decided from the head alone and keeps nothing of a request, so it serves any number of them and
is remembered with the head. What waits for an answer is an exchange.
"""

from typing import TYPE_CHECKING, ClassVar

from slosh.compiled import mypyc_attr
from slosh.core.topic import Watcher
from slosh.errors import SloshError
from slosh.web.head import Head

if TYPE_CHECKING:
    from slosh.web.connection import Connection


@mypyc_attr(allow_interpreted_subclasses=True)
class Action:
    """What is to be done for a request.

    Attributes:
        max_body: bytes that the body may have.
        fields: header lines of every answer, also of refusals.
    """

    __slots__ = ()

    max_body: int = 0
    fields: bytes = b""

    def run(self, connection: "Connection", body: bytes) -> None:
        """Answer the request on `connection`, or `hold` it there and answer later.

        Raises:
            SloshError: it is refused; the connection writes the problem document.
        """
        raise NotImplementedError

    def understand(self, part: bytes) -> object | None:  # noqa: ARG002 - most have no such part
        """What `part` says, for `run_with`, where it stands in the head in place of the changing part.

        None where the head has to be judged with it: `part` may be anything (see `Application.split`).
        """
        return None

    def run_with(self, connection: "Connection", body: bytes, said: object) -> None:  # noqa: ARG002 - what is not understood
        """As `run`, for a head whose changing part says `said`."""
        self.run(connection, body)


@mypyc_attr(allow_interpreted_subclasses=True)
class Application:
    """What a server does, apart from HTTP."""

    __slots__ = ()

    def route(self, head: Head) -> Action:
        """Decide what to do, from the head alone. A refusal is an action too."""
        raise NotImplementedError

    def split(self, block: bytes) -> tuple[int, int]:  # noqa: ARG002 - most have none
        """Where in a head the part begins and ends that changes with each request: a reader's place, a topic's name.

        Whatever else may stand there, the head must be as sound as with what it has now, and the same must be done for
        it, apart from that. (0, 0) where there is no such part.
        """
        return 0, 0


class ByTrust(Action):
    """What is done for a request in which somebody in front of us says something of the URL: it counts from some alone.

    Args:
        trusted: where the peer is a trusted proxy.
        other: where it is not; of the same kind, and apart from the answer's header lines the same.
    """

    __slots__ = ("_other", "_trusted", "fields", "max_body")

    def __init__(self, trusted: Action, other: Action) -> None:
        self._trusted = trusted
        self._other = other
        self.fields = other.fields
        self.max_body = other.max_body

    def run(self, connection: "Connection", body: bytes) -> None:
        """As the one that counts."""
        self._choose(connection).run(connection, body)

    def understand(self, part: bytes) -> object | None:
        """As either."""
        return self._other.understand(part)

    def run_with(self, connection: "Connection", body: bytes, said: object) -> None:
        """As the one that counts."""
        self._choose(connection).run_with(connection, body, said)

    def _choose(self, connection: "Connection") -> Action:
        return self._trusted if connection.edge.proxies.trusts(connection.peer) else self._other


class Refusal(Action):
    """The action for a request that can be refused by its head alone. Its body is read, so the connection lives on."""

    __slots__ = ("error", "fields", "max_body")

    def __init__(self, error: SloshError, max_body: int, fields: bytes) -> None:
        # It would hold the frames in which it was raised, and they this refusal: garbage that only the collector finds.
        error.__traceback__ = None
        error.__context__ = None
        self.error = error
        self.max_body = max_body
        self.fields = fields

    def run(self, connection: "Connection", body: bytes) -> None:  # noqa: ARG002 - the same whatever the body
        """Answer with the error."""
        connection.refuse(self.error)


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange(Watcher):
    """A request that is answered later; the methods tell it what happens meanwhile. Most watch topics meanwhile."""

    __slots__ = ()

    outlives_eof: ClassVar[bool] = False
    """Whether it goes on when the client half-closes: an answer under way does, waiting for news does not."""
    takes_data: ClassVar[bool] = False
    """Whether what the client sends from here on is meant for it, and is no HTTP any more."""

    def end(self) -> None:
        """Time is up, or the server goes down, or the client wants something else: answer as soon as possible."""

    def deadline_passed(self) -> None:
        """The deadline that was given with `hold` has come."""
        self.end()

    def data(self, data: bytes, most: int) -> bytes:  # noqa: ARG002 - most exchanges take none
        """The client has sent something, if `takes_data`. Gives what of it waits for another turn.

        Args:
            data: what came, behind what waited.
            most: how many things may be done with it: frames, or each few KiB of them.
        """
        return data

    def lost(self) -> None:
        """The client has gone; nobody is left to answer."""

    def writable(self) -> None:
        """The client has taken what was written; there is room for more."""
