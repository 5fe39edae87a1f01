"""Files that come with the server, as browsers get them: the JavaScript client, and the parts of the viewer.

The rules of this file:

* A file is read once. It is sent compressed to clients that take gzip, from a copy that was made once.
* Scripts and sheets are sent without their comments, their indentation, their empty lines and the spaces that mean
  nothing. A statement of a script may end with a line end (ECMAScript §12.10), so one goes only behind `;`, `{` and
  `,`, where none can end, and before `}`, which ends one as well. A comment that begins with an exclamation mark
  stays, and so does a file that is small already, as its name (`.min.`) says. A template literal over several lines
  loses its indentation too, so no script may depend on it.
* The two forms of a file have entity tags of their own (RFC 9110 §8.8.3.3), and each answer says that it may depend on
  `Accept-Encoding` (§12.5.5).
"""

import re
import zlib
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from slosh.http1.accept import takes_coding
from slosh.http1.connection import Connection
from slosh.http1.handler import Action
from slosh.http1.response import NO_SNIFF, field
from slosh.web.pages.conditions import is_known
from slosh.web.pages.files import NO_CACHE, content_type

VARY: Final = field("Vary", "Accept-Encoding")
_TEXT: Final = "text/plain; charset=utf-8"
_GZIP: Final = field("Content-Encoding", "gzip")

_BLOCK: Final = re.compile(r"^[ \t]*/\*(?!!).*?\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
"""A comment that has its lines for itself. One behind code, or in it, is left alone."""
_INDENTATION: Final = re.compile(r"^\s+", re.MULTILINE)
"""Of lines, and those that are empty."""
_LINE: Final = re.compile(r"^[ \t]*//[^\n]*\n", re.MULTILINE)
_SPACES: Final = re.compile(r"""("[^"]*"|/\*.*?\*/)|;?\s*(\})\s*|\s*([{;,])\s*|(:)\s+""", re.DOTALL)
"""Of a sheet, around what separates; a text in quotes and a comment are left alone (CSS Syntax Level 3 §4)."""
_TOKEN: Final = re.compile(
    r"""(?P<spaces>[ \t]+)
    |(?P<line>\n)
    |(?P<comment>//[^\n]*)
    |(?:/\*.*?\*/)
    |(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |[\w$]+|.""",
    re.DOTALL | re.VERBOSE,
)
_OPEN: Final = (";", "{", ",")
"""No statement ends behind these."""
_EXPRESSION: Final = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/")
"""A slash begins one if no value stands before it."""
_BEFORE: Final = frozenset([*"(,=:[!&|?{};>\n", "return", "typeof", "case", "in", "of"])
_TEMPLATE: Final = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{|\Z)", re.DOTALL)
"""Of a template literal, up to its end or to what is put into it."""
_NAME: Final = re.compile(r"[\w$#]")


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
    if path.suffix in (".js", ".css") and ".min." not in path.name:
        body = shortened(body.decode(), is_script=path.suffix == ".js").encode()
    kind = _TEXT if path.name.endswith(".d.ts") else content_type(path.name)
    return pack(kind, body)


def pack(kind: str, body: bytes) -> Asset:
    """Both forms of a content."""
    # Blocks that end sooner, by the memory of level 7, make scripts smaller.
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16, memLevel=7)  # with the frame of RFC 1952
    packed = packer.compress(body) + packer.flush()
    tag = sha256(body).hexdigest()[:24]
    if len(packed) >= len(body):
        packed = b""
    return Asset(kind, body, f'"{tag}"', packed, f'"{tag}-gz"')


def shortened(text: str, *, is_script: bool) -> str:
    """A script or a sheet without the comments and the spaces that the rules above name."""
    text = _BLOCK.sub("", text)
    if is_script:
        return _without_spaces(without_indentation(_LINE.sub("", text)))
    return _SPACES.sub(lambda found: found[found.lastindex or 0], without_indentation(text))


def _without_spaces(script: str) -> str:
    """A script without the spaces that part no names, line ends that end nothing, and the comments behind its code."""
    parts: list[str] = []
    braces: list[int] = []
    """Of each template literal that something is being put into: braces that are open in it."""
    position, last = 0, "\n"
    while found := _TOKEN.match(script, position):
        part, position = found[0], found.end()
        if found.lastgroup == "spaces":
            before, after = script[found.start() - 1 : found.start()], script[position : position + 1]
            is_parting = bool(_NAME.match(before) and _NAME.match(after)) or before + after in ("++", "--")
            part = " " if is_parting else ""
        elif found.lastgroup == "comment" or (
            found.lastgroup == "line" and (last in _OPEN or script[position : position + 1] == "}")
        ):
            part = ""
        elif part == "{" and braces:
            braces[-1] += 1
        elif part == "}" and braces:
            braces[-1] -= 1
        if part == "`" or (part == "}" and braces and braces[-1] < 0):
            if part == "}":
                braces.pop()
            # It may be empty, and ends with the script at the latest.
            text = _TEMPLATE.match(script, position) or found
            part, position = part + text[0], text.end()
            if part.endswith("${"):
                braces.append(0)
        elif part == "/" and last in _BEFORE and (expression := _EXPRESSION.match(script, found.start())):
            part, position = expression[0], expression.end()
        parts.append(part)
        last = part.strip(" ") or last
    return "".join(parts)


def without_indentation(text: str) -> str:
    """A text without the spaces that its lines begin with, and without empty lines."""
    return _INDENTATION.sub("", text)


def send_asset(connection: Connection, asset: Asset, extra: bytes = b"") -> None:
    """Answer the current request with a file, unless the client has it already.

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
