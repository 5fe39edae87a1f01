"""Mirrors: a node's copies of the topics that are watched at it, kept in step with the store.

The rules of this file:

* An announcement is a hint, which may come late, twice or never. It carries small messages. A mirror accepts them if
  its newest message is the one before them (same epoch, offset and time of arrival). Otherwise the node asks the store
  for everything after the mirror's last offset. It also asks when it hears of a newer message, when it may have missed
  an announcement, and after its connection was lost. So a lost connection can delay a message but never lose it.
* While such an answer is under way, the mirror may accept announcements. It then skips the part of the answer that it
  already has.
* The node subscribes to announcements before it reads a topic for the first time, so no message is missed in between.
* A node that watches a topic has a lease at the store, renewed three times before it expires. With it a node that
  died stops counting.
* If the store does not know a mirror's newest message any more (it was restarted empty, or fell behind), the topic
  gets a new epoch, and its readers are told `reset`. A mirror never writes anything back into the store.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final

from slosh.core.hub import Hub
from slosh.core.timers import TICK, Timers
from slosh.core.topic import Topic
from slosh.engine.redis.directory import Directory
from slosh.engine.redis.doubts import ASKED, Doubts
from slosh.engine.redis.mirror import END, Mirror, Opened
from slosh.engine.redis.syncing import INACTIVE, look, send_sync
from slosh.engine.redis.view import View
from slosh.errors import EngineUnreachable, SloshError, TooManyTopics

logger = logging.getLogger(__name__)

_TELL_WITHIN: Final = 1.0
"""Seconds within which other nodes learn of a changed number of watchers."""
_WATCHED_WITHIN: Final = 1.0
"""Seconds that a topic that was asked for is active at the store at least, also with a shorter `linger`: its reader
watches it by then, or has gone."""
_FAREWELL: Final = 1.0
"""Seconds that a stopping node waits for the store to confirm that its leases are given up."""
_LOSSES_WITHIN: Final = 1.0
"""Seconds for which lost topics are collected into one line of the log."""
_AGAIN: Final = 0.25
"""Seconds until a request is repeated that the store did not answer, although its connections work."""
_AGAIN_TOGETHER: Final = 500
"""Mirrors for which such requests are repeated at a time; more would not help a slow store."""


class Mirrors:
    """All mirrors of a node.

    Args:
        view: the store.
        hub: holds the mirrors as ordinary topics.
        directory: is told which topics are created and which stay active.
        doubts: decides whether a topic really has no watcher when the store says so.
    """

    def __init__(self, view: View, hub: Hub, directory: Directory, doubts: Doubts) -> None:
        self._view = view
        self._hub = hub
        self._directory = directory
        self._doubts = doubts
        self._mirrors: dict[str, Mirror] = {}
        self._visits: Timers[Mirror] = Timers(self._arm_visits)
        self._moved: dict[str, None] = {}
        self._telling_at = math.inf
        self._unanswered: dict[str, None] = {}
        self._lost: list[str] = []

    def __contains__(self, name: str) -> bool:
        """Whether this node mirrors the topic `name`."""
        return name in self._mirrors

    def has_ended(self, name: str) -> bool:
        """Whether a publisher has ended the topic `name`, as far as this node mirrors it."""
        topic = self._hub.find(name, self._view.now()) if name in self._mirrors else None
        return topic is not None and topic.ended

    @property
    def are_heard(self) -> bool:
        """Whether the subscriptions of all mirrors are active; for tests."""
        return all(mirror.is_heard for mirror in self._mirrors.values())

    def start(self) -> None:
        """Begin. The caller must call `give_back`."""
        self._hub.listeners.observe(self)
        self._hub.counted = self._counted

    async def give_back(self) -> None:
        """Give up this node's leases, so that others need not wait until they expire."""
        watched = [mirror for mirror in self._mirrors.values() if mirror.reported and self._view.servers.are_up]
        answers = [asyncio.get_running_loop().create_future() for _ in watched]
        for mirror, each in zip(watched, answers, strict=True):
            self._give_back(mirror, each.set_result)
        if answers:
            await asyncio.wait(answers, timeout=_FAREWELL)

    def find_open(self, name: str, now: float) -> Topic | None:
        """As `Engine` says: a mirrored topic is known at once."""
        mirror = self._mirrors.get(name)
        topic = mirror.topic if mirror is not None else None
        if topic is None or self._hub.find(name, now) is not topic:
            return None
        self._hub.open(name, now)
        if mirror is not None and mirror.reported_until - now < topic.kind.linger / 2:
            self._sync(mirror)  # before its lease expires for the others
        return topic

    def open(self, name: str, now: float, opened: Opened, *, fresh: bool = False) -> None:
        """As `Engine` says. While the store cannot be reached, the reader waits."""
        topic = None if fresh else self.find_open(name, now)
        if topic is not None:
            opened(topic)
            return
        mirror = self._mirrors.get(name)
        if mirror is None:
            most = self._hub.bounds.max_topics
            if len(self._mirrors) >= most:
                self._hub.expire(now)
            if len(self._mirrors) >= most:
                opened(TooManyTopics(most, "node"))
                return
            mirror = self._mirrors[name] = Mirror(name, self._hub.opener)
            self._hub.shares.expect_topic(mirror.opener)
            self._view.servers.listen(self._view.keys.channel(name))
        mirror.waiting[opened] = None
        if mirror.is_heard:
            self._sync(mirror)

    def unopen(self, name: str, opened: Opened) -> None:
        """As `Engine` says."""
        mirror = self._mirrors.get(name)
        if mirror is not None:
            mirror.waiting.pop(opened, None)
            mirror.asked.pop(opened, None)
            self._forget(mirror)

    def look(
        self, name: str, now: float, looked: Callable[[Topic | SloshError | None], None], *, fresh: bool = False
    ) -> None:
        """As `Engine` says."""
        mirror = None if fresh else self._mirrors.get(name)
        if mirror is not None and mirror.topic is not None and self._hub.find(name, now) is mirror.topic:
            looked(mirror.topic)
            return

        look(self._view, self._doubts, name, looked)

    # Called when something happens at the store.

    def came_up(self) -> None:
        """A server can be reached again: it may have lost data, and this node may have missed announcements."""
        self._unanswered.clear()
        for mirror in tuple(self._mirrors.values()):
            if mirror.is_heard:
                self._sync(mirror)

    def subscribed(self, name: str) -> None:
        """The subscription to announcements of the topic `name` is active."""
        mirror = self._mirrors.get(name)
        if mirror is not None:
            mirror.is_heard = True
            self._sync(mirror)

    def heard(self, name: str, announced: bytes) -> None:
        """The newest message of the topic `name` was announced: its epoch and offset, and often the message itself."""
        mirror = self._mirrors.get(name)
        if mirror is None or not mirror.is_heard:
            return
        place, _, carried = announced.partition(b" ")
        epoch, _, offset = place.partition(b".")
        topic, newest = mirror.topic, int(offset)
        if topic is None and announced == ASKED:
            return  # Without a watcher here, there is no lease that the store could have lost.
        if topic is None or topic.epoch != epoch.decode():
            self._sync(mirror)
        elif carried.startswith(END):
            if topic.last == newest and mirror.is_at(carried):
                self._hub.end(topic)
            else:
                self._sync(mirror)
        elif topic.last < newest:
            now = self._view.now()
            messages = mirror.follow(topic.last, newest, carried, now) if carried else None
            if messages is None:
                self._sync(mirror)
            else:
                self._hub.mirror(topic, messages, mirror.latest, int(mirror.stamp) // 1000)

    # Mirrors.

    def _sync(self, mirror: Mirror) -> None:
        """Ask for the messages after the mirror's place, and report the number of watchers here."""
        if mirror.is_syncing:
            mirror.again = True
            return
        mirror.is_syncing, mirror.again = True, False
        asked = mirror.asked = mirror.waiting
        mirror.waiting = {}
        topic, now = mirror.topic, self._view.now()
        here = topic.count_watchers() if topic is not None else 0
        linger = max(self._view.kind_of(mirror.name).linger, _WATCHED_WITHIN)
        if topic is not None and not here and not asked:
            linger = max(0.0, topic.active_until - now)
        epoch = self._view.new_epoch() if linger or here or asked else ""

        def answered(reply: list[Any] | SloshError) -> None:
            mirror.is_syncing = False
            if not isinstance(reply, SloshError):
                mirror.reported, mirror.reported_until = here, now + linger
                if len(reply) > INACTIVE and reply[4]:
                    self._directory.tell_of_creation(mirror.name)
            if topic is not None and mirror.topic is None and mirror.asked:
                # It was dropped here in the meantime, and the reply only has the messages after its place.
                mirror.wait_again()
                mirror.again = True
            else:
                self._synced(mirror, reply)
            if mirror.again and self._mirrors.get(mirror.name) is mirror:  # else it was forgotten
                self._sync(mirror)

        send_sync(self._view, mirror, here, int(linger * 1000), epoch, answered)

    def _synced(self, mirror: Mirror, reply: list[Any] | SloshError) -> None:
        if isinstance(reply, SloshError):
            if isinstance(reply, EngineUnreachable):
                mirror.wait_again()
            else:
                self._answer(mirror, reply)
            self._forget(mirror)
            self._ask_again_soon(mirror)  # or sooner, if it was out of reach and comes up
            return
        if (mirror.topic is None and not mirror.asked) or len(reply) == INACTIVE:
            self._forget(mirror)
            return
        try:
            topic = self._fill(mirror, reply)
        except SloshError as error:
            self._answer(mirror, error)
            self._forget(mirror)
            return
        self._directory.keep(mirror.name, mirror.reported, mirror.reported_until)
        if mirror.asked:
            self._hub.linger(topic, self._view.now())
            self._answer(mirror, topic)

    def _ask_again_soon(self, mirror: Mirror) -> None:
        """Repeat the request soon. No event will say when: the store was slow, or refused, but stayed connected."""
        if mirror.topic is not None or mirror.waiting:
            if not self._unanswered:
                self._view.call_at(self._view.now() + _AGAIN, self._ask_again)
            self._unanswered[mirror.name] = None

    def _ask_again(self) -> None:
        if self._view.is_stopped:
            return
        names = list(self._unanswered)[:_AGAIN_TOGETHER] if self._view.servers.are_up else []
        for name in names:
            del self._unanswered[name]
        if self._unanswered:
            self._view.call_at(self._view.now() + _AGAIN, self._ask_again)
        for name in names:
            mirror = self._mirrors.get(name)
            if mirror is not None and mirror.is_heard:
                self._sync(mirror)

    def _fill(self, mirror: Mirror, reply: list[Any]) -> Topic:
        """Put the store's reply into the mirror."""
        now, store_now = self._view.now(), int(reply[0])
        epoch, newest, born, entries = reply[1].decode(), reply[2], int(reply[3]), reply[6:]
        topic = mirror.topic
        if topic is None:
            age = max(0.0, (store_now - born) / 1e6)  # The store's clock may have been set back since.
            topic = self._create(mirror, epoch, now - age, now, is_filled=bool(entries))
            mirror.topic, mirror.stamp = topic, b""
            if not mirror.is_visited:
                mirror.is_visited = True
                self._visits.add(mirror, now + self._view.times_of(mirror.name).visit)
        elif topic.epoch != epoch:
            self._tell_of_loss(mirror.name)
            topic = mirror.topic = self._hub.replace(topic, epoch, now, is_filled=bool(entries))
            mirror.stamp = b""
        known = topic.last - (newest - len(entries))  # entries that the mirror already has
        if known < 0:
            self._hub.skip_to(topic, newest - len(entries))
        elif known > 0:  # Announcements brought them in the meantime.
            had, entries = entries[:known], entries[known:]
            if entries and not had[-1].startswith(mirror.stamp + b" "):
                mirror.again = True  # The store has lost them since; the next reply shows it.
                return topic
        for messages, arrived, wall in mirror.take_apart(entries, store_now, now):
            self._hub.mirror(topic, messages, arrived, wall)
        self._hub.forget_old(topic, now)
        if reply[5]:
            self._hub.end(topic)
        return topic

    def _create(self, mirror: Mirror, epoch: str, created_at: float, now: float, *, is_filled: bool) -> Topic:
        """Begin the life of a mirror's topic, which counts for the client that asked for it first."""
        before, self._hub.opener = self._hub.opener, mirror.opener
        try:
            topic = self._hub.create(mirror.name, epoch, created_at, now, is_filled=is_filled)
        finally:
            self._hub.opener = before
        self._hub.shares.forget_topic(mirror.opener)
        return topic

    def _tell_of_loss(self, name: str) -> None:
        """Log that topics were lost: one line for all within a second, because they mostly are lost together."""

        def tell() -> None:
            lost, self._lost = self._lost, []
            logger.info(
                "%d topics were lost by the store, %r among them; their readers start again", len(lost), lost[0]
            )

        if not self._lost:
            self._view.call_at(self._view.now() + _LOSSES_WITHIN, tell)
        self._lost.append(name)

    @staticmethod
    def _answer(mirror: Mirror, answer: Topic | SloshError) -> None:
        asked, mirror.asked = mirror.asked, {}
        for opened in asked:
            try:
                opened(answer)
            except Exception:
                logger.exception("a reader of %r failed; the others go on", mirror.name)

    def _forget(self, mirror: Mirror) -> None:
        is_idle = mirror.topic is None and not mirror.waiting and not mirror.is_syncing
        if is_idle and self._mirrors.get(mirror.name) is mirror:
            del self._mirrors[mirror.name]
            self._hub.shares.forget_topic(mirror.opener)
            self._directory.forget(mirror.name)
            self._view.servers.unlisten(self._view.keys.channel(mirror.name))
            if mirror.reported:
                self._give_back(mirror)

    def _give_back(self, mirror: Mirror, done: Callable[[object], None] = lambda _: None) -> None:
        """Give up the lease: tell the store that nobody watches here any more. `done` is called with its reply."""
        left = mirror.topic.active_until - self._view.now() if mirror.topic is not None else 0.0
        send_sync(self._view, Mirror(mirror.name), 0, max(0, int(left * 1000)), "", done)

    def topic_created(self, topic: Topic) -> None:
        """As the hub's listener. Nothing to do: this engine created the topic itself."""

    def topic_ended(self, topic: Topic) -> None:
        """As the hub's listener. Nothing to do: the topic has ended at the store before."""

    def topic_dropped(self, topic: Topic) -> None:
        """As the hub's listener: it had no watcher here for `linger`."""
        mirror = self._mirrors.get(topic.name)
        if mirror is not None and mirror.topic is topic:
            mirror.topic, mirror.stamp = None, b""
            self._hub.shares.expect_topic(mirror.opener)  # It counts as expected while a reader waits.
            self._forget(mirror)

    # Leases.

    def _arm_visits(self, when: float) -> None:
        self._view.call_at(when, self._make_visits)

    def _make_visits(self) -> None:
        now = self._view.now()
        for mirror in self._visits.due(now):
            topic = mirror.topic
            if topic is None or self._view.is_stopped:
                mirror.is_visited = False
                continue
            if topic.watchers or topic.active_until > mirror.reported_until:
                self._sync(mirror)
            self._visits.add(mirror, now + self._view.times_of(mirror.name).visit)

    def _counted(self, topic: Topic) -> None:
        """As `Hub.counted`: a watcher came or left."""
        self._moved[topic.name] = None
        mirror = self._mirrors.get(topic.name)
        if mirror is not None and not mirror.reported and topic.watchers:
            self._tell_at(self._view.now())  # A feeder may wait for the first watcher.
        elif self._telling_at == math.inf:
            self._tell_at(self._view.now() + _TELL_WITHIN)

    def _tell_at(self, when: float) -> None:
        if when < self._telling_at:
            self._telling_at = when
            self._view.call_at(when, self._tell)

    def _tell(self) -> None:
        if self._view.is_stopped or self._view.now() < self._telling_at - TICK:
            return  # It was done earlier, for a first watcher.
        self._telling_at = math.inf
        moved, self._moved = self._moved, {}
        for name in moved:
            mirror = self._mirrors.get(name)
            if mirror is not None and mirror.topic is not None and len(mirror.topic.watchers) != mirror.reported:
                self._sync(mirror)
