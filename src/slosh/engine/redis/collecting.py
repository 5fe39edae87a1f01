"""Requests that concern many topics: a list with the facts of each, and all topics that patterns match."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from slosh.core.patterns import MAX_MATCHES, matches
from slosh.core.topic import Topic
from slosh.engine.base import TopicFacts
from slosh.engine.redis.facts import Facts
from slosh.engine.redis.view import View
from slosh.errors import SloshError

_MOST_GATHERED: Final = MAX_MATCHES + 1
"""Topics that are opened for one reader of patterns: one more than it may have, so that it is refused."""
_TOGETHER: Final = 500
"""Topics whose facts are requested at a time, so that publishes do not wait for more."""


class TopicFactsSearch:
    """The facts of many topics, asked for in parts until there are enough."""

    def __init__(
        self,
        facts: Facts,
        names: list[str],
        most: int,
        done: Callable[[Sequence[TopicFacts] | SloshError], None],
    ) -> None:
        self._facts = facts
        self._names = names
        self._most = most
        self._done = done
        self._found: list[TopicFacts] = []
        self._missing = 0

    def go_on(self) -> None:
        """Request the next part, or call `done`."""
        wanted = min(self._most - len(self._found), _TOGETHER)
        part, self._names = self._names[:wanted], self._names[wanted:]
        if not part:
            self._done(self._found)
            return
        self._missing = len(part)
        for name in part:
            self._facts.find(name, self._found_one)

    def _found_one(self, facts: TopicFacts | int | SloshError) -> None:
        if self._missing < 0:
            return  # It was refused already.
        if isinstance(facts, SloshError):
            self._missing = -1
            self._done(facts)
            return
        if isinstance(facts, TopicFacts):  # else it has ended since it was listed
            self._found.append(facts)
        self._missing -= 1
        if not self._missing:
            self._found.sort()
            self.go_on()


class FactsRound:
    """Requests the facts of many topics, and passes each on as it comes. It ends early if the store fails.

    Args:
        facts: requests them.
        names: of the topics.
        done: called with a name and its facts, or with a count if it is not active.
        ended: called at the end.
    """

    def __init__(
        self,
        facts: Facts,
        names: list[str],
        done: Callable[[str, TopicFacts | int], None],
        ended: Callable[[], None],
    ) -> None:
        self._facts = facts
        self._names = names
        self._done = done
        self._ended = ended
        self._missing = 0
        self._has_failed = False

    def go_on(self) -> None:
        """Request the next part, or end."""
        part, self._names = self._names[:_TOGETHER], self._names[_TOGETHER:]
        if not part or self._has_failed:
            self._ended()
            return
        self._missing = len(part)
        for name in part:
            self._facts.find(name, partial(self._found_one, name))

    def _found_one(self, name: str, facts: TopicFacts | int | SloshError) -> None:
        if isinstance(facts, SloshError):
            self._has_failed = True
        else:
            self._done(name, facts)
        self._missing -= 1
        if not self._missing:
            self.go_on()


class TopicOpener(Protocol):
    """Opens topics for the node: its mirrors, which are in a layer above this one."""

    def open(self, name: str, now: float, opened: Callable[[Topic | SloshError], None], *, fresh: bool = False) -> None:
        """As `Engine.open`."""

    def __contains__(self, name: str) -> bool:
        """Whether the topic is mirrored here."""

    def has_ended(self, name: str) -> bool:
        """Whether the topic is mirrored here, and a publisher has ended it."""


class PatternSearch:
    """Opens all topics that patterns match, also those that are created meanwhile."""

    def __init__(
        self,
        view: View,
        mirrors: TopicOpener,
        patterns: Sequence[str],
        done: Callable[[SloshError | None], None],
    ) -> None:
        self._view = view
        self._mirrors = mirrors
        self._patterns = patterns
        self._done = done
        self._names: set[str] = set()
        self._missing = 1  # topics that are not open yet, and the list itself
        self._is_over = False
        self.ended: Callable[[], object] = lambda: None

    def found(self, names: Sequence[str]) -> None:
        """Open those of `names` that the patterns match."""
        for name in names:
            if self._is_over:
                return  # It was refused, or is complete.
            is_new = name not in self._names and len(self._names) < _MOST_GATHERED
            if is_new and any(matches(pattern, name) for pattern in self._patterns):
                self._names.add(name)
                self._missing += 1
                self._mirrors.open(name, self._view.now(), self._opened)

    def end(self) -> None:
        """One of the missing replies has come; finish after the last."""
        self._missing -= 1
        if not self._missing:
            self._finish(None)

    def fail(self, error: SloshError) -> None:
        """The list, or one of the topics, was refused."""
        self._finish(error)

    def _opened(self, topic: Topic | SloshError) -> None:
        if isinstance(topic, SloshError):
            self.fail(topic)
        else:
            self.end()

    def _finish(self, refusal: SloshError | None) -> None:
        if not self._is_over:
            self._is_over = True
            self.ended()
            self._done(refusal)
