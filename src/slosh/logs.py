"""How a log line looks: one line an event, as a sentence for people or as JSON for programs.

The rules of this file:

* An event has a name that never changes, a sentence, and fields. Code that logs passes the sentence as any message is
  passed to `logging`, and the name and the fields as `extra=event("reloaded", changed=…)`. One without a name is
  `note`.
* The sentence tells all that the fields tell: the text format shows the sentence alone.
* Words of a client, a store or a file may stand in a line, so whatever could move a terminal's cursor, forge a
  line or turn text around is escaped in both formats (CVE-2020-7694). Lines of a traceback stand behind a bar.
* A secret is not known here, and not looked for: the code that logs leaves it out.
"""

import json
import logging
import os
import time
from typing import IO, Final

NAME: Final = "slosh"
"""The logger under which all of slosh logs."""
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("text", "json")

_EVENT: Final = "slosh_event"
_FIELDS: Final = "slosh_fields"
_BAR: Final = "  | "
_LONGEST: Final = 2000
"""Characters of a field or of a sentence."""


def event(name: str, **fields: object) -> dict[str, object]:
    """What to pass as `extra` when an event is logged.

    Args:
        name: of the event, in small letters; programs may depend on it.
        fields: texts, numbers, truth values, or lists of texts. Those that are None or an empty text are left out.
    """
    return {_EVENT: name, _FIELDS: {key: value for key, value in fields.items() if value not in (None, "")}}


def escape(text: str) -> str:
    r"""`text` with everything escaped that a terminal does not print as a character of its own, as \x1b is."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    if cut.isprintable():
        return cut
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode("ascii")
        for each in cut
    )


class TextFormatter(logging.Formatter):
    """`2026-11-29T07:31:00.123Z INFO: the sentence`.

    Args:
        timed: whether a line begins with its time, which is left out if another program writes one.
        named: whether the level is told.
    """

    def __init__(self, *, timed: bool = True, named: bool = True) -> None:
        super().__init__()
        self._timed = timed
        self._named = named

    def format(self, record: logging.LogRecord) -> str:
        """The line; several if there is a traceback."""
        start = f"{_time_of(record)} " if self._timed else ""
        if self._named:
            start += f"{record.levelname}: "
        lines = [start + escape(record.getMessage())]
        if record.exc_info:
            lines += [_BAR + escape(line) for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, `message`, `logger`, the event's fields, and `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = getattr(record, _FIELDS, {})
        facts: dict[str, object] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "event": getattr(record, _EVENT, "note"),
            "message": escape(record.getMessage()),
            "logger": record.name,
        }
        # A field takes the place of none of these.
        facts |= {name: _shown(value) for name, value in fields.items() if name not in facts}
        if record.exc_info:
            facts["traceback"] = [escape(line) for line in self.formatException(record.exc_info).split("\n")]
        return json.dumps(facts, ensure_ascii=True)


def write_logs(stream: IO[str], style: str, level: str) -> logging.Handler:
    """Have slosh's log written to `stream`.

    Args:
        style: one of `FORMATS`, the setting `log_format`.
        level: one of `LEVELS`, the setting `log_level`.
    """
    handler = logging.StreamHandler(stream)
    # systemd's journal, and people at a terminal, have the time already (sd-daemon(3), systemd.exec(5)).
    timed = "JOURNAL_STREAM" not in os.environ and not stream.isatty()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(timed=timed))
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    logger.setLevel(LEVELS[level])
    return handler


def _shown(value: object) -> object:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list | tuple):
        return [escape(str(each)) for each in value]
    return value if isinstance(value, bool | int | float) else escape(str(value))


def _time_of(record: logging.LogRecord) -> str:
    """UTC, with milliseconds (RFC 3339)."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.created * 1000) % 1000:03d}Z"
