"""The vocabulary of the tables: a case, what was seen when it ran, and the rule that judges it.

Rules are data. A rule names the statuses that are right, the ones that are tolerable, and what a closed or a silent
connection counts for; nothing else decides a verdict, so a table can be read without reading the runner.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import Enum

HOST = b"Host: example.test\r\n"
OK = range(200, 300)
NONE: Container[int] = ()


class Verdict(Enum):
    """How one case went. The public score counts PASS and WARN."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class Ending(Enum):
    """What the connection did after the last answer that was waited for."""

    OPEN = "open"
    CLOSED = "closed"
    SILENT = "silent"
    """No complete answer came and the connection stayed open: the server waits for more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as it stood on the wire."""

    status: int
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    """Names in lower case, values trimmed, in the order sent."""
    body: bytes
    """Decoded from its transfer coding."""

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the field `name` (lower case)."""
        return [value for key, value in self.fields if key == name]

    @property
    def says_close(self) -> bool:
        """Whether the server announced that the connection ends here (RFC 9112 §9.6)."""
        options = b",".join(self.all(b"connection")).lower()
        if self.version == b"HTTP/1.0":
            return b"keep-alive" not in options
        return b"close" in options


@dataclass(frozen=True, slots=True)
class Seen:
    """What one step of a case brought."""

    ran: bool
    """False when the connection was closed before this step could be sent."""
    answers: tuple[Answer, ...]
    """Interim answers (1xx) included, in the order they came."""
    ending: Ending

    @property
    def status(self) -> int:
        """The status of the first answer, 0 when there was none."""
        return self.answers[0].status if self.answers else 0

    def __str__(self) -> str:
        if not self.ran:
            return "(not sent)"
        return " ".join([*(str(answer.status) for answer in self.answers), self.ending.value])


Judge = Callable[[tuple[Seen, ...]], Verdict]


@dataclass(frozen=True, slots=True)
class Rule:
    """Judges a case of one step by its first answer.

    `good` passes and `fair` warns, everything else fails. Without any answer `closed` or `silent` is the verdict.
    """

    good: Container[int]
    fair: Container[int] = NONE
    closed: Verdict = Verdict.FAIL
    silent: Verdict = Verdict.FAIL
    check: Callable[[Answer, Ending], Verdict] | None = None
    """Decides instead when the status is good."""

    def __call__(self, seen: tuple[Seen, ...]) -> Verdict:
        first = seen[0]
        if not first.answers:
            return self.closed if first.ending is Ending.CLOSED else self.silent
        if first.status in self.good:
            return self.check(first.answers[0], first.ending) if self.check else Verdict.PASS
        return Verdict.WARN if first.status in self.fair else Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes to send and how to judge what comes back."""

    name: str
    sends: tuple[bytes, ...]
    """One entry a step; a step is sent only while the connection is open."""
    judge: Judge
    why: str = ""
    """The section that rules it, or what goes wrong elsewhere."""
    scored: bool = True
    answers: int = 1
    """How many final answers (not 1xx) a step waits for."""
    interim: bool = False
    """Whether a 1xx counts among them."""

    @property
    def may_be_silent(self) -> bool:
        """Whether a server that waits for more is right, so that it need not answer."""
        return bool(getattr(self.judge, "silent", None) is Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Result:
    """A case with what was seen and the verdict."""

    case: Case
    seen: tuple[Seen, ...]
    verdict: Verdict = field(default=Verdict.FAIL)

    def __str__(self) -> str:
        got = " | ".join(str(step) for step in self.seen)
        return f"{self.verdict.value:4} {self.case.name}: {got} ({self.case.why})"


def case(
    name: str,
    sent: bytes | tuple[bytes, ...],
    judge: Judge,
    why: str = "",
    *,
    scored: bool = True,
) -> Case:
    """Make a row of a table."""
    return Case(name, sent if isinstance(sent, tuple) else (sent,), judge, why, scored=scored)


def get(*fields: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1", method: bytes = b"GET") -> bytes:
    """A request without a body, `Host` first, then `fields` just as they are given."""
    return method + b" " + target + b" " + version + b"\r\n" + HOST + lines(*fields) + b"\r\n"


def post(*fields: bytes, body: bytes = b"", target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    """A POST with exactly these fields after `Host`; no length is added."""
    return get(*fields, target=target, version=version, method=b"POST") + body


def chunked(body: bytes) -> bytes:
    """A POST with `Transfer-Encoding: chunked` and `body` as the raw chunks."""
    return post(b"Transfer-Encoding: chunked", body=body)


def lines(*fields: bytes) -> bytes:
    """Field lines, each with its CRLF."""
    return b"".join(line + b"\r\n" for line in fields)
