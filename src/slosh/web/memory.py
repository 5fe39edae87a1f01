"""Heads that were judged already, so that the same bytes need not be judged again."""

from hashlib import blake2b
from typing import Final

from slosh.web.action import Action
from slosh.web.head import Head

GENERATION: Final = 8 * 1024 * 1024
"""Bytes of each of the two generations of heads that are remembered, with all that is made of them. Only clients whose
heads are all different fill them."""
HEAVIEST: Final = 24 * 1024
"""Bytes that a head may take with what is made of it. A heavier one is not remembered, nor kept by a connection that is
idle: it is parsed each time."""

_KNOWN: Final = 3600
"""Bytes of what is made of any head: objects of fixed size."""
_COPIES: Final = 6
"""Bytes in memory for each byte of a head: it stands in several texts."""
_FIELD: Final = 150
"""Bytes of objects for each header field."""
_PART: Final = 300
"""Bytes of objects for each parameter of a query, and for each name or place in a list."""


_END: Final = b"\r\n\r\n"


class Known:
    """A head that was judged, and what is done for it.

    Attributes:
        block: its bytes without the part that changes (see `Application.split`).
        head: for any such part.
        action: for the part that it had when it was judged; `action.run_with` runs it for another.
        start: where that part stood, 0 for none.
        weight: bytes that all of it takes in memory, rather too many than too few.
    """

    __slots__ = ("_after", "_before", "action", "block", "head", "start", "weight")

    def __init__(self, block: bytes, head: Head, action: Action, start: int = 0) -> None:
        self.block = block
        self.head = head
        self.action = action
        self.start = start
        self._before = block[:start]
        self._after = block[start:] + _END if start else b""
        parts = head.query.count("&") + head.query.count(",") + head.path.count(",")
        self.weight = _KNOWN + _COPIES * len(block) + _FIELD * head.count_fields() + _PART * parts

    def read(self, data: bytes, end: int) -> object | None:
        """What the changing part says in a head like this one that is all of `data` up to `end`.

        None where it differs elsewhere, or the action does not understand it: until then what stands there may be
        anything, also the end of that head and the beginning of another.
        """
        start = self.start
        stop = end - len(self._after)
        if 0 < start < stop and data.startswith(self._before) and data[stop:end] == self._after:
            return self.action.understand(data[start:stop])
        return None


class Latest:
    """The head that came last, whole, and what is done for exactly that head. Written over by the next.

    Attributes:
        block: its bytes.
        head: what they mean.
        action: what is done for it.
        said: what its changing part says, for `action.run_with`; None where the action was decided for that part.
    """

    __slots__ = ("action", "block", "head", "said")

    def __init__(self, head: Head, action: Action) -> None:
        self.block = b""
        self.head = head
        self.action = action
        self.said: object | None = None

    def become(self, block: bytes, known: Known, said: object | None) -> None:
        """From now on it is `block`, of which `known` tells what it means."""
        self.block = block
        self.head = known.head
        self.action = known.action
        self.said = said


def leave_out(block: bytes, start: int, end: int) -> bytes:
    """A head without its part from `start` to `end`, and without the empty line at its end.

    So it is none, and never taken for a head in which nothing stands at that place.
    """
    return block[:start] + block[end : -len(_END)]


_DIGEST: Final = 20
"""Bytes: enough that nobody finds two texts with the same one."""


class Texts:
    """Texts of which equal ones are given as one object, so that they are compared at once.

    A digest stands for each, so a long one takes no more memory than a short one. The oldest are forgotten; two that
    are equal may then be two objects for a while. `sys.intern` has no such bound in Python 3.12, where it keeps for
    ever what it was given.

    Attributes:
        most: how many are remembered.
    """

    __slots__ = ("_texts", "most")

    def __init__(self, most: int) -> None:
        self._texts: dict[str, str] = {}
        self.most = most

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._texts)

    def find(self, text: str) -> str:
        """The object for `text`: the same for equal texts, and different for others."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
        found = self._texts.setdefault(digest, digest)
        if len(self._texts) > self.most:
            del self._texts[next(iter(self._texts))]
        return found


class HeadMemory:
    """What is known of heads, by their bytes; the least recently used are forgotten.

    Two generations instead of a list in order of use: a hit in the young one costs a single look-up.

    Attributes:
        weight: bytes of the young generation.
    """

    __slots__ = ("_old", "_young", "weight")

    def __init__(self) -> None:
        self._young: dict[bytes, Known] = {}
        self._old: dict[bytes, Known] = {}
        self.weight = 0

    def __len__(self) -> int:
        """How many are remembered; those that were used of late count twice."""
        return len(self._young) + len(self._old)

    def recall(self, block: bytes) -> Known | None:
        """What was remembered for exactly these bytes, or None."""
        known = self._young.get(block)
        if known is None:
            known = self._old.get(block)
            if known is not None:
                self.remember(known)
        return known

    def remember(self, known: Known) -> None:
        """Keep `known` for the next time that its bytes come."""
        if known.weight > HEAVIEST:
            return
        if self.weight + known.weight > GENERATION:
            self._old = self._young
            self._young = {}
            self.weight = 0
        if known.block not in self._young:
            self.weight += known.weight
        self._young[known.block] = known
