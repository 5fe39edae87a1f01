"""The interface of an engine, and its promises.

The hub holds what *this process* knows: the topics that have readers here, and those readers. The engine
stores messages and keeps the hub's topics up to date. The memory engine uses the hub itself as its store; with a store
that several nodes share, the hub holds mirrors.

Answers come through callbacks, not futures: a held poll or a publish needs no task, and an engine that
knows the answer calls back before it returns.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final, NamedTuple, Protocol

from slosh.compiled import mypyc_attr
from slosh.core.hub import Hub
from slosh.core.listeners import WatcherCountListener
from slosh.core.topic import Topic
from slosh.errors import SloshError


@mypyc_attr(acyclic=True, free_list_len=1)
class Published:
    """The result of a publish. Never changed.

    Attributes:
        epoch: of the topic.
        newest: offset of the last message.
        watchers: how many watchers the topic had when the messages were accepted.
        accepted: how many messages were accepted.
        replayed: whether this repeats the answer to an earlier publish with the same key; nothing was accepted now.
        ended: whether the publish ended the topic, or the topic had ended already.
    """

    __slots__ = ("accepted", "ended", "epoch", "newest", "replayed", "watchers")

    def __init__(
        self,
        epoch: str,
        newest: int,
        watchers: int,
        accepted: int = 1,
        replayed: bool = False,  # noqa: FBT001, FBT002 - by position, because names cost a call twice its time
        ended: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        self.epoch = epoch
        self.newest = newest
        self.watchers = watchers
        self.accepted = accepted
        self.replayed = replayed
        self.ended = ended

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Published) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        return f"Published{self._facts()}"

    def _facts(self) -> tuple[object, ...]:
        return self.epoch, self.newest, self.watchers, self.accepted, self.replayed, self.ended

    def again(self) -> "Published":
        """The same result for a publish that repeats the key."""
        return Published(self.epoch, self.newest, self.watchers, self.accepted, True, self.ended)  # noqa: FBT003 - as above


RATE_WINDOW: Final = 10.0
"""Seconds over which messages per second are counted."""


class TopicFacts(NamedTuple):
    """Facts about an active topic.

    Attributes:
        name: the topic's name.
        watchers: how many watch it, wherever they are.
        newest: offset of its newest message.
        age: the time since it was created, seconds.
        rate: messages a second, over the last `RATE_WINDOW` seconds.
        ended: whether a publisher has ended it.
    """

    name: str
    watchers: int
    newest: int
    age: float
    rate: float
    ended: bool = False


def facts_of(topic: Topic, now: float) -> TopicFacts:
    """The facts about a topic of the hub, at the time `now`, seconds."""
    rate = topic.rate(now, RATE_WINDOW)
    return TopicFacts(topic.name, topic.count_watchers(), topic.last, now - topic.created_at, rate, topic.ended)


class WatcherCount(NamedTuple):
    """The watchers of a topic.

    Attributes:
        watchers: how many, at all nodes; readers whose patterns match count, even if the topic is not active.
        ended: whether a publisher has ended it.
    """

    watchers: int
    ended: bool = False


class TopicListener(Protocol):
    """Is notified of active topics, at all nodes."""

    def topic_active(self, facts: TopicFacts) -> None:
        """A topic was created. The call may be repeated."""

    def topic_ended(self, name: str) -> None:
        """A publisher has ended the topic, which lingers. The call may be repeated."""

    def topic_inactive(self, name: str) -> None:
        """A topic is not active any more."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Engine:
    """Stores messages.

    Promises, which one contract suite (`tests/engine/contract.py`) checks for every engine:

    * Order: the messages of a topic have one order, the same for every reader, and offsets without gaps.
    * All or none: the messages of one publish are accepted together, next to each other, or not at all.
    * Acknowledgement: once `done` was called with a `Published`, every reader with an earlier place in that epoch, now
      or later, is given the messages or told that they were lost.
    * The mailbox rule: a publish to a topic that is not active is refused with `NoWatchers`, and nothing is stored,
      unless the topic's class keeps such messages (`unwatched = keep`).
    * The end: a topic ends in the same step as the last messages of that publish, or not at all. Every reader is given
      these messages, then the end. A later publish is refused with `TopicEnded`, and nothing is stored.
    * Every callback is called exactly once, with the result or an error, unless `unopen` or `stop` is called first.

    For all methods:

    * `name` is a valid name (`check_name`), and `now` the time on the event loop's clock, seconds.
    * Only `start` raises. Refusals are passed to the callback. A client may try these again: `EngineUnreachable`,
      `EngineBusy`, `EngineFull` and `EngineFailed`, which the store causes, and `Draining`, if another process has
      taken over the topics. A method may name further errors.
    * A callback may be called before the method returns, or later. Prepare everything that it needs before the call,
      and let the callback check whether its client is still there.

    Args:
        hub: the topics that this process knows.
    """

    page: ClassVar[int] = 1 << 60
    """How many topics to ask `list_topics` for at a time, if you want all."""
    knows_all: ClassVar[bool] = False
    """Whether every active topic is in the hub. If False, a publish also reads `hub.opener` and `hub.used_up`, which
    the caller sets before."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    @property
    def forgotten_keys(self) -> int:
        """How many idempotency keys were forgotten before their time, because there were too many."""
        return 0

    @abstractmethod
    async def start(self) -> None:
        """Start. Call it once, before any other method, and `stop` at the end.

        The store may still be unreachable when this returns; see `trouble`.

        Raises:
            SettingError: the setting cannot be right, as the store's answer shows.
            Unavailable: the store cannot be used.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Close all connections and end all tasks. No callback is called afterwards; call no method either."""

    @abstractmethod
    def trouble(self) -> SloshError | None:
        """Why no publish can be accepted at the moment; None if it can."""

    def ready(self) -> bool:
        """Whether a publish can be accepted at the moment."""
        return self.trouble() is None

    def accept(
        self,
        name: str,  # noqa: ARG002 - most have to ask, here and below
        messages: Sequence[bytes],  # noqa: ARG002
        now: float,  # noqa: ARG002
        key: str = "",  # noqa: ARG002
        client: str = "",  # noqa: ARG002
    ) -> Published | SloshError | None:
        """As `publish`, for engines that know the result at once. The usual publish goes this way, without a callback.

        Returns:
            What `publish` would pass to its callback: the publish is done. None if that takes longer. Then nothing has
            changed; call `publish` with the same arguments.
        """
        return None

    def may_begin(self, name: str) -> bool:
        """Whether a publish to topic `name`, if it is not active, creates it."""
        return self.hub.classes.find(name).keeps or self.hub.listeners.is_wanted(name)

    def is_unwatched(self, name: str, now: float) -> bool:  # noqa: ARG002 - most have to ask
        """Whether a publish to topic `name` is certain to be refused with `NoWatchers`.

        Returns:
            True if that is certain: refuse the messages without parsing them. Readers of patterns were notified as by
            `publish`. False if it is not known: call `publish`.
        """
        return False

    @abstractmethod
    def publish(  # noqa: PLR0913 - what a POST may say, each in one word
        self,
        name: str,
        messages: Sequence[bytes],
        now: float,
        done: Callable[[Published | SloshError], None],
        key: str = "",
        client: str = "",
        *,
        opens: bool = False,
        ends: bool = False,
    ) -> None:
        """Put `messages`, each one JSON value, into topic `name` at the time `now`, seconds.

        Args:
            messages: checked, and stored as they are. May be empty if `opens` or `ends`. Ending a topic again without
                messages changes nothing, and has the same result as the first time.
            done: called with the result. Besides the errors of the class: `NoWatchers`, `TopicEnded`, `MemoryFull`, and
                if it would create a topic `TooManyTopics` or the error in `hub.used_up`. After `EngineUnreachable` the
                messages may have been accepted nevertheless: pass a `key`, and publish again with the same one.
            opens: make the topic active first, as `open` does for a reader.
            ends: end the topic after the messages, in the same step.
            key: an idempotency key. If a publish with the same key was accepted less than five minutes ago, its result
                is repeated, and nothing is accepted. Empty for none.
            client: the client that the key counts for, when too many keys make an engine forget some; empty if no
                address tells clients apart.
        """

    @abstractmethod
    def find_open(self, name: str, now: float) -> Topic | None:
        """As `open`, if the topic is known at once; otherwise None, and the caller must call `open`.

        The usual poll takes this path, without a callback. Call `hub.watch` in the same turn, and do not call `unopen`.
        """

    @abstractmethod
    def open(self, name: str, now: float, opened: Callable[[Topic | SloshError], None], *, fresh: bool = False) -> None:
        """Make topic `name` active for a reader, and pass it to `opened`.

        If the reader wants to wait, it must call `hub.watch` in the turn in which `opened` is called. If it leaves
        before that, it must call `unopen`.

        Args:
            opened: called once, at once or later, with the topic or an error: those of the class, and `TooManyTopics`.
                Pass a different callable to each call of `open`, because `unopen` finds the request by it.
            fresh: ask the store for its current state, which may be newer than what this process knows. For a
                reader that comes from another node with a place that is not known here yet.
        """

    @abstractmethod
    def unopen(self, name: str, opened: Callable[[Topic | SloshError], None]) -> None:
        """Cancel the call of `open` with this callback. The callback may have been called already."""

    @abstractmethod
    def look(
        self, name: str, now: float, looked: Callable[[Topic | SloshError | None], None], *, fresh: bool = False
    ) -> None:
        """Pass topic `name` to `looked`, or None if it is not active, and create nothing. `fresh` is as in `open`.

        Only read the topic, in the same turn. Do not watch it, and do not call `unopen`.
        """

    @abstractmethod
    def gather(self, patterns: Sequence[str], now: float, done: Callable[[SloshError | None], None]) -> None:
        """Load every active topic that one of `patterns` matches into the hub.

        To be notified of later topics, call `hub.listeners.follow` in the turn in which `done` is called.

        Args:
            done: called with None when the hub has them (`hub.matching` finds them), or with an error of the class.
        """

    @abstractmethod
    def count_watchers(self, name: str, now: float, done: Callable[[WatcherCount | SloshError], None]) -> None:
        """Count the watchers of topic `name`, readers whose patterns match included. Creates nothing.

        Args:
            done: called with the count, or with an error of the class.
        """

    def patterns(self) -> Iterator[str]:
        """The patterns that readers use, at all nodes, as far as this one knows. A pattern may come twice.

        Iterate in the same turn.
        """
        return self.hub.listeners.patterns()

    @abstractmethod
    def expect(self, name: str, listener: WatcherCountListener) -> None:
        """Notify `listener` once, when topic `name` gets its next watcher at any node.

        It is not notified of watchers that are there already: call `count_watchers` too. Call `unexpect` when the
        listener gives up, even if it was notified in the meantime.
        """

    @abstractmethod
    def unexpect(self, name: str, listener: WatcherCountListener) -> None:
        """Do not notify `listener` any more. It may have been notified already."""

    @abstractmethod
    def list_topics(
        self, after: str, most: int, now: float, done: Callable[[Sequence[TopicFacts] | SloshError], None]
    ) -> None:
        """List the active topics in the order of their names: at most `most` of those after the name `after`.

        Args:
            after: a name, whether active or not; empty for the beginning.
            done: called with the facts, or with an error of the class. The list ends with fewer than `most`; otherwise
                ask again with the last name.
        """

    @abstractmethod
    def observe(self, listener: TopicListener) -> None:
        """Notify `listener` of topics that are created or end, at all nodes. It must call `unobserve` later."""

    @abstractmethod
    def unobserve(self, listener: TopicListener) -> None:
        """Stop notifying `listener`."""
