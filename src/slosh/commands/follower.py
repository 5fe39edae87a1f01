"""What a bridge learns from its slosh: which topics are watched, and by which patterns."""

import asyncio
import contextlib
import json
import random
import time
from typing import Final

import httpx2

from slosh.client.answers import passes, pause_before, read_problem
from slosh.client.asynchronous import AsyncClient
from slosh.client.connections import MAX_EVENT, WATCH
from slosh.client.errors import ClientError, Refused
from slosh.commands.shared import tell
from slosh.commands.watched import WatchedTopics

_LOOK: Final = 2.0
"""Seconds between two looks at the list of topics, while one of them may be watched; ten times as long as a look
takes, if that is more."""


def find_pause(failures: int) -> float:
    """Seconds to wait after this many failures."""
    return pause_before(failures, {}, random.random())  # noqa: S311 - nobody needs to be unable to guess it


class Follower:
    """Learns from a slosh which topics are watched.

    Args:
        topics: is told of them.
        changed: is set after each thing learnt.
    """

    def __init__(self, client: AsyncClient, topics: WatchedTopics, changed: asyncio.Event) -> None:
        self._client = client
        self._topics = topics
        self._changed = changed

    async def follow(self) -> None:
        """Read the stream of topics that become active and inactive, for ever.

        Raises:
            Refused: the server does not allow it.
        """
        failures = 0
        while True:
            with contextlib.suppress(httpx2.TransportError, ValueError):
                async with self._client.http.stream(
                    "GET", f"{self._client.base}/topics?watch", headers={"Accept": "text/event-stream"}, timeout=WATCH
                ) as answer:
                    if answer.status_code == 200:
                        async for event in httpx2.EventSource(answer, MAX_EVENT):
                            failures = 0
                            self._heard(event.event, event.data)
                    elif not passes(answer.status_code):
                        raise Refused(answer.status_code, read_problem(await answer.aread()), self._client.where)
            failures += 1
            if failures == 2:  # one is the usual end of a stream's life
                tell(f"no answer from {self._client.where}; trying again")
            await asyncio.sleep(find_pause(failures))

    async def look(self) -> None:
        """Look again and again: only the list of topics tells when nobody watches one any more."""
        while True:
            asked = time.monotonic()
            with contextlib.suppress(ClientError):  # `follow` tells
                self._topics.read_by(await self._client.patterns(), time.monotonic())
                self._changed.set()
            if self._topics.any_active:
                with contextlib.suppress(ClientError):  # `follow` tells
                    found = [each for each in await self._client.topics() if not each.get("ended")]
                    watchers = {str(each["name"]): int(str(each.get("watchers", 0))) for each in found}
                    self._topics.listed(watchers, asked, time.monotonic())
                    self._changed.set()
            await asyncio.sleep(max(_LOOK, 10 * (time.monotonic() - asked)))

    def _heard(self, kind: str, data: str) -> None:
        if kind not in ("active", "inactive", "ended"):
            return
        said = json.loads(data)
        if kind == "active":
            self._topics.active(said["name"], said["watchers"], time.monotonic())
        else:
            self._topics.inactive(said["name"])
        self._changed.set()
