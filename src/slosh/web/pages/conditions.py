"""Whether a client has a file already, which one it means, and what part of it it wants (RFC 9110 §13, §14).

The rules of this file:

* A validator tells two contents apart, or there is none (RFC 9110 §8.8.1): the entity tag has what the system itself
  changes with each write, and a file that changed a moment ago, which may change again unseen, has no validator.
* A field that is not understood is ignored, and the whole file is given.

There is a library for static files, but it takes a single byte for no range, numbers with underscores for numbers, and
knows neither `If-Range` nor lists of entity tags.
"""

import os
import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from typing import Final

from slosh.errors import RangeNotSatisfiable
from slosh.http1.head import Head
from slosh.http1.response import field

_ALL_BITS: Final = 2**64 - 1

_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)
_TAGS: Final = re.compile(r'(W/)?("[!#-~\x80-\xff]*")')


_TICK: Final = 0.05
"""Seconds within which two changes of a file may bear the same time: Linux stamps files by its timer's tick."""
_COARSE_TICK: Final = 2.0
"""The same on a file system that counts whole seconds, or two as FAT does."""


class Version:
    """What tells this content of a file from any other that it had or will have.

    Args:
        facts: what the system says of the file.
        now: the time by the system's clock, seconds since 1970.

    Attributes:
        tag: the entity tag, strong; empty for a file that changed a moment ago.
        modified: when its content was changed, whole seconds since 1970; never later than now (RFC 9110 §8.8.2.1).
        is_settled: whether the second of its last change is over, so that `modified` is a strong validator (§8.8.2.2).
    """

    __slots__ = ("is_settled", "modified", "tag")

    def __init__(self, facts: os.stat_result, now: float) -> None:
        is_coarse = facts.st_ctime_ns % 1_000_000_000 == 0
        age = now - facts.st_ctime  # a program can set the time of a file's content, and never this one
        has_changed_just_now = abs(age) < (_COARSE_TICK if is_coarse else _TICK)
        marks = (facts.st_ino, facts.st_ctime_ns, facts.st_mtime_ns, facts.st_size)
        self.tag = "" if has_changed_just_now else '"' + "-".join(f"{mark & _ALL_BITS:x}" for mark in marks) + '"'
        self.modified = int(min(max(facts.st_mtime, 0.0), now))
        self.is_settled = not has_changed_just_now and self.modified < int(now)

    @property
    def date(self) -> str:
        """`modified`, as HTTP tells dates."""
        return formatdate(self.modified, usegmt=True)

    def fields(self) -> bytes:
        """The header lines with its validators."""
        return field("ETag", self.tag) + field("Last-Modified", self.date) if self.tag else b""


def is_meant(head: Head, version: Version) -> bool:
    """Whether the file is the one that the client means, which comes before all other conditions (RFC 9110 §13.2.2)."""
    meant = b",".join(head.all(b"if-match")).decode("latin-1")  # one list, in however many lines
    if meant:
        # A weak tag is the same as none, by the strong comparison that is asked for here (§8.8.3.2).
        return meant.strip() == "*" or any(not weak and version.tag == each for weak, each in _TAGS.findall(meant))
    until = read_date(head.first(b"if-unmodified-since"))
    return until is None or version.modified <= until


def is_unchanged(head: Head, version: Version) -> bool:
    """Whether the client has the file already (RFC 9110 §13.2.2)."""
    if any(head.all(b"if-none-match")):
        return is_known(head, version.tag)
    since = read_date(head.first(b"if-modified-since"))
    return since is not None and version.is_settled and version.modified <= since


def is_known(head: Head, tag: str) -> bool:
    """Whether the client says that it has the content with this entity tag (RFC 9110 §13.1.2)."""
    known = b",".join(head.all(b"if-none-match")).decode("latin-1")  # one list, in however many lines
    return known.strip() == "*" or any(tag == each for _, each in _TAGS.findall(known))


def read_date(text: str) -> float | None:
    """A date as seconds since 1970. One that is none is ignored (RFC 9110 §13.1.3, §13.1.4).

    All three formats are in UTC (§5.6.7), whatever time zone this machine is in; the library takes a date that names
    no zone, as asctime's, and one with `-0000`, for local time.
    """
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def find_range(head: Head, version: Version, size: int) -> tuple[int, int] | None:
    """The part that is asked for, as its first byte and the one behind its last; None for the whole.

    One range is honoured; for several the whole is given, as RFC 9110 §14.2 allows, so that there is no
    list of ranges to be clever about (CVE-2025-62727).

    Raises:
        RangeNotSatisfiable: no byte of it exists.
    """
    ranges = head.all(b"range")
    condition = head.first(b"if-range")
    if head.method != "GET" or len(ranges) != 1 or (condition and not _is_same(condition, version)):
        return None
    match = _RANGE.fullmatch(ranges[0].decode("latin-1").lower())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        if not length:
            raise RangeNotSatisfiable(size)
        return size - length, size
    start = int(match[1])
    stop = min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None  # Not a range at all (RFC 9110 §14.1.1), so it is ignored.
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, stop


def _is_same(condition: str, version: Version) -> bool:
    """Whether an `If-Range` means this content, by the strong comparison (RFC 9110 §13.1.5)."""
    return condition == version.tag or (version.is_settled and condition == version.date)
