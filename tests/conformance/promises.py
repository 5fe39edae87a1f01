"""The rules for what slosh itself promises, which is stricter than any public suite.

A refusal is exactly one answer and then a closed connection, for nobody can say where the next request would begin;
a good request is answered exactly, and the connection stays.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.case import Case, Ending, Seen, Verdict


@dataclass(frozen=True, slots=True)
class Refuses:
    """Exactly one answer with one of these statuses, and the connection is closed; later steps are never answered."""

    statuses: tuple[int, ...] = (400,)

    def __call__(self, seen: tuple[Seen, ...]) -> Verdict:
        first, *later = seen
        right = (
            len(first.answers) == 1
            and first.status in self.statuses
            and first.answers[0].says_close
            and first.ending is Ending.CLOSED
            and not any(step.answers for step in later)
        )
        return Verdict.PASS if right else Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Waits:
    """No byte is sent and the connection stays open: the request is not complete."""

    silent: Verdict = Verdict.PASS

    def __call__(self, seen: tuple[Seen, ...]) -> Verdict:
        quiet = all(not step.answers and step.ending is Ending.SILENT for step in seen)
        return Verdict.PASS if quiet else Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Answers:
    """Each step brings exactly these statuses, and the final answers carry exactly these bodies, in order."""

    statuses: tuple[tuple[int, ...], ...] = ((200,),)
    bodies: tuple[bytes, ...] | None = None
    """None: any."""
    closes: bool = False
    """Whether the connection is closed after the last answer. It says so in that answer."""

    def __call__(self, seen: tuple[Seen, ...]) -> Verdict:
        statuses = tuple(tuple(answer.status for answer in step.answers) for step in seen)
        bodies = tuple(answer.body for step in seen for answer in step.answers if answer.status >= 200)
        right = (
            statuses == self.statuses
            and (self.bodies is None or bodies == self.bodies)
            and (seen[-1].ending is Ending.CLOSED) == self.closes
        )
        return Verdict.PASS if right else Verdict.FAIL


REFUSES = Refuses()
WAITS = Waits()
ANSWERS = Answers()


def bodies(*expected: bytes, closes: bool = False) -> Answers:
    """One step, all 200, with these bodies in order."""
    return Answers((tuple(200 for _ in expected),), expected, closes)


def each(
    name: str,
    make: Callable[[bytes], bytes],
    spellings: tuple[bytes, ...],
    judge: Refuses | Answers | Waits,
    why: str,
) -> list[Case]:
    """One case for each spelling, named after it."""
    return [Case(f"{name} {spelling[:40]!r}", (make(spelling),), judge, why) for spelling in spellings]


def flow(
    name: str,
    sends: tuple[bytes, ...],
    judge: Refuses | Answers,
    why: str = "",
    *,
    answers: int = 1,
    interim: bool = False,
) -> Case:
    """A case of several steps or several answers."""
    return Case(name, sends, judge, why, answers=answers, interim=interim)
