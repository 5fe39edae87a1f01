"""What a line of standard input means, for `slosh pub --as`: CSV, logfmt, InfluxDB's line protocol, or a pattern.

Each form makes an object of a line. A value that is written as a JSON number becomes one, `true` and `false` become
booleans, an empty value is `null`, and all else is a text. An object has each name once, so a line that gives two
values one name is refused: none of them is lost in silence.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

from slosh.client.errors import BadUse
from slosh.client.values import decode
from slosh.core.members import mend

FORMS: Final = ("auto", "json", "text", "csv", "logfmt", "influx", "regex:PATTERN")

Parse = Callable[[str], object]
"""Gives the message of a line; None if the line holds none: a heading, a comment, or no match of a pattern.

It raises `BadUse` for a line that has another form.
"""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_PAIR: Final = re.compile(r'\s*([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?(?=\s|$)')
_ESCAPED: Final = re.compile(r"\\(.)")
_INFLUX: Final = re.compile(
    r"""((?!,)(?:[^\\,\ ]|\\.)+)                      # measurement
        ((?:,(?:[^\\,=\ ]|\\.)+=(?:[^\\,\ ]|\\.)+)*)  # tags
        \ +((?:[^\\"=\ ]|\\.)+=(?:[^\\"\ ]|\\.|"(?:[^"\\]|\\.)*")+)  # fields
        (?:\ +(-?[0-9]{1,19}))?\s*                    # time, nanoseconds since 1970""",
    re.VERBOSE,
)
_MEMBER: Final = re.compile(r'((?:[^\\,=]|\\.)+)=("(?:[^"\\]|\\.)*"|(?:[^\\,]|\\.)+)(?:,|$)')
_LEFT_OPEN: Final = re.compile(
    rb"""(?:(?:"[^"]*+(?:""[^"]*+)*+"   # values that have ended: quoted,
         |[^",][^,]*)?,)*+              # others, and empty ones
        "[^"]*+(?:""[^"]*+)*+           # one in quotes that has not""",
    re.VERBOSE,
)
_LINES_OF_RECORD: Final = 1000
"""Lines of one row of CSV. A quote too many would else hold back all that comes behind it."""
_BYTES_OF_RECORD: Final = 128 * 1024
"""Bytes of one row of CSV that has several lines; as many as the csv library takes for one value."""
_TOLD: Final = 10
"""Lines that are told one by one if they are left out."""
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "": None}
_TRUE: Final = frozenset({"t", "T", "true", "True", "TRUE"})
_FALSE: Final = frozenset({"f", "F", "false", "False", "FALSE"})


def value_of(text: str) -> object:
    """The value that a text stands for; a number that neither an int nor a float holds is the text itself, as JSON."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    try:
        value = decode(text)
    except ValueError:  # its exponent is beyond the bounds of decimals too
        return msgspec.Raw(text.encode())
    return msgspec.Raw(text.encode()) if isinstance(value, Decimal) else value


class BadHeading(BadUse):
    """The line that names the columns cannot be read."""


class CsvLines:
    """Rows of comma-separated values (RFC 4180), the first of which names the columns."""

    def __init__(self) -> None:
        self._columns: list[str] = []

    def __call__(self, line: str) -> object:
        """The row as an object; None for the heading. A quoted value may have several lines, all of which are here."""
        try:
            row = next(csv.reader([line], strict=True))
        except csv.Error as error:
            reason = str(error)
            if _LEFT_OPEN.fullmatch(line.encode()):
                most = f"{_LINES_OF_RECORD:,} lines and {_BYTES_OF_RECORD:,} bytes"
                reason = f"a value in quotes has no end; a row has at most {most}"
            raise (BadUse if self._columns else BadHeading)(
                f"This is no line of CSV: {line[:60]!r} ({reason})."
            ) from error
        if not self._columns:
            names = [name.strip() or f"column{number}" for number, name in enumerate(row, 1)]
            if (twice := _find_twice(names)) is not None:
                raise BadHeading(f"This heading of CSV names {twice!r} twice; give each column a name of its own.")
            self._columns = names
            return None
        if len(row) != len(self._columns):
            raise BadUse(
                f"This line of CSV has {len(row)} values, and the heading {len(self._columns)}: {line[:60]!r}."
            )
        return {name: value_of(text.strip()) for name, text in zip(self._columns, row, strict=True)}


def parse_logfmt(line: str) -> object:
    """`level=info msg="all is well" took=1.5 cached` as an object; a key without a value is true.

    Raises:
        BadUse: the line has another form.
    """
    said: dict[str, object] = {}
    at = 0
    end = len(line.rstrip())
    while at < end:
        pair = _PAIR.match(line, at)
        if pair is None:
            shown = line[at : at + 40]
            raise BadUse(f'This is no logfmt, from {shown!r} on. It looks like: level=info msg="a b" took=1.5')
        name, quoted, plain = pair.groups()
        if name in said:
            raise BadUse(f"This line of logfmt names {name!r} twice, and a message has each name once.")
        if quoted is not None:
            said[name] = _ESCAPED.sub(_unescape, quoted)
        else:
            said[name] = True if plain is None else value_of(plain)
        at = pair.end()
    return said


def parse_influx(line: str) -> object:
    """A line of InfluxDB's line protocol: measurement, tags and fields as one object, with `time` in milliseconds.

    Raises:
        BadUse: the line has another form.
    """
    if line.startswith("#"):
        return None
    found = _INFLUX.fullmatch(line)
    if found is None:
        shown = line[:60]
        raise BadUse(
            f"This is no line protocol: {shown!r}. It looks like: air,place=roof temp=21.5,wet=f 1465839830100400200"
        )
    measurement, tags, fields, when = found.groups()
    said: list[tuple[str, object]] = [("measurement", _plain(measurement))]
    said += [(_plain(name), _plain(value)) for name, value in _MEMBER.findall(tags[1:])]
    said += [(_plain(name), _field(value)) for name, value in _MEMBER.findall(fields)]
    if when is not None:
        said.append(("time", int(when) / 1_000_000))
    if (twice := _find_twice(name for name, _ in said)) is not None:
        raise BadUse(
            f"This line protocol has two values for {twice!r}; a message has each name once: of a tag, of a field, "
            "measurement, and time where the line has one."
        )
    return dict(said)


def make_parser(form: str) -> Parse | None:
    """What makes messages of lines; None for `auto`, `json` and `text`, which need none.

    Args:
        form: one of `FORMS`.

    Raises:
        BadUse: there is no such form.
    """
    if form in ("auto", "json", "text"):
        return None
    if form == "csv":
        return CsvLines()
    if form == "logfmt":
        return parse_logfmt
    if form == "influx":
        return parse_influx
    name, mark, pattern = form.partition(":")
    if name != "regex" or not mark:
        raise BadUse(f"There is no form {form!r}; there are {', '.join(FORMS)}.")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadUse(f"{pattern!r} is no pattern: {error}.") from error
    if not compiled.groupindex:
        raise BadUse(f"{pattern!r} names no group. Write the names of values as in (?P<took>[0-9.]+)ms.")

    def parse(line: str) -> object:
        found = compiled.search(line)
        if found is None:
            return None
        return {name: None if text is None else value_of(text) for name, text in found.groupdict().items()}

    return parse


def _find_twice(names: Iterable[str]) -> str | None:
    """The first name that was there before; None if each is there once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _unescape(found: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1])


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _field(text: str) -> object:
    """A field's value: a number, `7i`, `7u`, a boolean, or a text in quotes."""
    if text.startswith('"'):
        return _plain(text[1:-1])
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    return value_of(text[:-1] if text[-1] in "iu" else text)


class Encoder:
    """Makes messages of lines.

    Args:
        form: what a line is; one of `FORMS`.
        tell_replaced: is called with the number of the first line that is no UTF-8; 0 for what is no line.

    Attributes:
        replaced: lines that are no UTF-8. If they are none, their messages have U+FFFD, which JSON can say.
        skipped: lines in which a pattern was not found.
        broken: lines that had another form, and were left out.
        number: of the line that came last, from 1 on.
        made: messages that lines became.
        held: the lines of a row of CSV that goes on in the next line.

    Raises:
        BadUse: there is no such form.
    """

    def __init__(self, form: str, tell_replaced: Callable[[int], None] | None = None) -> None:
        self._form = form
        self._tell_replaced = tell_replaced
        self._parse = make_parser(form)
        self.replaced = self.skipped = self.broken = self.number = self.made = self._told = 0
        self.held: list[bytes] = []

    def encode(self, line: bytes) -> bytes | None:
        """The message of a line, without a line's end in it; None if it has none.

        Raises:
            BadUse: the line has another form.
        """
        if self._parse is None:
            message = encode_line(line, self._form)
            self._note_bytes(line)
            return message
        said = self._parse(line.decode("utf-8", "replace"))
        if said is None and self._form.startswith("regex:"):
            self.skipped += 1
            return None
        self._note_bytes(line)
        return None if said is None else msgspec.json.encode(said)

    def _note_bytes(self, line: bytes) -> None:
        """Count a line that is no UTF-8, and tell of the first."""
        if line.isascii():
            return
        try:
            line.decode()
        except UnicodeDecodeError:
            self.replaced += 1
            if self.replaced == 1 and self._tell_replaced is not None:
                self._tell_replaced(self.number)

    def encode_all(
        self, source: Iterator[list[bytes]], tell: Callable[[int, int, BadUse], None]
    ) -> Iterator[list[bytes]]:
        """The messages of lines. Empty lines have none but as texts, and those of another form are left out.

        Args:
            tell: is called with the numbers of the first and the last line that are left out, and with the reason: for
                the first `_TOLD`.

        Raises:
            BadUse: the heading of CSV cannot be read, without which no line means anything.
        """
        for lines in source:
            messages: list[bytes] = []
            for line in lines:
                self.number += 1
                self.held.append(line)
                if self._form != "csv" or not self._goes_on():
                    self._make(messages, tell)
            yield messages
        if self.held:
            messages = []
            self._make(messages, tell)
            yield messages

    def _goes_on(self) -> bool:
        """Whether a value in quotes, and with it the row of CSV, goes on in the next line (RFC 4180 §2.6)."""
        size = sum(map(len, self.held)) + len(self.held) - 1
        if len(self.held) > _LINES_OF_RECORD or size > _BYTES_OF_RECORD:
            return False
        if len(self.held) > 1 and b'"' not in self.held[-1]:
            return True
        return _LEFT_OPEN.fullmatch(b"\n".join(self.held)) is not None

    def _make(self, messages: list[bytes], tell: Callable[[int, int, BadUse], None]) -> None:
        """Make a message of the lines that are held, which are one in every form but CSV."""
        count = len(self.held)
        row = b"\n".join(self.held)
        self.held = []
        try:
            message = self.encode(row) if row.strip() or self._form == "text" else None
        except BadHeading:
            raise
        except BadUse as error:
            self.broken += count
            self._told += 1
            if self._told <= _TOLD:
                tell(self.number - count + 1, self.number, error)
            return
        if message is not None:
            messages.append(message)
            self.made += 1


def encode_line(line: bytes, form: str) -> bytes:
    """One line as a message, without a line's end in it.

    Raises:
        BadUse: it is to be JSON and is not.
    """
    if form != "text":
        try:
            _check(mend(line))
            if not line.isascii():
                line.decode()  # which the check leaves out
        except RecursionError:
            return _in_one_line(line)  # the server has its own bound, and says so
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if form == "json":
                shown = line[:60].decode("utf-8", "replace")
                raise BadUse(f"This is not JSON: {shown!r} ({error}). With --as text it is sent as a text.") from error
        else:
            return _in_one_line(line)
    return json.dumps(line.decode("utf-8", "replace"), ensure_ascii=False).encode()


def _in_one_line(line: bytes) -> bytes:
    return line.strip().replace(b"\n", b" ").replace(b"\r", b" ")


_check: Final = msgspec.json.Decoder(msgspec.Raw).decode
