"""The file that `slosh record` writes and `slosh replay` reads: one JSON object a line.

    {"topic":"kitchen","offset":7,"time":1795899600.123,"message":{"t":21.5}}
    {"topic":"kitchen","time":1795899601.000,"note":"lost","count":3}

`time` is when the server accepted the message, in seconds since 1970; for a note it is when the reader was told. The
message stands last, as the text that was posted, so that all its digits are kept.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from slosh.client.errors import BadUse
from slosh.client.items import Item, Note
from slosh.client.pieces import members
from slosh.core.members import mend


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message of a recording.

    Attributes:
        topic: its name.
        time: when the server accepted it, seconds since 1970.
        message: its JSON text, without a line's end.
    """

    topic: str
    time: float
    message: bytes


def write_item(item: Item, now: float) -> str:
    """The line of a message. `now` is its time if the server gave none."""
    head = json.dumps(
        {"topic": item.topic, "offset": item.offset, "time": now if item.time is None else item.time},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    message = item.raw.replace("\r", " ").replace("\n", " ")
    return f'{head[:-1]},"message":{message}}}\n'


def write_note(note: Note, now: float) -> str:
    """The line of a loss, a reset or an end."""
    said = {"topic": note.topic, "time": round(now, 3), "note": note.kind, "count": note.count}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_line(line: bytes, number: int) -> RecordedMessage | None:
    """The message in a line, None if it has none.

    Args:
        line: of the file.
        number: which line it is, for the error.

    Raises:
        BadUse: `slosh record` writes no such line.
    """
    if not line.strip():
        return None
    halves = mend(line)  # in place of halves of characters, which msgspec does not take
    try:
        said = _decode(halves)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadUse(
            f"Line {number} is no line of a recording ({error}). Each is an object with topic, time and message, "
            'as in {"topic":"kitchen","time":1795899600.5,"message":21.5}.'
        ) from error
    if said.note or not said.message:
        return None
    if halves == line:
        return RecordedMessage(said.topic, said.time, bytes(said.message))
    parts = members(line.decode())
    return RecordedMessage(json.loads(parts["topic"]), said.time, parts["message"].encode())


class _Line(msgspec.Struct):
    topic: Annotated[str, msgspec.Meta(min_length=1)]
    time: float = 0.0
    message: msgspec.Raw = msgspec.Raw()  # its own text, so that 21.50 stays 21.50
    note: str = ""


_decode: Final = msgspec.json.Decoder(_Line).decode
