"""DELETE of a topic: it ends without a message. With one it is ended by a POST (`publish.py`)."""

from typing import Final

from slosh.engine.base import Engine, Published
from slosh.errors import BadRequest, NoWatchers, SloshError
from slosh.http1.connection import Connection
from slosh.http1.head import Head
from slosh.settings import Settings
from slosh.web.publishing.post_head import KEY
from slosh.web.publishing.publish import Publish
from slosh.web.query import ENDING, ignored_field, parse_query

_NO_BODY: Final = "DELETE ends a topic without a message. POST ?end publishes its body as the last message."
_INACTIVE: Final = "This topic is not active, so there is nothing to end."


class EndTopic(Publish):
    """The action of a DELETE: the topic ends, without a message."""

    __slots__ = ()

    def refuse_early(
        self,
        connection: Connection,
        variable: object | None,  # noqa: ARG002 - it has no body, whatever the topic
        *,
        asks_first: bool,  # noqa: ARG002
    ) -> SloshError | None:
        """As the base says: for a body, and an idempotency key that is none."""
        try:
            self._find_key(connection)
        except BadRequest as error:
            return error
        return BadRequest(_NO_BODY) if connection.head.length > 0 else None

    def run_with(self, connection: Connection, body: bytes, variable: object) -> None:
        """End it.

        Raises:
            BadRequest: there is a body, which would be lost (RFC 9110 §9.3.5 gives it no meaning).
        """
        if body:
            raise BadRequest(_NO_BODY)
        self.publish(connection, (), str(variable))

    def settle(self, outcome: Published | SloshError, connection: Connection, topic: str, now: float = 0.0) -> None:
        """As the base says."""
        super().settle(NoWatchers(_INACTIVE) if isinstance(outcome, NoWatchers) else outcome, connection, topic, now)


def choose_end(engine: Engine, settings: Settings, topic: str, head: Head, fields: bytes) -> EndTopic:
    """What is done for a DELETE of `topic`."""
    fields += ignored_field(parse_query(head.query), ENDING, settings.token_in_query)
    return EndTopic(engine, settings, topic, fields, is_keyed=head.has(KEY), ends=True)
