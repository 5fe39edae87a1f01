"""How long a server is out of reach, and what the log says of that and of its refusals."""

import logging
from typing import Final

from slosh.engine.redis.client.refusals import reason_of
from slosh.logs import event

logger = logging.getLogger(__name__)

REMINDERS: Final = 30.0
"""Seconds between two lines in the log about a store that stays out of reach."""
WAITING: Final = (
    "the messages' store at %s cannot be reached yet (%s). slosh waits for it, and answers 503 to publishers "
    "meanwhile. Check that it runs, that the address and its scheme are right, and that nothing stands between"
)
_COMPLAINTS: Final = 5.0
"""Seconds between two lines in the log about refusals; what a server refuses once it mostly refuses always."""


class Outage:
    """Of one server, which is in reach at first. Times are seconds, on any one clock.

    Args:
        store: the address, without secrets.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self._since: float | None = None
        self._remind_at = 0.0
        self._quiet_until = 0.0

    def begin_before(self, now: float, seconds: float, error: Exception) -> None:
        """The server was never there. That counts as an outage that has lasted for more than this many `seconds`."""
        self._since, self._remind_at = now - seconds - 1.0, now + REMINDERS
        logger.warning(WAITING, self._store, reason_of(error), extra=event("store_waiting", store=self._store))

    def goes_on(self, now: float, error: Exception) -> None:
        """The server cannot be reached; `error` says why. The first time, that is the beginning."""
        if self._since is None:
            self._since, self._remind_at = now, now + REMINDERS
            logger.warning(
                "the messages' store at %s is out of reach, and is tried again: %s",
                self._store,
                reason_of(error),
                extra=event("store_lost", store=self._store, reason=reason_of(error)),
            )
        elif now >= self._remind_at:
            self._remind_at = now + REMINDERS
            logger.warning("the messages' store at %s is still out of reach: %s", self._store, reason_of(error))

    def end(self) -> None:
        """The server can be reached."""
        self._since = None
        logger.warning("the messages' store can be reached now", extra=event("store_back"))

    def is_longer_than(self, seconds: float, now: float) -> bool:
        """Whether there is an outage that has lasted for more than this many `seconds`."""
        return self._since is not None and now - self._since > seconds

    def complain(self, now: float, error: Exception) -> None:
        """The server refused a command, which should not happen."""
        if now >= self._quiet_until:
            self._quiet_until = now + _COMPLAINTS
            logger.error("the messages' store refused a command: %s", reason_of(error))
