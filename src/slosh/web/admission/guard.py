"""The guard of an action: it checks rights and rates before the action runs.

The rules of this file:

* A guard belongs to a head, as its action does. Of a request it only keeps the grant of its token.
* The checks before a request runs are repeated, in the same way, while it is held.
* A guard passes on every method of an action that http1 calls. A forgotten one would be answered by the base class.
"""

from typing import ClassVar, Final

from slosh.access.jwt import looks_like_jwt
from slosh.access.rights import Grant
from slosh.errors import Forbidden, SloshError, TooManyHeld, TooManyRequests, Unauthorized
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.web.admission.credentials import Credential
from slosh.web.admission.gate import Gate, GuardedAction, named

_LEFT: Final = " One in the query does not count here, because the setting token_in_query is off."


class Guard(GuardedAction):
    """Wraps an action with the checks before it.

    Args:
        gate: checks rights and rates.
        action: runs after the checks.
        credential: the token in the head, or where to find it.
    """

    __slots__ = (
        "_action",
        "_checked",
        "_checked_for",
        "_credential",
        "_gate",
        "_grant",
        "_may_hold",
        "body_bound",
        "fields",
        "max_body",
        "takes_time",
    )

    is_open: ClassVar[bool] = True

    def __init__(self, gate: Gate, action: Action, credential: Credential) -> None:
        self._gate = gate
        self._action = action
        self._credential = credential
        self._grant: Grant | None = None  # what the token gave when it was last asked
        self._may_hold = action.may_be_held()
        self._checked: Grant | None = None  # with which the action was allowed,
        self._checked_for = ""  # and for which topic, if the variable part names one
        self.fields = action.fields
        self.max_body = action.max_body
        self.body_bound = action.body_bound
        # To check a signature takes a fifth of a millisecond, and very many may send new tokens at once.
        self.takes_time = action.takes_time or looks_like_jwt(credential.token)

    def understand(self, part: bytes) -> object | None:
        """As the action does."""
        return self._action.understand(part)

    def may_be_held(self) -> bool:
        """As the action does."""
        return self._may_hold

    def run(self, connection: Connection, body: bytes) -> None:
        """Run the action after the checks.

        Raises:
            Unauthorized, Forbidden, TooManyRequests, TooManyHeld: a check failed.
        """
        grant = self._admit(connection, body, None)
        self._action.run(connection, body)
        self._note(connection, grant)

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:
        """As `run`, for a head whose variable part means `variable`."""
        grant = self._admit(connection, body, variable)
        self._action.run_with(connection, body, variable)
        self._note(connection, grant)

    def refuse_early(self, connection: Connection, variable: object | None, *, asks_first: bool) -> SloshError | None:
        """As the base says.

        A request that is refused without its body is counted here, so that guessing tokens this way counts as well.
        Other requests are counted when their body is complete.
        """
        try:
            self._check(self._find_grant(connection), variable)
        except SloshError as error:
            refusal: SloshError | None = error
        else:
            refusal = self._action.refuse_early(connection, variable, asks_first=asks_first)
            if not asks_first:
                return refusal
        if refusal is not None:
            try:
                self._gate.check_rate(connection, self._grant)
            except TooManyRequests as too_many:
                return too_many
        return refusal

    def find_path(self, variable: object) -> str:
        """As the action does."""
        return self._action.find_path(variable)

    def look_again(self, connection: Connection) -> SloshError | None:
        """Check the held request again. Returns None if it may continue, otherwise the error."""
        try:
            grant = self._find_grant(connection)
            self._check(grant, connection.held_topic or None)
        except SloshError as error:
            return error
        connection.grant = grant
        return None

    def check_message(self, connection: Connection, topic: str) -> None:
        """Check that a message may be published to `topic` over a WebSocket that was opened with this head.

        Raises:
            Unauthorized, Forbidden, TooManyRequests: it may not.
        """
        grant = self._find_grant(connection)
        if not grant.rights.may_publish(topic):
            raise self._refusal(grant)
        self._gate.check_messages(connection, grant, 1)

    def _admit(self, connection: Connection, body: bytes, variable: object | None) -> Grant:
        gate, action = self._gate, self._action
        gate.check_rate(connection, self._grant)
        grant = self._find_grant(connection)
        if self._checked is not grant or self._checked_for != (variable if isinstance(variable, str) else ""):
            self._check(grant, variable)
        gate.check_token_rate(connection, grant)
        if gate.messages is not None:
            gate.check_messages(connection, grant, action.count_messages(body))
        connection.grant = grant
        if self._may_hold and gate.held.most:
            whose = gate.held.find_excess(connection, grant)
            if whose:
                raise named(TooManyHeld(whose, gate.held.most), grant)
        return grant

    def _find_grant(self, connection: Connection) -> Grant:
        grant, authority = self._grant, self._gate.authority
        if grant is not None and (authority is None or authority.is_current(grant, connection.server.wall())):
            return grant
        self._grant = self._checked = None
        grant = self._gate.identify(self._credential, connection)
        if authority is None or not authority.rules.clients:  # else it is the connection's, and not the head's
            self._grant = grant
            self.takes_time = self._action.takes_time
        return grant

    def _check(self, grant: Grant, variable: object | None) -> None:
        if not self._action.is_allowed(grant.rights, variable):
            raise self._refusal(grant)
        self._checked = grant
        self._checked_for = variable if isinstance(variable, str) else ""

    def _refusal(self, grant: Grant) -> SloshError:
        is_public = self._gate.authority is not None and grant is self._gate.authority.public
        if not is_public:
            return named(Forbidden(), grant)
        return Unauthorized(advice=_LEFT if self._credential.is_left else "")

    def _note(self, connection: Connection, grant: Grant) -> None:
        if connection.held_action is self:
            self._gate.note_held(connection, grant, counts=self._may_hold)


def find_guard(connection: Connection) -> Guard | None:
    """The guard of the current request, which is held; None if there are no rules."""
    action = connection.held_action
    return action if isinstance(action, Guard) else None
