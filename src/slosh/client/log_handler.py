"""A handler of the standard library's logging: log lines as messages of a topic."""

import logging
from typing import Final

from slosh.client.addresses import check_topic
from slosh.client.publisher import Publisher
from slosh.client.synchronous import Client

_OURS: Final = ("slosh", "httpx2", "httpcore2")
"""Loggers whose records are dropped: sending one would make the next."""


class Handler(logging.Handler):
    """Publishes each record as `{"time", "level", "logger", "message"}`, and `exception` if there is one.

    It never makes the program wait, and drops the oldest lines if the server is away for long; `publisher` counts.

    Args:
        topic: to publish to.
        client: a `Client`, or the server's address; None for the one that SLOSH_URL names.
        level: of the least important records that are published.

    Raises:
        BadUse: no topic can have this name, or the address is not valid.
    """

    def __init__(self, topic: str, client: Client | str | None = None, level: int = logging.NOTSET) -> None:
        check_topic(topic)
        super().__init__(level)
        self._topic = topic
        self.publisher = Publisher(client, when_watched=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Publish a record soon."""
        if record.name.partition(".")[0] in _OURS:
            return
        try:
            line: dict[str, object] = {
                "time": round(record.created, 3),
                "level": record.levelname,
                "logger": record.name,
                "message": record.getMessage(),
            }
            if record.exc_info:
                line["exception"] = (self.formatter or _plain).formatException(record.exc_info)
            self.publisher.send(self._topic, line)
        except Exception:  # noqa: BLE001 - logging's own rule: a handler says so and never raises
            self.handleError(record)

    def flush(self) -> None:
        """Wait for what was logged, for up to the publisher's time."""
        self.publisher.flush(1.0)

    def close(self) -> None:
        """Send what is left, and end."""
        self.publisher.close()
        super().close()


_plain: Final = logging.Formatter()
