"""Files that come with the server, as browsers get them: the JavaScript client, and the parts of the viewer.

The rules of this file:

* A file is read once. It is sent compressed to clients that take gzip, from a copy that was made once.
* Scripts and sheets are sent without their comments, their indentation and their empty lines. A comment that begins
  with an exclamation mark stays. A template literal over several lines loses these too, so no script may depend on it.
* The two forms of a file have entity tags of their own (RFC 9110 §8.8.3.3), and each answer says that it may depend on
  `Accept-Encoding` (§12.5.5).
"""

import gzip
import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from slosh.http1.accept import takes_coding
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.http1.response import NO_SNIFF, field
from slosh.web.conditions import is_known
from slosh.web.files import NO_CACHE, content_type

VARY: Final = field("Vary", "Accept-Encoding")
_TEXT: Final = "text/plain; charset=utf-8"
_GZIP: Final = field("Content-Encoding", "gzip")

_BLOCK: Final = re.compile(r"^[ \t]*/\*(?!!).*?\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
"""A comment that has its lines for itself. What stands behind code, or in it, is left alone."""
_INDENTATION: Final = re.compile(r"^\s+", re.MULTILINE)
"""Of lines, and those that are empty."""
_LINE: Final = re.compile(r"^[ \t]*//[^\n]*\n", re.MULTILINE)


class Asset(NamedTuple):
    """A file in both its forms, each with its entity tag; one that gzip makes no smaller has only the first."""

    kind: str
    plain: bytes
    plain_tag: str
    packed: bytes
    packed_tag: str


@cache
def load(path: Path) -> Asset:
    """Read a file and pack it."""
    body = path.read_bytes()
    if path.suffix in (".js", ".css"):
        body = shortened(body.decode(), is_script=path.suffix == ".js").encode()
    kind = _TEXT if path.name.endswith(".d.ts") else content_type(path.name)
    return pack(kind, body)


def pack(kind: str, body: bytes) -> Asset:
    """Both forms of a content."""
    packed = gzip.compress(body, 9, mtime=0)
    tag = sha256(body).hexdigest()[:24]
    if len(packed) >= len(body):
        packed = b""
    return Asset(kind, body, f'"{tag}"', packed, f'"{tag}-gz"')


def shortened(text: str, *, is_script: bool) -> str:
    """A script or a sheet without indentation, empty lines and the comments that stand on lines of their own."""
    text = _BLOCK.sub("", text)
    return _INDENTATION.sub("", _LINE.sub("", text) if is_script else text)


def send_asset(connection: Connection, asset: Asset, extra: bytes = b"") -> None:
    """Answer the present request with a file, unless the client has it already.

    Args:
        connection: whose request it is.
        asset: the file.
        extra: further header lines.
    """
    head = connection.head
    is_packed = bool(asset.packed) and takes_coding(head, "gzip")
    tag, body = (asset.packed_tag, asset.packed) if is_packed else (asset.plain_tag, asset.plain)
    fields = field("ETag", tag) + VARY + NO_CACHE + NO_SNIFF + extra
    if is_known(head, tag):
        connection.respond(304, fields, b"")
        return
    connection.respond(200, fields + field("Content-Type", asset.kind) + (_GZIP if is_packed else b""), body)


class OwnFile(Action):
    """A file that comes with the server.

    Args:
        path: where it is.
        extra: further header lines.
        max_body: bytes of a body that is read and means nothing.
    """

    __slots__ = ("_extra", "_path", "max_body")

    is_open: ClassVar[bool] = True

    def __init__(self, path: Path, extra: bytes, max_body: int) -> None:
        self._path = path
        self._extra = extra
        self.max_body = max_body

    def run(self, connection: Connection, body: bytes) -> None:  # noqa: ARG002 - a GET's body means nothing
        """Send it."""
        send_asset(connection, load(self._path), self._extra)
