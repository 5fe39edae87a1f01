"""Heads that were judged already, so that the same bytes need not be judged again."""

from typing import Final

from slosh.web.action import Action
from slosh.web.head import Head

_GENERATION: Final = 2048
"""Heads in each of the two generations that are remembered."""
_LONGEST: Final = 2048
"""Bytes of the longest head that is remembered. With what is made of each, that bounds the memory to about 24 MiB,
which only as many clients as there are places, all different, can bring about."""


_END: Final = b"\r\n\r\n"


class Known:
    """A head that was judged, and what is done for it.

    Attributes:
        block: its bytes without the part that changes (see `Application.split`).
        head: for any such part.
        action: for the part that it had when it was judged; `action.run_with` runs it for another.
        start: where that part stood, 0 for none.
    """

    __slots__ = ("_after", "_before", "action", "block", "head", "start")

    def __init__(self, block: bytes, head: Head, action: Action, start: int = 0) -> None:
        self.block = block
        self.head = head
        self.action = action
        self.start = start
        self._before = block[:start]
        self._after = block[start:] + _END if start else b""

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


class Texts:
    """Texts of which equal ones are given as one object, so that they are compared at once.

    The oldest are forgotten; two that are equal may then be two objects for a while. `sys.intern` has no such bound in
    Python 3.12, where it keeps for ever what it was given.

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
        """The object for `text`."""
        found = self._texts.setdefault(text, text)
        if len(self._texts) > self.most:
            del self._texts[next(iter(self._texts))]
        return found


class HeadMemory:
    """What is known of heads, by their bytes; the least recently used are forgotten.

    Two generations instead of a list in order of use: a hit in the young one costs a single look-up.
    """

    __slots__ = ("_old", "_young")

    def __init__(self) -> None:
        self._young: dict[bytes, Known] = {}
        self._old: dict[bytes, Known] = {}

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
        if len(known.block) > _LONGEST:
            return
        if len(self._young) >= _GENERATION:
            self._old = self._young
            self._young = {}
        self._young[known.block] = known
