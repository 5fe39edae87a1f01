"""The bound on the memory of all rings and histories of a process, and each client's share of it."""

from typing import Final, Generic, TypeVar

T = TypeVar("T")


class Account:
    """A count of bytes that is kept up to date, so that it never has to be added up.

    Attributes:
        held: bytes in use now. Rings also change it directly.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0

    def take(self, size: int) -> bool:
        """Reserve `size` bytes, which `give_back` returns; False if there are not enough."""
        raise NotImplementedError

    def give_back(self, size: int) -> None:
        """Return `size` bytes that were reserved."""
        raise NotImplementedError


class Budget(Account):
    """The total: how much may be held, and how much is.

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
    """The topics that one client created, and the memory that they take. It may use all memory that no other needs.

    Args:
        budget: the total.
        opener: the client; empty for all clients without an address together.

    Attributes:
        opener: as above.
        topics: the topics that it created.
        coming: further topics that count for it: the store has still to create them, or only the store holds them.
    """

    __slots__ = ("_budget", "coming", "opener", "topics")

    def __init__(self, budget: Budget, opener: str) -> None:
        super().__init__()
        self._budget = budget
        self.opener = opener
        self.topics: dict[T, None] = {}
        self.coming = 0

    def take(self, size: int) -> bool:
        """As the base says; the whole budget must have enough."""
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
        """The number of topics that count for the client."""
        return len(self.topics) + self.coming


class Shares(Generic[T]):
    """The shares of all clients that have topics.

    Args:
        budget: the total.

    Attributes:
        by_opener: each share, by its client.
    """

    __slots__ = ("_budget", "by_opener")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.by_opener: dict[str, Share[T]] = {}

    def of(self, opener: str) -> Share[T]:
        """The share of `opener`, created if there is none. Call `tidy` if no topic is counted for it afterwards."""
        share = self.by_opener.get(opener)
        if share is None:
            share = self.by_opener[opener] = Share(self._budget, opener)
        return share

    def tidy(self, share: Share[T]) -> None:
        """Forget `share` if it has no topics any more."""
        if not share.count:
            self.by_opener.pop(share.opener, None)

    def count_of(self, opener: str) -> int:
        """The number of topics that count for `opener`."""
        share = self.by_opener.get(opener)
        return share.count if share is not None else 0

    def expect_topic(self, opener: str) -> None:
        """Count a topic for `opener` that a store is about to create. The caller must call `forget_topic`.

        With an empty `opener` nothing is counted.
        """
        if opener:
            self.of(opener).coming += 1

    def forget_topic(self, opener: str) -> None:
        """Stop counting that topic: either this hub holds it now, which counts by itself, or it was not created."""
        if opener:
            share = self.of(opener)
            share.coming -= 1
            self.tidy(share)


NO_BUDGET: Final = Budget(1 << 60)
"""For topics that no hub holds."""
