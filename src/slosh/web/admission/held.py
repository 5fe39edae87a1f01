"""Counts the held requests, polls and streams, of each address and each token.

The rules of this file:

* Ended requests do not report here, because most servers count none. Instead each new request checks the entries of
  its own client when these seem to be too many, and a few others in turn: more than it adds, so that entries of ended
  requests cannot pile up, but a fixed number, however many one client has.
* Only requests that may wait for an event count. Requests that are answered as soon as the answer is ready do not:
  a HEAD, a history, a publish on its way to the store.
* A proxy's connection serves many clients one after another: it counts for the client whose request it holds now.
"""

from itertools import islice
from typing import Final

from slosh.access.limits import address_key
from slosh.access.rights import Grant
from slosh.http1.connection import Connection
from slosh.http1.handler import Action

_LOOKS: Final = 3
"""Entries checked for each new request, which adds one for its address and one for its token."""

_MOST_LOOKS: Final = 500
"""Entries of one client that are checked if it seems to have too many, some 0.1 ms; the next call checks the next ones.
So a client that was refused although one of its requests had just ended is admitted when it asks again."""


class HeldRequests:
    """Connections that hold a request, by the key of its client.

    Attributes:
        most: of one client, 0 for any number.
    """

    __slots__ = ("_by_key", "most")

    def __init__(self) -> None:
        self.most = 0
        self._by_key: dict[str, dict[Connection, None]] = {}

    def __len__(self) -> int:
        """The number of entries, some of which may have ended."""
        return sum(map(len, self._by_key.values()))

    def find_excess(self, connection: Connection, grant: Grant) -> str:
        """Which share is used up, in words for an error: the address's or the token's; empty for neither."""
        for key, whose in zip(_keys(connection, grant), ("Your address", "Your token"), strict=False):
            held = self._by_key.get(key, {})
            if len(held) >= self.most and connection not in held:
                self._prune(key)
                if len(self._by_key.get(key, {})) >= self.most:
                    return whose
        return ""

    def add(self, connection: Connection, grant: Grant) -> None:
        """The current request of a connection is held."""
        for key in _keys(connection, grant):
            self._by_key.setdefault(key, {})[connection] = None
        for _ in range(_LOOKS):
            self._look_at_next()

    def _look_at_next(self) -> None:
        """Forget the next entry if its request has ended; otherwise it goes to the end."""
        key = next(iter(self._by_key), "")
        held = self._by_key.pop(key, {})
        each = next(iter(held), None)
        if each is None:
            return
        del held[each]
        if _is_held_for(each, key):
            held[each] = None  # behind those that were not looked at
        if held:
            self._by_key[key] = held

    def _prune(self, key: str) -> None:
        held = self._by_key.get(key, {})
        for each in list(islice(held, _MOST_LOOKS)):
            del held[each]
            if _is_held_for(each, key):
                held[each] = None  # behind those that were not looked at
        if not held:
            self._by_key.pop(key, None)


def _keys(connection: Connection, grant: Grant) -> list[str]:
    found = [f"address {address_key(connection.client)}"]
    return [*found, f"token {grant.key}"] if grant.key else found


def _is_held_for(connection: Connection, key: str) -> bool:
    grant = connection.grant
    action = connection.held_action
    if not isinstance(action, Action) or not action.may_be_held():
        return False
    return grant is not None and key in _keys(connection, grant)
