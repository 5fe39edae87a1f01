"""The document root: files as they are, and nothing outside of it.

The rules of this file:

* Whatever is refused is 404, so that an answer tells nothing of what exists outside (CVE-2025-69226).
* A path is resolved first and then held against the root, links and all (CVE-2024-23334, CVE-2023-29159).
* A redirect is made from segments that were checked, never from the path as it came, so that it cannot
  lead to another host (CVE-2021-21330).
* A validator tells two contents apart, or there is none (RFC 9110 §8.8.1): the entity tag has what the system itself
  changes with each write, and a file that changed a moment ago, which may change again unseen, has no validator.

Ranges and conditions as RFC 9110 §13 and §14 have them. There is a library for static files, but it takes
a single byte for no range, numbers with underscores for numbers, and knows neither `If-Range` nor lists of
entity tags.
"""

import errno
import os
import re
import stat
from collections.abc import Sequence
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from mimetypes import MimeTypes
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from slosh.errors import (
    ALLOW_FILES,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    TooManyDownloads,
)
from slosh.web.action import Action, Exchange
from slosh.web.connection import Connection
from slosh.web.head import Head
from slosh.web.query import decode
from slosh.web.response import NO_SNIFF, field, render, render_head

_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
_ALL_BITS: Final = 2**64 - 1

_CHUNK: Final = 256 * 1024
"""Bytes that are read from a file at a time."""

NO_CACHE: Final = b"Cache-Control: no-cache\r\n"
"""Browsers keep files and ask each time whether they still hold: a changed page shows at once."""

_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)
_TAGS: Final = re.compile(r'(W/)?("[!#-~\x80-\xff]*")')

_KNOWN_PLACE: Final = ".well-known"
"""The one folder that begins with a dot and is there to be read (RFC 8615)."""

_TICK: Final = 0.05
"""Seconds within which two changes of a file may bear the same time: Linux stamps files by its timer's tick."""
_COARSE_TICK: Final = 2.0
"""The same on a file system that counts whole seconds, or two as FAT does."""

_TYPES: Final = MimeTypes(filenames=())  # the table that comes with Python, not the one of this machine
for _ending, _type in {
    ".js": "text/javascript",  # RFC 9239
    ".mjs": "text/javascript",
    ".webmanifest": "application/manifest+json",
    ".md": "text/markdown",
    ".ico": "image/vnd.microsoft.icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".avif": "image/avif",
    ".webp": "image/webp",
}.items():
    _TYPES.add_type(_type, _ending)


class DocumentRoot:
    """A folder whose files are served. Where it is a link, each request goes to where that leads just then.

    Args:
        folder: an existing folder, None where no files are served.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.resolve(strict=True)  # an error now is better than one with each request
        self._folder = folder if folder is None else folder.absolute()

    def find(self, segments: list[str]) -> Path:
        """The file or folder at a path's decoded segments.

        Raises:
            NotFound: nothing is there that may be shown.
        """
        if self._folder is None or _is_hidden(segments):
            raise NotFound
        for segment in segments:
            if not segment or "/" in segment or "\\" in segment or "\0" in segment:
                raise NotFound
        try:
            folder = self._folder.resolve(strict=True)
            path = folder.joinpath(*segments).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # absent, a loop of links, a name the system cannot have
            raise NotFound from None
        if not path.is_relative_to(folder) or _is_hidden(path.relative_to(folder).parts):
            raise NotFound
        return path


def _is_hidden(segments: Sequence[str]) -> bool:
    """Whether a path leads through a name that begins with a dot, other than the one that is there to be read."""
    below = segments[1:] if segments and segments[0] == _KNOWN_PLACE else segments
    return any(segment.startswith(".") for segment in below)


class ServeFile(Action):
    """The action for a path in the document root.

    Args:
        root: where to look.
        head: of the request.
        max_body: bytes of a body that is read and means nothing.
        prefix: of the URL, which a proxy has cut off.

    Raises:
        MethodNotAllowed: files are only looked at.
        BadRequest: the path is not UTF-8.
    """

    __slots__ = ("_prefix", "_query", "_root", "_segments", "max_body")

    def __init__(self, root: DocumentRoot, head: Head, max_body: int, prefix: str = "") -> None:
        if head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(ALLOW_FILES)
        self._root = root
        self._query = head.query
        self._prefix = prefix
        self._segments = [decode(segment, "path") for segment in head.path[1:].split("/")]
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Send the file, or to where it is."""
        *folders, name = self._segments
        if name:
            path = self._root.find(self._segments)
            if path.is_dir():
                self._redirect(connection)
                return
        else:
            path = self._root.find([*folders, "index.html"])
        send_file(connection, path)

    def _redirect(self, connection: Connection) -> None:
        location = self._prefix + "".join("/" + quote(segment, safe="") for segment in self._segments) + "/"
        if self._query:
            location += "?" + self._query
        connection.respond(301, field("Location", location) + NO_CACHE, b"")


def send_file(connection: Connection, path: Path, extra: bytes = b"") -> None:
    """Answer the present request with a file, as far as the client has not got it already.

    Args:
        connection: whose request it is.
        path: of the file.
        extra: further header lines.

    Raises:
        NotFound: it is not a regular file, or cannot be read.
        TooManyDownloads: it is large, and as many files are open as may be.
        PreconditionFailed: it is not the one that the client means.
        RangeNotSatisfiable: the range asked for has no byte of it.
    """
    head, now = connection.head, connection.edge.wall()
    try:
        # Without O_NONBLOCK the opening of a pipe would stop the whole server.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise (TooManyDownloads() if error.errno in _NO_DESCRIPTOR else NotFound()) from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise NotFound  # noqa: TRY301 - the handle is closed below
        version = Version(facts, now)
        fields = version.fields() + NO_CACHE + NO_SNIFF + extra
        if not is_meant(head, version):
            raise PreconditionFailed  # noqa: TRY301 - the handle is closed below
        if is_unchanged(head, version):
            os.close(handle)
            connection.respond(304, fields, b"")
            return
        fields += field("Content-Type", content_type(path.name)) + b"Accept-Ranges: bytes\r\n"
        status, start, stop = 200, 0, facts.st_size
        wanted = find_range(head, version, facts.st_size)
        if wanted is not None:
            status, (start, stop) = 206, wanted
            fields += field("Content-Range", f"bytes {start}-{stop - 1}/{facts.st_size}")
        if head.method == "HEAD":
            os.close(handle)
            date, line = connection.edge.date(), connection.connection_field()
            connection.finish(render_head(status, date, fields, stop - start, line))
            return
        os.lseek(handle, start, os.SEEK_SET)
    except BaseException:
        os.close(handle)
        raise
    _Sending(connection, handle, stop - start).begin(status, fields)


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


def content_type(name: str) -> str:
    """The media type by the ending of a file's name."""
    kind, encoding = _TYPES.guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    return kind + "; charset=utf-8" if kind.startswith("text/") else kind


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


class _Sending(Exchange):
    """A file on its way, read as fast as the client takes it, a piece at a time and the other clients in between."""

    __slots__ = ("_connection", "_handle", "_is_counted", "_left", "_waits")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, handle: int, length: int) -> None:
        self._connection = connection
        self._handle = handle
        self._left = length
        self._is_counted = False  # among the downloads, whose files stay open for as long as their clients take
        self._waits = False  # for its next turn

    def begin(self, status: int, fields: bytes) -> None:
        """Write the head, and as much of the file as there is room for."""
        connection = self._connection
        date, line = connection.edge.date(), connection.connection_field()
        try:
            first = self._read()
        except OSError:
            self._close()
            raise NotFound from None
        if not self._left:
            self._close()
            connection.finish(render(status, date, fields, first, line))
            return
        edge = connection.edge
        if edge.downloads >= edge.max_downloads or self._handle >= edge.first_spare:
            self._close()
            raise TooManyDownloads
        edge.downloads += 1
        self._is_counted = True
        connection.hold(self)
        connection.write(render_head(status, date, fields, len(first) + self._left, line))
        if connection.write(first):
            self.writable()

    def writable(self) -> None:
        """The client has room: write on in the next turn of the loop, for who takes a large file fast is not alone."""
        if not self._waits:
            self._waits = True
            self._connection.edge.loop.call_soon(self._write_on)

    def _write_on(self) -> None:
        """Write a piece, unless the client has enough for now or has gone."""
        self._waits = False
        if self._handle < 0 or self._connection.is_stalled:
            return
        try:
            goes_on = self._connection.write(self._read())
        except OSError:
            self._close()
            self._connection.abandon()
            return
        if not self._left:
            self._close()
            self._connection.finish(b"")
        elif goes_on:
            self.writable()

    def lost(self) -> None:
        """The client has gone."""
        self._close()

    def _read(self) -> bytes:
        piece = os.read(self._handle, min(_CHUNK, self._left))
        if not piece and self._left:
            raise OSError(errno.EIO, "the file was cut short while it was sent")
        self._left -= len(piece)
        return piece

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            self._connection.edge.downloads -= self._is_counted
