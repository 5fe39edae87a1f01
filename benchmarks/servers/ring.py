"""The ring that the minimal peers share: numbers from 1, the last hundred messages, one envelope for a place."""

from __future__ import annotations

import json

KEPT = 100


class Ring:
    """The messages of one topic, as bytes."""

    def __init__(self) -> None:
        self.newest = 0
        self._messages: list[bytes] = []

    def add(self, message: bytes) -> None:
        """Takes a JSON text; raises ValueError when it is none."""
        json.loads(message)
        self.newest += 1
        self._messages = [*self._messages[1 - KEPT :], message]

    def after(self, place: int) -> bytes:
        """The envelope of all kept messages behind this number."""
        wanted = self._messages[-(self.newest - place) :] if place < self.newest else []
        head = b'{"max":%d,"saw":%d,"delivering":%d,"res":[' % (self.newest, self.newest - place, len(wanted))
        return head + b",".join(wanted) + b'],"next":"%d"}' % self.newest
