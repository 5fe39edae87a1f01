"""What a client accepts, with its weights (RFC 9110 §12.4.2, §12.5.1)."""

import re
from typing import Final

from slosh.http1.head import Head

_MEMBERS: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""The members of a list: a comma within quotes separates nothing."""
_WEIGHT: Final = re.compile(r";[ \t]*q[ \t]*=[ \t]*([0-9]{1,3}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})[ \t]*(?:;|$)")


class Accept:
    """The `Accept` fields of a request.

    Attributes:
        is_there: whether the request has any.
    """

    __slots__ = ("_weights", "is_there")

    def __init__(self, head: Head) -> None:
        values = head.all(b"accept")
        self.is_there = bool(values)
        self._weights: dict[str, float] = {}  # of each media range, in their order; of one that comes twice the best
        if not values:
            return
        for member in _MEMBERS.findall(b",".join(values).decode("latin-1").lower()):
            kind = member.partition(";")[0].strip(" \t")
            found = _WEIGHT.search(member)
            # A weight that is none is passed over, and so is the part of a range that is no weight.
            weight = min(float(found[1]), 1.0) if found else 1.0
            if "/" in kind:
                self._weights[kind] = max(weight, self._weights.get(kind, 0.0))

    def names(self, kind: str) -> bool:
        """Whether `kind` stands there itself, and not only within a range of kinds."""
        return kind in self._weights

    def position(self, kind: str) -> int:
        """Before how many others it stands there; for kinds that are named."""
        return -list(self._weights).index(kind)

    def weight(self, kind: str) -> float:
        """How much `kind` is wanted, 0 to 1: 0 is not at all. The most specific range counts."""
        if not self._weights:
            return 1.0
        for wanted in (kind, kind.partition("/")[0] + "/*", "*/*"):
            if wanted in self._weights:
                return self._weights[wanted]
        return 0.0


def takes_coding(head: Head, coding: str) -> bool:
    """Whether a client takes a content coding: it names it, or any, and not with the weight 0 (RFC 9110 §12.5.3)."""
    weights: dict[str, float] = {}
    for member in _MEMBERS.findall(b",".join(head.all(b"accept-encoding")).decode("latin-1").lower()):
        found = _WEIGHT.search(member)
        weights[member.partition(";")[0].strip(" \t")] = float(found[1]) if found else 1.0
    return weights.get(coding, weights.get("*", 0.0)) > 0
