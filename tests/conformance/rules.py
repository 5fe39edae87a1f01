"""The rules that the public probe's cases use, under the names of what they ask."""

from tests.conformance.case import NONE, OK, Answer, Case, Ending, Judge, Rule, Seen, Verdict, case

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL
ANY = range(100, 600)
NOT_SWITCHED = frozenset(ANY) - {101}

ONLY_400 = Rule({400})
"""400, said aloud."""
REFUSED = Rule({400}, closed=PASS, silent=PASS)
"""400, or hanging up, or waiting for a request that makes sense; never a 2xx."""
REFUSED_OR_501 = Rule({400, 501}, closed=PASS)
LENIENT = Rule({400}, OK, closed=PASS)
"""The standard lets a server be strict or lenient: 400 is best, a 2xx is tolerable."""
ANSWERED = Rule(OK)
ANSWERED_OR_CLOSED = Rule(OK, closed=PASS, silent=PASS)
UNSWITCHED = Rule(NOT_SWITCHED, closed=PASS)
"""Anything but 101 Switching Protocols."""
TOO_LARGE = Rule({400, 431}, closed=PASS)
ODD_TARGET = Rule({400}, range(200, 500), closed=PASS)


def echoed(body: bytes) -> Rule:
    """Answer 2xx with `body`, or with the OK of a server that cannot echo."""

    def check(answer: Answer, _: Ending) -> Verdict:
        return PASS if answer.body.rstrip(b"\r\n") in (body, b"OK") else FAIL

    return Rule(OK, check=check)


def has(name: bytes, lacking: Verdict, good: range = OK) -> Rule:
    """Answer with a status in `good` and the field `name`; without the field the verdict is `lacking`."""

    def check(answer: Answer, _: Ending) -> Verdict:
        return PASS if answer.all(name) else lacking

    return Rule(good, check=check)


def closes(otherwise: Verdict) -> Rule:
    """Answer 2xx and close; a connection left open is `otherwise`."""

    def check(_: Answer, ending: Ending) -> Verdict:
        return PASS if ending is Ending.CLOSED else otherwise

    return Rule(OK, check=check)


def strict_or_closes(*refusals: int) -> Rule:
    """Refuse, or tolerably: answer 2xx and then close."""

    def check(answer: Answer, ending: Ending) -> Verdict:
        if answer.status in refusals:
            return PASS
        return WARN if ending is Ending.CLOSED else FAIL

    return Rule({*refusals, *OK}, closed=PASS, check=check)


def refused_or_closed(seen: tuple[Seen, ...]) -> Verdict:
    """Ask for 400 or a closed connection, whatever was answered before; an open one warns."""
    first = seen[0]
    if first.status == 400 or first.ending is Ending.CLOSED:
        return PASS
    return WARN if first.status in OK else FAIL


def safe_sequence(seen: tuple[Seen, ...]) -> Verdict:
    """Ask that the first, ambiguous request is refused or ends the connection."""
    first = seen[0]
    return PASS if first.status == 400 or first.ending is Ending.CLOSED else FAIL


def one_answer(seen: tuple[Seen, ...]) -> Verdict:
    """Ask the same, and that the hidden request in the body is never answered."""
    return FAIL if len(seen[0].answers) > 1 else safe_sequence(seen)


def follow_up(*, refusals: frozenset[int] = frozenset({400}), odd_first: Verdict, odd_next: Verdict) -> Judge:
    """Ask that bytes left over from the first step do not spoil the second.

    `odd_first` is the verdict when the first step is answered with neither a refusal nor 2xx,
    `odd_next` when the second brings more than its own 2xx.
    """

    def judge(seen: tuple[Seen, ...]) -> Verdict:
        first, second = seen
        if first.status in refusals or first.ending is Ending.CLOSED:
            return PASS
        if first.status not in OK:
            return odd_first
        if not second.ran:
            return PASS
        return PASS if second.status in OK and len(second.answers) == 1 else odd_next

    return judge


__all__ = [
    "ANSWERED",
    "ANSWERED_OR_CLOSED",
    "ANY",
    "FAIL",
    "LENIENT",
    "NONE",
    "NOT_SWITCHED",
    "ODD_TARGET",
    "OK",
    "ONLY_400",
    "PASS",
    "REFUSED",
    "REFUSED_OR_501",
    "TOO_LARGE",
    "UNSWITCHED",
    "WARN",
    "Case",
    "Rule",
    "Verdict",
    "case",
    "closes",
    "echoed",
    "follow_up",
    "has",
    "one_answer",
    "refused_or_closed",
    "safe_sequence",
    "strict_or_closes",
]
