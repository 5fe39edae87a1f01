"""A cache of parsed heads, so that the action for a request need not be chosen again.

The rules of this file:

* The action depends only on what a head asks for (`find_meaning`): its request line, and the fields that `fields.READ`
  lists. An action that was chosen once serves every head that asks for the same, however its other fields differ. The
  values of the fields in `fields.LATE` are read when the action runs.
* A head is scanned from its first byte to its last, unless it equals, byte for byte, the last head of any connection
  or the last one of this connection.
* In both cases one variable part may differ: a reader's place, or a topic's name. `Application.split` finds that part
  with a pattern so narrow that no byte in it changes how the rest is read, and `Action.understand` must accept it.
* Beside it one late part may differ, which `Application.split_late` finds: like the fields in `LATE`, it is read when
  the action runs.
* Every head is compared with `max_head` by `is_too_long`, and every body with its action's `max_body` by `bodies.fits`,
  whether or not the head is cached: a head cached under one bound must not bypass another.
* The cache is bounded in bytes, including the objects made from each head.
"""

from hashlib import blake2b
from typing import Final

from slosh.errors import HeadTooLarge, InternalError
from slosh.http1.bodies import fits
from slosh.http1.fields import are_equal, scan
from slosh.http1.handler import Action, Application
from slosh.http1.head import Head, hopeless, is_hopeless, parse_head
from slosh.http1.state import ServerState
from slosh.settings import Settings

GENERATION: Final = 8 * 1024 * 1024
"""Bytes of each of the two generations of cached heads, with the objects made from them. Only clients whose heads all
differ fill them."""
HEAVIEST: Final = 24 * 1024
"""Bytes that a head may take with the objects made from it. A heavier one is cached neither here nor by an idle
connection: it is parsed each time."""

_KNOWN: Final = 2400
"""Bytes of the objects of fixed size that are made from each head."""
_COPIES: Final = 6
"""Bytes in memory for each byte of a head, which is part of several texts."""
_FIELD: Final = 150
"""Bytes of objects for each header field."""
_PART: Final = 300
"""Bytes of objects for each parameter of a query, and for each name or place in a list."""


class CachedHead:
    """A parsed head, and its action.

    Attributes:
        meaning: what it asks for, from `find_meaning`.
        asked: its fields that affect the action, as `find_meaning` takes them.
        head: the parsed head; valid for any variable part (see `Application.split`).
        action: chosen for the variable part that it had when it was parsed; `action.run_with` runs it for another.
        start: where the variable part begins, 0 for none.
        after: its bytes after the variable part; all its bytes if there is none.
        weight: bytes that it takes in memory, an upper estimate.
    """

    __slots__ = ("_before", "_line", "action", "after", "asked", "head", "meaning", "start", "weight")

    def __init__(  # noqa: PLR0913, PLR0917 - each is a part of what it holds; by position, as names cost a call more
        self,
        before: bytes,
        after: bytes,
        meaning: bytes,
        asked: list[bytes],
        head: Head,
        action: Action,
        line: bytes = b"",
        weight: int = 0,
    ) -> None:
        self._before = before
        self.after = after
        self.start = len(before)
        self.meaning = meaning
        self.asked = asked
        self.head = head
        self.action = action
        # The request line, from behind its variable part to its end.
        self._line = line or after.partition(b"\r\n")[0] + b"\r\n"
        self.weight = weight or _KNOWN + _COPIES * (len(before) + len(after)) + _weigh(head)

    def like(self, block: bytes, start: int, after: bytes, late: list[bytes], part: bytes) -> "CachedHead":
        """A copy for `block`, another head that asks for the same; `start`, `after`, `late` and `part` belong to it.

        Raises:
            BadHttp: the length of its body is not valid.
        """
        weight = self.weight + _COPIES * (start + len(after) - self.start - len(self.after))
        head = self.head.like(block, late, part)
        before, line = (self._before, self._line) if part == self.head.part else (block[:start], b"")
        return CachedHead(before, after, self.meaning, self.asked, head, self.action, line, weight)

    def find_part(self, block: bytes, line_end: int, read: list[bytes]) -> tuple[int, object | None]:
        """Where the variable part ends in a head that asks for the same, and the meaning of that part.

        (0, None) if there is no such part, (-1, None) if the head asks for something else.

        Args:
            block: the head.
            line_end: where its fields begin.
            read: its fields that affect the action.
        """
        if not are_equal(read, self.asked):
            return -1, None
        if not self.start:
            return (0 if block.startswith(self._line) else -1), None
        end = line_end - len(self._line)
        if self.start < end and block.startswith(self._before) and block[end:line_end] == self._line:
            variable = self.action.understand(block[self.start : end])
            if variable is not None:
                return end, variable
        return -1, None

    def read(self, data: bytes, end: int) -> object | None:
        """The meaning of the variable part in `data[:end]`, if that is this head with another variable part.

        None if it differs elsewhere, or the action does not understand the part. Until the action has accepted it, the
        part may be anything, even the end of one head and the beginning of another.
        """
        start = self.start
        stop = end - len(self.after)
        if not (0 < start < stop and data.startswith(self._before)):
            return None
        # A head without a body, such as a poll's, is compared in place.
        is_like = data.endswith(self.after) if end == len(data) else data[stop:end] == self.after
        return self.action.understand(data[start:stop]) if is_like else None


def _weigh(head: Head) -> int:
    """Bytes of the objects made from a head's fields, and from the parts of its query and path."""
    parts = head.query.count("&") + head.query.count(",") + head.path.count(",")
    return _FIELD * head.count_fields() + _PART * parts


class LastHead:
    """The last head of any connection, and its action. Overwritten by the next head.

    Attributes:
        block: its bytes.
        head: parsed.
        action: of exactly this head.
        variable: the meaning of its variable part, for `action.run_with`; None if the action was chosen for that part.
    """

    __slots__ = ("action", "block", "head", "variable")

    def __init__(self, head: Head, action: Action) -> None:
        self.block = b""
        self.head = head
        self.action = action
        self.variable: object | None = None

    def set(self, block: bytes, known: CachedHead, variable: object | None) -> None:
        """Make `block` the last head; `known` is the cache entry for it."""
        self.block = block
        self.head = known.head
        self.action = known.action
        self.variable = variable


def find_meaning(
    block: bytes, line_end: int, start: int, end: int, read: list[bytes], late_start: int = 0, late_end: int = 0
) -> bytes:
    """What a head asks for: its request line without its variable and its late part, and the fields `read`.

    The parts are joined by line feeds, which none of them contains, so heads that differ in a part get different keys.

    Args:
        block: the head.
        line_end: where its fields begin.
        start: where the variable part begins,
        end: and where it ends, 0 for none.
        read: its fields that affect the action.
        late_start: where the late part begins,
        late_end: and where it ends, 0 for none.
    """
    if not end:
        return b"\n".join([block[: line_end - 2], *read])
    if not late_end:
        return b"\n".join([block[:start], block[end : line_end - 2], b"", *read])
    if late_end <= start:
        return b"\n".join([block[:late_start], block[late_end:start], block[end : line_end - 2], b"", b"", *read])
    return b"\n".join([block[:start], block[end:late_start], block[late_end : line_end - 2], b"", b"", b"", *read])


_DIGEST: Final = 20
"""Bytes of a digest: enough that two texts with the same digest cannot be found."""


class InternTable:
    """Gives equal texts the same object, so that they can be compared by identity.

    The object is a digest, so a long text takes no more memory than a short one. The oldest are forgotten; two equal
    texts may then get two objects for a while. `sys.intern` does not do: in Python 3.12 it keeps every text for ever.

    Attributes:
        most: how many texts are remembered.
    """

    __slots__ = ("_texts", "most")

    def __init__(self, most: int) -> None:
        self._texts: dict[str, str] = {}
        self.most = most

    def __len__(self) -> int:
        """How many texts are remembered."""
        return len(self._texts)

    def find(self, text: str) -> str:
        """The object for `text`: the same for equal texts, and different for others."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
        found = self._texts.setdefault(digest, digest)
        if len(self._texts) > self.most:
            del self._texts[next(iter(self._texts))]
        return found


class HeadMemory:
    """Cached heads, by what they ask for; the least recently used are forgotten.

    Two generations instead of a list in order of use: a hit in the young one costs a single look-up.

    Attributes:
        weight: bytes of the young generation.
    """

    __slots__ = ("_old", "_young", "weight")

    def __init__(self) -> None:
        self._young: dict[bytes, CachedHead] = {}
        self._old: dict[bytes, CachedHead] = {}
        self.weight = 0

    def __len__(self) -> int:
        """How many are remembered; those that were used recently count twice."""
        return len(self._young) + len(self._old)

    def recall(self, meaning: bytes) -> CachedHead | None:
        """The cached head with this meaning, or None."""
        known = self._young.get(meaning)
        if known is None:
            known = self._old.get(meaning)
            if known is not None:
                self.remember(known)
        return known

    def remember(self, known: CachedHead) -> None:
        """Keep `known` for the next head that asks for the same."""
        if known.weight > HEAVIEST:
            return
        if self.weight + known.weight > GENERATION:
            self._old = self._young
            self._young = {}
            self.weight = 0
        if known.meaning not in self._young:
            self.weight += known.weight
        self._young[known.meaning] = known


class Heads:
    """The cached heads of a server.

    Args:
        application: chooses the action for a head.
        settings: the bounds.

    Attributes:
        latest: the last head of any connection. Readers at one place send equal heads in a row, so this one is compared
            first.
    """

    __slots__ = ("_max_fields", "_max_head", "application", "latest", "memory")

    def __init__(self, application: Application, settings: Settings) -> None:
        self.application = application
        self.memory = HeadMemory()
        self.latest = LastHead(Head(b"", "GET", "/", "", 1, [], []), Action())
        self._max_head = settings.max_head
        self._max_fields = settings.max_fields

    def forget(self, server: ServerState) -> None:
        """Empty the cache, because the application would choose other actions now."""
        self.memory = HeadMemory()
        self.latest = LastHead(Head(b"", "GET", "/", "", 1, [], []), Action())
        for connection in server.connections:
            connection.forget_head()

    def is_too_long(self, length: int) -> bool:
        """Whether a head of `length` bytes, with its empty line, is beyond `max_head`."""
        return length > self._max_head

    def check_size(self, data: bytes) -> None:
        """Refuse a head, or the beginning of one, that cannot become valid.

        The checks have the same order for both, so the answer does not depend on how a head was split into packets.

        Raises:
            BadHttp: it cannot become a valid head.
            HeadTooLarge: it is longer than `max_head`.
        """
        if is_hopeless(data):
            raise hopeless(data)
        if self.is_too_long(len(data)):
            raise HeadTooLarge(f"Request line and headers have at most {self._max_head} bytes (max_head).")

    def find_usual(self, data: bytes, known: CachedHead | None) -> int:
        """Find where the body begins, if `data` is exactly one request whose head is cached; set `latest` to it.

        Its head must equal the last head of any connection, or equal `known` except for the variable part.

        Args:
            known: the last head on this connection.

        Returns:
            0 if `data` is anything else: read it step by step.
        """
        latest = self.latest
        length = latest.head.length
        end = len(data) - length
        # The length is compared first: it differs for most other heads, and their bytes need not be compared.
        if length >= 0 and end == len(latest.block) and data.startswith(latest.block):
            return end if fits(length, latest.action.max_body) else 0
        if known is None:
            return 0
        length = known.head.length
        end = len(data) - length
        # A negative length means a body in chunks, whose end is not known from the head.
        if length < 0 or not fits(length, known.action.max_body) or self.is_too_long(end):
            return 0
        variable = known.read(data, end)
        if variable is None:
            return 0
        latest.set(data[:end], known, variable)
        return end

    def look_up(self, block: bytes, known: CachedHead | None) -> CachedHead | None:
        """Set `latest` to a head, from the cache or by parsing it.

        Args:
            block: the head, from the request line to the empty line.
            known: the last head on this connection.

        Returns:
            The value to pass as `known` with the next head on this connection.

        Raises:
            SloshError: the head is not valid; answer with the error, and close the connection.
        """
        latest = self.latest
        variable: object | None = None
        is_short = not self.is_too_long(len(block))
        if known is not None and is_short:
            variable = known.read(block, len(block))
            if variable is not None:
                latest.set(block, known, variable)
                return known
        read: list[bytes] = []
        late: list[bytes] = []
        line_end = scan(block, self._max_fields, read, late) if is_short else 0
        if not line_end:
            self._parse(block)  # It raises, and says why the head is refused.
            raise InternalError
        if self.application.reads_cookies:
            read += self.application.pick_cookies(late)
        # Heads on one connection mostly ask for the same, so the last one is compared before the cache is searched.
        found: CachedHead | None = known
        part = known.head.part if known is not None else b""
        end, variable = known.find_part(block, line_end, read) if known is not None else (-1, None)
        if found is not None and end >= 0:
            start, meaning = found.start, found.meaning
        else:
            start, end = self.application.split(block)
            late_start, late_end = self.application.split_late(block) if end else (0, 0)
            part = block[late_start:late_end]
            meaning = find_meaning(block, line_end, start, end, read, late_start, late_end)
            found = self.memory.recall(meaning)
            if found is not None and end:
                variable = found.action.understand(block[start:end])
        after = block[end:] if end else block
        if found is None or (end and variable is None):
            found = CachedHead(block[:start], after, meaning, read, *self._parse(block))
            found.head.part = part
            self.memory.remember(found)
        elif found.after != after or found.head.part != part:
            found = found.like(block, start, after, late, part)
        latest.set(block, found, variable)
        return found if found.weight <= HEAVIEST else None  # An idle connection keeps it.

    def _parse(self, block: bytes) -> tuple[Head, Action]:
        """Parse a head, and choose its action."""
        if self.is_too_long(len(block)):
            self.check_size(block)
        head = parse_head(block, self._max_fields)
        return head, self.application.route(head)
