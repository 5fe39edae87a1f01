"""Checking a long message a portion at a time, so that nobody waits for all of it.

The rules of this file:

* The texts that `check_json` takes are taken, and no others, wherever the text is cut.
* A portion is made a JSON text of its own: what stands before it is as short as leaves the decoder in the state in
  which the text before the cut would have left it, and what stands behind it ends whatever is open there.
* It is cut behind a comma that stands in no string; within a string if that is longer than a portion, and there
  between two characters. Digits and white space can be cut in neither way, and make the portion longer.
* Brackets and quotes are counted by their bytes, as they are in JSON. In what is none the decoder finds the mistake
  before the cut, so what was counted does not matter.
"""

from typing import Final

from slosh.errors import BadJson
from slosh.web.jsontext import (
    OCTET,
    WHITE_SPACE,
    as_octets,
    check_portion,
    check_utf8,
    climb,
    deepest,
    find_brackets,
    indent_of,
    too_deep,
)

LONG: Final = 256 * 1024
"""Bytes of the longest text that is checked in one turn, which takes a millisecond, or some for many brackets."""
PORTION: Final = 128 * 1024
"""Bytes of a longer one that are checked in one turn."""

_LONGEST_ESCAPE: Final = 12
"""Bytes of an escaped character, of two halves (RFC 8259 §7)."""
_LONGEST_CHARACTER: Final = 4
"""Bytes of a character in UTF-8."""
_PASSES: Final = 4
"""How often brackets side by side are dropped before those that are left are looked at one by one."""
_QUOTE: Final = b'"'
_ARRAY, _OBJECT = b"[{"


class LongText:
    """A text that is being checked.

    Args:
        text: as it came.
        max_depth: as `check_json` has it.
        portion: bytes that are checked in one turn.
        before: bytes that stand before it in a larger text, whose positions are told.

    Raises:
        BadJson: it is empty.

    Attributes:
        value: without the white space around it; it may be used once all is checked.
    """

    __slots__ = ("_at", "_before", "_depth", "_in_key", "_in_string", "_max_depth", "_open", "_portion", "value")

    def __init__(self, text: bytes, max_depth: int, portion: int = PORTION, before: int = 0) -> None:
        self.value = text.strip(WHITE_SPACE)
        self._before = before + indent_of(text)
        self._max_depth = max_depth
        self._portion = portion
        self._at = 0  # where the next portion begins
        self._open = bytearray()  # the brackets that are open there
        self._in_string = False  # whether a string is
        self._in_key = False  # and is a member's name
        if not self.value:
            raise BadJson("The body is empty; a message is one JSON value, for instance null.", 0)

    def go_on(self) -> bool:
        """Check a portion. True once all is checked.

        Raises:
            BadJson: it is no JSON text in UTF-8, or too deep.
        """
        value, at = self.value, self._at
        size = self._portion
        head = self._beginning()
        while True:
            piece = value[at : at + size]
            is_last = at + size >= len(value)
            clean = blank(piece)
            cut = len(piece) if is_last else self._find_cut(clean)
            if cut:
                break
            size *= 2
        if cut < len(piece):
            piece, clean = piece[:cut], clean[:cut]
        if not piece.isascii():
            self._check_utf8(piece)
        brackets = find_brackets(_QUOTE + clean if self._in_string else clean)
        if len(brackets) + len(self._open) > self._max_depth < deepest(brackets) + len(self._open):
            raise too_deep(self._max_depth, self._before)
        tail = b"" if is_last else self._follow(clean, brackets)
        check_portion(head + piece + tail, value, at - len(head), self._before, self._max_depth)
        self._at = at + cut
        return is_last

    def _check_utf8(self, piece: bytes) -> None:
        before = self._before + self._at
        try:
            check_utf8(piece, before)
        except BadJson:
            check_utf8(self.value[self._at : self._at + len(piece) + 1], before)  # One byte more says why.
            raise

    def _beginning(self) -> bytes:
        """What stands before a portion that begins here."""
        if not self._at:
            return b""
        outer = b"".join(
            [b"[" if bracket == _ARRAY else b'{"":' for bracket in bytes(self._open[:-1])]
        )  # mypyc 2.4 takes no bytearray there
        if not self._open:
            return _QUOTE if self._in_string else b""
        if self._open[-1] == _ARRAY:
            return outer + (b'[0,"' if self._in_string else b"[0,")
        if not self._in_string:
            return outer + b'{"":0,'
        return outer + (b'{"":0,"' if self._in_key else b'{"":"')

    def _find_cut(self, clean: bytes) -> int:
        """Where a portion ends that begins so, less escaped backslashes and quotes; 0 if it has to be longer."""
        is_inside = bool((clean.count(_QUOTE) + self._in_string) % 2)
        end, ends_inside = len(clean), is_inside
        while (comma := clean.rfind(b",", 0, end)) >= 0:
            if bool(clean.count(_QUOTE, comma, end) % 2) == ends_inside:
                return comma + 1
            end, ends_inside = clean.rfind(_QUOTE, 0, comma), False
            if end < 0:
                break
        if not is_inside:
            return 0
        # Within the string that is open at the end.
        cut = len(clean)
        escape = clean.find(b"\\", max(0, cut - _LONGEST_ESCAPE))
        if escape >= 0:
            cut = escape
        for _ in range(_LONGEST_CHARACTER):
            cut -= 0x80 <= self.value[self._at + cut] < 0xC0
        return cut if cut > clean.rfind(_QUOTE) + 1 else 0

    def _follow(self, clean: bytes, brackets: bytes) -> bytes:
        """Go on to the end of a portion, and give what ends the text there."""
        for _ in range(_PASSES):
            brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        closed, opened = find_open(brackets)
        self._open = self._open[: max(0, len(self._open) - closed)] + opened
        self._in_string = bool((clean.count(_QUOTE) + self._in_string) % 2)
        innermost = self._open[-1] if self._open else 0
        tail = b"".join([b"]" if bracket == _ARRAY else b"}" for bracket in reversed(self._open)])
        if not self._in_string:
            return (b"0" if innermost == _ARRAY else b'"":0' if innermost else b"") + tail
        begins = clean.rfind(_QUOTE)
        if begins >= 0:  # else it is the one of before
            self._in_key = innermost == _OBJECT and clean[:begins].rstrip(WHITE_SPACE)[-1:] != b":"
        return (b'":0' if self._in_key else b'"') + tail


def find_open(brackets: bytes) -> tuple[int, bytearray]:
    """How many that were open before `brackets` are closed by them, and those of them that stay open.

    Of eight brackets it is known how many they close and leave open; that one closes its own kind is not looked at.
    """
    padding = -len(brackets) % OCTET
    brackets = b"]" * padding + brackets
    opened = bytearray()
    closing, at = 0, len(brackets)  # what closes, behind the place
    for octet in reversed(as_octets(brackets)):
        at -= OCTET
        closes, opens = _BALANCES[octet]
        if closing >= opens:
            closing += closes - opens
            continue
        for bracket in reversed(brackets[at : at + OCTET]):
            if bracket not in b"[{":
                closing += 1
            elif closing:
                closing -= 1
            else:
                opened.append(bracket)
    opened.reverse()
    return closing - padding, opened


def _balance(octet: int) -> tuple[int, int]:
    """How many brackets an octet closes that were open before, and how many it leaves open."""
    depths = climb(octet)
    closes = max(0, -min(depths))
    return closes, depths[-1] + closes


_BALANCES: Final = [_balance(octet) for octet in range(256)]


def blank(piece: bytes) -> bytes:
    """The same piece, with other bytes in place of backslashes and quotes that are escaped."""
    return piece.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in piece else piece
