"""The document root: files as they are, and nothing outside of it.

The rules of this file:

* All that is refused is 404, so that an answer tells nothing of what exists outside (CVE-2025-69226).
* A path is resolved first and then held against the root, links and all (CVE-2024-23334, CVE-2023-29159).
* A redirect is made from segments that were checked, never from the path as it came, so that it cannot
  lead to another host (CVE-2021-21330).

Ranges and conditions are in `conditions.py`.
"""

import errno
import os
import stat
from collections.abc import Sequence
from mimetypes import MimeTypes
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from slosh.errors import (
    ALLOW_FILES,
    OPEN_FILES,
    POSTED_TO_TOPICS,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    TooManyDownloads,
)
from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action
from slosh.http1.head import Head
from slosh.http1.response import NO_SNIFF, field, render, render_head
from slosh.web.pages.conditions import Version, find_range, is_meant, is_unchanged
from slosh.web.query import decode

_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
_CHUNK: Final = 256 * 1024
"""Bytes that are read from a file at a time."""

NO_CACHE: Final = b"Cache-Control: no-cache\r\n"
"""Browsers keep files and ask each time whether they still hold: a changed page shows at once."""

_KNOWN_PLACE: Final = ".well-known"
"""The one folder that begins with a dot and is there to be read (RFC 8615)."""

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
    """A folder whose files are served. If it is a link, each request goes to where that leads just then.

    Args:
        folder: an existing folder, None if no files are served.
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


_ICON: Final = ["favicon.ico"]
"""Browsers ask for it with every page that names no icon. A root without one has none, which is no mistake of the
page's author: a 404 would stand in the browser's console, and in the log, with each visit."""
_NO_ICON: Final = field("Cache-Control", "max-age=86400")


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

    is_open: ClassVar[bool] = True
    takes_time: bool = True

    def __init__(self, root: DocumentRoot, head: Head, max_body: int, prefix: str = "") -> None:
        if head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(ALLOW_FILES, POSTED_TO_TOPICS)
        self._root = root
        self._query = head.query
        self._prefix = prefix
        self._segments = [decode(segment, "path") for segment in head.path[1:].split("/")]
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Send the file, or to where it is."""
        try:
            self._send(connection)
        except NotFound:
            if self._segments != _ICON:
                raise
            connection.respond(204, _NO_ICON, b"")

    def _send(self, connection: Connection) -> None:
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


def send_file(connection: Connection, path: Path) -> None:
    """Answer the current request with a file, as far as the client has not got it already.

    Args:
        connection: whose request it is.
        path: of the file.

    Raises:
        NotFound: it is not a regular file, or cannot be read.
        TooManyDownloads: it is large, and as many files are open as may be.
        PreconditionFailed: it is not the one that the client means.
        RangeNotSatisfiable: the range asked for has no byte of it.
    """
    head, now = connection.head, connection.server.wall()
    try:
        # Without O_NONBLOCK the opening of a pipe would stop the whole server.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise (TooManyDownloads(OPEN_FILES) if error.errno in _NO_DESCRIPTOR else NotFound()) from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise NotFound  # noqa: TRY301 - the handle is closed below
        version = Version(facts, now)
        fields = version.fields() + NO_CACHE + NO_SNIFF
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
            date, line = connection.server.date(), connection.connection_field()
            connection.finish(render_head(status, date, fields, stop - start, line))
            return
        os.lseek(handle, start, os.SEEK_SET)
    except BaseException:
        os.close(handle)
        raise
    _Download(connection, handle, stop - start).begin(status, fields)


def content_type(name: str) -> str:
    """The media type by the ending of a file's name."""
    kind, encoding = _TYPES.guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    return kind + "; charset=utf-8" if kind.startswith("text/") else kind


class _Download(Exchange):
    """A file on its way, read as fast as the client takes it, a piece at a time and the other clients in between."""

    __slots__ = ("_connection", "_handle", "_is_counted", "_left", "_status", "_waits")

    outlives_eof: ClassVar[bool] = True

    def __init__(self, connection: Connection, handle: int, length: int) -> None:
        self._connection = connection
        self._handle = handle
        self._left = length
        self._is_counted = False  # among the downloads, whose files stay open for as long as their clients take
        self._waits = False  # for its next turn
        self._status = 200

    def begin(self, status: int, fields: bytes) -> None:
        """Write the head, and as much of the file as there is room for."""
        connection = self._connection
        date, line = connection.server.date(), connection.connection_field()
        try:
            first = self._read()
        except OSError:
            self._close()
            raise NotFound from None
        if not self._left:
            self._close()
            connection.finish(render(status, date, fields, first, line))
            return
        server = connection.server
        # Connections that are refused hold spare descriptors, which may have lower numbers.
        most = server.first_spare + len(server.reserved) + len(server.leaving)
        if server.downloads >= server.max_downloads or self._handle >= most:
            self._close()
            raise TooManyDownloads("max_downloads" if server.downloads >= server.settings.max_downloads else OPEN_FILES)
        server.downloads += 1
        self._is_counted = True
        self._status = status
        connection.hold(self)
        connection.write(render_head(status, date, fields, len(first) + self._left, line))
        if connection.write(first):
            self.writable()

    def writable(self) -> None:
        """The client has room: write on in the next turn of the loop, for who takes a large file fast is not alone."""
        if not self._waits:
            self._waits = True
            self._connection.server.loop.call_soon(self._write_on)

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
            self._connection.finish(b"", status=self._status)
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
            self._connection.server.downloads -= self._is_counted
