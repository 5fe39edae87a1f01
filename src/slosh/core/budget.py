"""The bound over everything: what all rings and histories of a process take together, and how much each client has."""

from typing import Final, Generic, TypeVar

T = TypeVar("T")


class Account:
    """Bytes that are counted as they change, never added up.

    Attributes:
        held: bytes that are taken now. A ring that takes or frees some changes it.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0

    def take(self, size: int) -> bool:
        """Take this many bytes, to be given back by `give_back`; False if there are not this many."""
        raise NotImplementedError

    def give_back(self, size: int) -> None:
        """Give back this many bytes that were taken."""
        raise NotImplementedError


class Budget(Account):
    """How much may be held, and is.

    Args:
        most: bytes that all rings and histories take at most.

    Attributes:
        most: as above.
    """

    __slots__ = ("most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def take(self, size: int) -> bool:
        """As the base says."""
        if self.held + size > self.most:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """As the base says."""
        self.held -= size


class Share(Account, Generic[T]):
    """What one client has created, and what of the budget that holds. It may hold all that nobody else wants.

    Args:
        budget: of which it is a part.
        opener: the client; empty for all those together whom nothing tells apart.

    Attributes:
        opener: as above.
        topics: that it created.
        coming: how many more it is about to create: a store has still to answer, or holds them alone.
    """

    __slots__ = ("_budget", "coming", "opener", "topics")

    def __init__(self, budget: Budget, opener: str) -> None:
        super().__init__()
        self._budget = budget
        self.opener = opener
        self.topics: dict[T, None] = {}
        self.coming = 0

    def take(self, size: int) -> bool:
        """As the base says; of the whole budget there must be this many."""
        if not self._budget.take(size):
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """As the base says."""
        self._budget.held -= size
        self.held -= size

    @property
    def count(self) -> int:
        """How many topics count for the client."""
        return len(self.topics) + self.coming


class Shares(Generic[T]):
    """The shares of all clients for which something counts, and that of all those together whom nothing tells apart.

    Args:
        budget: of which they are parts.

    Attributes:
        by_opener: each share, by its client.
    """

    __slots__ = ("_budget", "by_opener")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.by_opener: dict[str, Share[T]] = {}

    def of(self, opener: str) -> Share[T]:
        """The share of `opener`, begun if there is none. Call `tidy` if nothing comes to count for it."""
        share = self.by_opener.get(opener)
        if share is None:
            share = self.by_opener[opener] = Share(self._budget, opener)
        return share

    def tidy(self, share: Share[T]) -> None:
        """Forget `share` if nothing counts for it any more."""
        if not share.count:
            self.by_opener.pop(share.opener, None)

    def count_of(self, opener: str) -> int:
        """How many topics count for `opener`."""
        share = self.by_opener.get(opener)
        return share.count if share is not None else 0

    def expect_topic(self, opener: str) -> None:
        """Count a topic for `opener` that a store is about to create. The caller must call `forget_topic`.

        For nobody, an empty text, nothing is counted.
        """
        if opener:
            self.of(opener).coming += 1

    def forget_topic(self, opener: str) -> None:
        """Count that topic no more: it lives here now, and counts by itself, or it does not live."""
        if opener:
            share = self.of(opener)
            share.coming -= 1
            self.tidy(share)


NO_BUDGET: Final = Budget(1 << 60)
"""Of topics that no hub holds."""
