"""Which reader was promised what, and which got it: pure bookkeeping, without a socket or a clock.

Rules:
* A message is known by its place, an epoch and an offset. The first reader that is given it says what stands there;
  every other reader, and the acknowledgement to its publisher, have to agree.
* A reader's account is without gaps: what comes next begins one behind its place, unless it is told that some were
  `lost`, or that its place was of another life (`reset`).
* What is acknowledged and neither given to a reader nor told as lost, nor behind a reset, is a silent loss. There
  must never be one.
* After a `reset` all bets on the life before are off; what readers missed of it is counted as gone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

WIDTH: Final = 9
FILLING: Final = "." * 39
"""So that a message has some 60 bytes, as a measurement with its name has."""


class Place(NamedTuple):
    """An epoch and an offset in it."""

    epoch: str
    offset: int

    @classmethod
    def parse(cls, cursor: str) -> "Place":
        """Read a cursor of one topic."""
        epoch, _, offset = cursor.rpartition(".")
        return cls(epoch, int(offset))

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"


def message(publisher: int, number: int) -> str:
    """The text of a publisher's message; all are of one length."""
    return f"{publisher:0{WIDTH}d} {number:0{WIDTH}d} {FILLING}"


def sender(text: str) -> tuple[str, str]:
    """Whose message this is, and its number; within one publisher the numbers sort as they were sent."""
    return text[:WIDTH], text[WIDTH + 1 : 2 * WIDTH + 1]


@dataclass
class Life:
    """What readers saw of one epoch, by offset, and what publishers were told."""

    seen: list[str | None] = field(default_factory=list)
    """Index 0 is offset 1; None where nobody was given the message yet."""
    promised: list[tuple[int, str]] = field(default_factory=list)
    """Offsets and messages, as publishers were told."""
    conflicts: int = 0
    """Deliveries that say something else than an earlier one did."""

    def give(self, first: int, messages: Sequence[str]) -> None:
        """A reader was given `messages`, the first of them at offset `first`."""
        start, end = first - 1, first - 1 + len(messages)
        known = self.seen[start:end]
        if known == messages:  # the usual case: somebody else had them before
            return
        if end > len(self.seen):
            self.seen.extend([None] * (end - len(self.seen)))
        for index, text in enumerate(messages, start):
            before = self.seen[index]
            self.conflicts += before is not None and before != text
            self.seen[index] = text if before is None else before

    def missing(self, upto: int) -> list[str]:
        """Acknowledged messages behind this offset, or at whose place readers were given another one."""
        return [text for offset, text in self.promised if offset > upto or self._at(offset) not in {None, text}]

    def _at(self, offset: int) -> str | None:
        return self.seen[offset - 1] if offset <= len(self.seen) else None

    def doubled(self) -> int:
        """Messages that stand at more than one place."""
        texts = [text for text in self.seen if text is not None]
        return len(texts) - len(set(texts))

    def swapped(self) -> int:
        """Messages that stand behind a later one of the same publisher."""
        newest: dict[str, str] = {}
        count = 0
        for text in self.seen:
            if text is not None:
                who, number = sender(text)
                count += number < newest.get(who, "")
                newest[who] = max(number, newest.get(who, ""))
        return count


class Account:
    """One reader's place, and what it was told.

    Attributes:
        place: where it stands.
    """

    def __init__(self, ledger: "Ledger", place: Place) -> None:
        self.place = place
        self.delivered = 0
        self.lost = 0
        self.resets: list[tuple[Place, str]] = []
        """Its place before each reset, and the epoch that it came to."""
        self.gaps = 0
        """Messages left out without a word."""
        self.repeated = 0
        """Messages given to it again."""
        self._ledger = ledger

    def give(self, epoch: str, first: int, messages: Sequence[str], *, lost: int = 0, reset: bool = False) -> None:
        """It was given `messages`, the first of them at offset `first` of `epoch`, and told what was lost before."""
        if reset or epoch != self.place.epoch:
            # A new life that nobody told of is a gap of unknown size; it counts as one, which is enough to fail.
            self.gaps += not reset
            self.moved(epoch)
        expected = self.place.offset + lost + 1
        self.gaps += max(0, first - expected)
        self.repeated += max(0, min(expected - first, len(messages)))
        self.lost += lost
        self.delivered += len(messages)
        self.place = Place(epoch, max(first + len(messages) - 1, self.place.offset))
        self._ledger.life(epoch).give(first, messages)

    def moved(self, epoch: str) -> None:
        """It was told that its place is of another life than `epoch`, and stands before the first message of that."""
        self.resets.append((self.place, epoch))
        self.place = Place(epoch, 0)

    def left(self) -> Iterable[tuple[str, int]]:
        """The lives that it was moved out of, and those that it missed as a whole; and its places there."""
        if self.resets:
            places = {place.epoch: place.offset for place, _ in self.resets}
            for epoch in self._ledger.lives:
                if epoch != self.place.epoch:
                    yield epoch, places.get(epoch, 0)


class Ledger:
    """All lives of one topic, and its readers' accounts."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        """By epoch, in the order in which they were heard of."""
        self.accounts: list[Account] = []

    def life(self, epoch: str) -> Life:
        """The life with this epoch."""
        return self.lives.get(epoch) or self.lives.setdefault(epoch, Life())

    def open(self, place: Place) -> Account:
        """A reader begins at this place."""
        account = Account(self, place)
        self.accounts.append(account)
        return account

    def promise(self, place: Place, text: str) -> None:
        """A publisher was told that its message stands at this place."""
        self.life(place.epoch).promised.append((place.offset, text))

    def settled(self) -> bool:
        """Whether every reader stands in the newest life and has all that was acknowledged there."""
        if not self.lives:
            return True
        epoch, life = next(reversed(self.lives.items()))
        newest = max((offset for offset, _ in life.promised), default=0)
        return all(account.place.epoch == epoch and account.place.offset >= newest for account in self.accounts)

    def totals(self) -> dict[str, int]:
        """What the figures of a fault tell, by name."""
        return {
            "acknowledged": sum(len(life.promised) for life in self.lives.values()),
            "delivered": sum(account.delivered for account in self.accounts),
            "lost": sum(account.lost for account in self.accounts),
            "reset": sum(len(account.resets) for account in self.accounts),
            "gone": self.gone(),
            "silent": self.silent(),
            "doubled": self._sum(Life.doubled) + sum(account.repeated for account in self.accounts),
            "doubled_over_reset": self._doubled_over_reset(),
            "swapped": self._sum(Life.swapped) + sum(life.conflicts for life in self.lives.values()),
        }

    def gone(self) -> int:
        """What was acknowledged in lives that readers were moved out of, and not given since, each reader counted.

        A new life may begin with messages of the one before; they are not gone.
        """
        counts: dict[tuple[str, int], int] = {}
        total = 0
        for account in self.accounts:
            given = set(self.life(account.place.epoch).seen)
            for epoch, offset in account.left():
                if (epoch, offset) not in counts:
                    missing = self.lives[epoch].missing(offset)
                    counts[epoch, offset] = sum(text not in given for text in missing)
                total += counts[epoch, offset]
        return total

    def silent(self) -> int:
        """What was acknowledged, and neither given nor told of, each reader counted."""
        counts: dict[Place, int] = {}
        for place in {account.place for account in self.accounts}:
            counts[place] = len(self.life(place.epoch).missing(place.offset))
        return sum(account.gaps + counts[account.place] for account in self.accounts)

    def _sum(self, count: Callable[[Life], int]) -> int:
        return sum(count(life) for life in self.lives.values())

    def _doubled_over_reset(self) -> int:
        texts = list(_texts(self.lives.values()))
        return len(texts) - len(set(texts)) - self._sum(Life.doubled)


def _texts(lives: Iterable[Life]) -> Iterable[str]:
    return (text for life in lives for text in life.seen if text is not None)
