"""What slosh asks of an engine, and what an engine promises.

Two ideas hold this together. The hub is what *this process* knows: topics that somebody here reads, and
who waits for them. The engine is where messages live; it keeps the hub's topics true. In memory the two
are the same thing; with a store that several nodes share the hub holds a mirror.

Answers come through callbacks, not futures: a held poll or a publish costs no task, and an engine that
knows the answer gives it before it returns.
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
    """What became of a publish. Never changed.

    Attributes:
        epoch: the topic's life that took the messages.
        newest: offset of the last of them.
        watchers: how many watchers the topic had when they were taken.
        accepted: how many messages were taken.
        replayed: whether this is the answer to an earlier publish with the same key, and nothing was taken now.
        ended: whether the topic ended with that publish, or was to end once more.
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
        """The same, as it is given to who publishes once more."""
        return Published(self.epoch, self.newest, self.watchers, self.accepted, True, self.ended)  # noqa: FBT003 - as above


RATE_WINDOW: Final = 10.0
"""Seconds over which messages per second are counted."""


class TopicFacts(NamedTuple):
    """What is told of an active topic.

    Attributes:
        name: the topic's name.
        watchers: how many watch it, wherever they are.
        newest: offset of its newest message.
        age: how long it has been alive, seconds.
        rate: messages a second, recently.
        ended: whether a publisher has ended it.
    """

    name: str
    watchers: int
    newest: int
    age: float
    rate: float
    ended: bool = False


def facts_of(topic: Topic, now: float) -> TopicFacts:
    """The facts of a topic that is known here, at the time `now`, seconds."""
    rate = topic.rate(now, RATE_WINDOW)
    return TopicFacts(topic.name, topic.count_watchers(), topic.last, now - topic.created_at, rate, topic.ended)


class WatcherCount(NamedTuple):
    """The watchers of a topic.

    Attributes:
        watchers: how many, wherever they are, and even if only patterns take the topic in.
        ended: whether a publisher has ended it.
    """

    watchers: int
    ended: bool = False


class TopicListener(Protocol):
    """Somebody who wants to know which topics are active."""

    def topic_active(self, facts: TopicFacts) -> None:
        """A topic was created. The call may be repeated."""

    def topic_ended(self, name: str) -> None:
        """A publisher has ended a topic, which lingers from now on. The call may be repeated."""

    def topic_inactive(self, name: str) -> None:
        """A topic's life is over."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Engine:
    """Where messages live.

    Promises, which one contract suite (`tests/engine/contract.py`) holds every engine to:

    * Order: the messages of a topic have one order, the same for every reader, and offsets without gaps.
    * All or none: the messages of one publish are taken together, next to each other, or not at all.
    * Acknowledgement: once `done` has been called with a `Published`, every reader that was or comes to be
      at an earlier place of that life will be given the messages, or told that they were lost.
    * The mailbox rule: a publish to a topic that is not active is refused with `NoWatchers` and leaves no
      trace, unless the engine was set to keep such messages.
    * The end: a topic ends together with the last messages that come with the end, or not at all. Every reader is given
      what comes before the end, then the end. A later publish is refused with `TopicEnded` and leaves no trace.
    * Every callback is called exactly once, also when the answer is an error, unless `unopen` or `stop` comes first.

    Alike in all methods:

    * `name` is a sound name (`check_name`), and `now` the time on the event loop's clock, seconds.
    * Nothing but `start` raises. A refusal is given to the callback, as one of these errors: `EngineUnreachable`,
      `EngineBusy`, `EngineFull` or `EngineFailed` if the place of the messages is the reason, and `Draining` if
      another process has taken over the topics, all of which a client may try again; beside them those that a method
      names.
    * A callback may be called before the method returns. Do not rely on either: have everything that it needs ready
      before the call, and let the callback look whether its client is still there.

    Args:
        hub: the topics that this process knows.
    """

    page: ClassVar[int] = 1 << 60
    """Topics to ask `list_topics` for at a time, if all are wanted."""
    knows_all: ClassVar[bool] = False
    """Whether a topic that the hub does not have is active nowhere. If not, a publish heeds `hub.opener` and
    `hub.used_up` as they are when it is called."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    @property
    def forgotten_keys(self) -> int:
        """Idempotency keys that were forgotten before their time, because there were too many; none if none is."""
        return 0

    @abstractmethod
    async def start(self) -> None:
        """Make ready to serve. Call it once, before any other method; then `stop` at the end.

        The place where messages live may still be out of reach when it returns: see `trouble`.

        Raises:
            SettingError: it was reached, and cannot be the one that is meant.
            Unavailable: it cannot be used.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Close all connections, end all tasks, call no callback any more. Call nothing on the engine afterwards."""

    @abstractmethod
    def trouble(self) -> SloshError | None:
        """Why a publish has no chance to be taken just now; None if it has."""

    def ready(self) -> bool:
        """Whether a publish has a chance to be taken just now."""
        return self.trouble() is None

    def accept(
        self,
        name: str,  # noqa: ARG002 - most have to ask, here and below
        messages: Sequence[bytes],  # noqa: ARG002
        now: float,  # noqa: ARG002
        key: str = "",  # noqa: ARG002
        client: str = "",  # noqa: ARG002
    ) -> Published | SloshError | None:
        """As `publish`, if it can be told at once what becomes of it.

        The usual publish goes this way, with nothing made for it.

        Returns:
            What `publish` would give its callback; nothing more is to be done. None if that takes longer, and
            nothing has changed: call `publish` with the same arguments.
        """
        return None

    def may_begin(self, name: str) -> bool:
        """Whether a publish to topic `name`, if it is not active, creates it."""
        return self.hub.classes.find(name).keeps or self.hub.listeners.is_wanted(name)

    def is_unwatched(self, name: str, now: float) -> bool:  # noqa: ARG002 - most have to ask
        """Whether a publish to topic `name` would be refused with `NoWatchers`, as far as that is known at once.

        Returns:
            True if it is sure: the caller must not look at the messages, but refuse them. Readers of patterns have
            been told, as by a publish. False says nothing; publish.
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
            messages: as they are to be stored, checked before. None are allowed if the topic is opened or ended. To
                end without a message a topic that has ended changes nothing, and is answered as the first time.
            done: called with what became of it. Beside the errors of the class: `NoWatchers`, `TopicEnded`,
                `MemoryFull`, and if it would create a topic `TooManyTopics`, or the one in `hub.used_up`.
                With `EngineUnreachable` the messages may have been taken all the same: pass a `key`, and publish again
                with it.
            opens: make the topic active before, as `open` does for a reader.
            ends: end it behind the messages, in the same step.
            key: an idempotency key: a publish that was taken with the same key less than five minutes ago is
                answered as it was then, and nothing is taken. Empty for none.
            client: for whom the key counts, if an engine forgets keys because there are too many; empty for all
                those together whom nothing tells apart.
        """

    @abstractmethod
    def find_open(self, name: str, now: float) -> Topic | None:
        """As `open`, for a topic that can be given at once; None if it cannot, and `open` has to be asked.

        The usual poll goes this way, with nothing made for it. Afterwards it is as if `opened` had been called: call
        `hub.watch` in the same turn, and no `unopen`.
        """

    @abstractmethod
    def open(self, name: str, now: float, opened: Callable[[Topic | SloshError], None], *, fresh: bool = False) -> None:
        """Make topic `name` active for a reader, and give what is known of it.

        The reader must call `hub.watch` in the same turn when it wants to wait, and an `unopen` when it goes before it
        was called.

        Args:
            opened: called once, at once or later, with the topic or with the error that refuses it: those of the class,
                and `TooManyTopics`. Pass a callable that no other call of `open` has, because `unopen` finds the
                request by it.
            fresh: give it as it is now where messages live, which may be further than this process has heard. For a
                reader whose place, from another node, means nothing here yet.
        """

    @abstractmethod
    def unopen(self, name: str, opened: Callable[[Topic | SloshError], None]) -> None:
        """Do not call `opened`, which was passed to `open`, any more. It may have been called already."""

    @abstractmethod
    def look(
        self, name: str, now: float, looked: Callable[[Topic | SloshError | None], None], *, fresh: bool = False
    ) -> None:
        """Give topic `name`, `fresh` as `open` has it, or None if it is not active, and create nothing.

        What is given is for reading only, in the same turn. Do not watch it, and call no `unopen`.
        """

    @abstractmethod
    def gather(self, patterns: Sequence[str], now: float, done: Callable[[SloshError | None], None]) -> None:
        """Have the hub know every active topic that one of `patterns` matches.

        The reader must call `hub.listeners.follow` in the same turn as `done` when it wants to hear of those to come.

        Args:
            done: called with None when the hub knows them, find them with `hub.matching`; or with the error of the
                class that refuses it.
        """

    @abstractmethod
    def count_watchers(self, name: str, now: float, done: Callable[[WatcherCount | SloshError], None]) -> None:
        """Tell how many watch topic `name`, even if only patterns do. Nothing is created by the question.

        Args:
            done: called with the number, 0 also for a topic that is not active, or with an error of the class.
        """

    def patterns(self) -> Iterator[str]:
        """The patterns by which somebody reads, wherever that is, as far as it is known. One may come twice.

        Read what you need of them in the same turn.
        """
        return self.hub.listeners.patterns()

    @abstractmethod
    def expect(self, name: str, listener: WatcherCountListener) -> None:
        """Tell `listener`, once, when topic `name` is watched next, wherever that is.

        A topic that is watched already is not told of: ask `count_watchers` too. Call `unexpect` when the listener
        gives up, even if it was told meanwhile.
        """

    @abstractmethod
    def unexpect(self, name: str, listener: WatcherCountListener) -> None:
        """Tell it no more. It may have been told already."""

    @abstractmethod
    def list_topics(
        self, after: str, most: int, now: float, done: Callable[[Sequence[TopicFacts] | SloshError], None]
    ) -> None:
        """Tell of the active topics in the order of their names: those behind the name `after`, at most `most`.

        Args:
            after: a name, which need not be active; empty for the beginning.
            done: called with the facts, or with an error of the class. Fewer than `most` are the end of the list; else
                ask again behind the last one.
        """

    @abstractmethod
    def observe(self, listener: TopicListener) -> None:
        """Tell `listener` of topics that are created and end, wherever that is. It must call `unobserve` later."""

    @abstractmethod
    def unobserve(self, listener: TopicListener) -> None:
        """Tell it no more."""
