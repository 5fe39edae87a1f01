"""POST to a topic: one JSON value, whatever the Content-Type says."""

from slosh.engine.base import Engine, Published
from slosh.errors import SloshError, UnsupportedEncoding
from slosh.settings import Settings
from slosh.web.connection import Connection, Exchange
from slosh.web.head import Head
from slosh.web.jsontext import check_json
from slosh.web.response import JSON, NO_SNIFF, NO_STORE

_FIELDS = JSON + NO_STORE + NO_SNIFF


class Publish:
    """The action of a POST.

    Args:
        engine: takes the message.
        settings: the bounds of a message.
        topic: the topic's name.
        head: of the request.

    Raises:
        UnsupportedEncoding: the body comes in a content coding.
    """

    __slots__ = ("_engine", "_max_depth", "_max_message", "_topic", "max_body")

    def __init__(self, engine: Engine, settings: Settings, topic: str, head: Head) -> None:
        if any(coding != "identity" for coding in head.tokens(b"content-encoding")):
            raise UnsupportedEncoding("A message is posted as it is, without a Content-Encoding.")
        self._engine = engine
        self._topic = topic
        self._max_message = settings.max_message
        self._max_depth = settings.max_depth
        # Of a body in chunks no more is read than may still be a message with white space around it.
        self.max_body = settings.max_message

    def run(self, connection: Connection, body: bytes) -> None:
        """Check the message and hand it to the engine."""
        message = check_json(body, self._max_depth)
        pending = _Pending(connection)
        self._engine.publish(self._topic, (message,), connection.edge.now(), pending.done)
        if not pending.is_done:
            connection.hold(pending)


class _Pending(Exchange):
    """A publish that the engine has not answered yet."""

    __slots__ = ("_connection", "is_done")

    outlives_eof = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_done = False

    def done(self, outcome: Published | SloshError) -> None:
        """The engine has taken the message, or not."""
        self.is_done = True
        connection = self._connection
        if not connection.is_open:
            return
        if isinstance(outcome, SloshError):
            connection.refuse(outcome)
            return
        body = b'{"max":%d,"next":"%b.%d","watchers":%d}' % (
            outcome.newest,
            outcome.epoch.encode("ascii"),
            outcome.newest,
            outcome.watchers,
        )
        connection.respond(200, _FIELDS + b"Slosh-Watchers: %d\r\n" % outcome.watchers, body)
