"""All tables of cases by name."""

from tests.conformance import (
    known_bugs,
    probe_compliance,
    probe_malformed,
    probe_smuggling,
    promises_body,
    promises_flow,
    promises_head,
)
from tests.conformance.case import Case

PROBE: list[Case] = [*probe_compliance.CASES, *probe_smuggling.CASES, *probe_malformed.CASES]

PROMISES: list[Case] = [
    *promises_head.CASES,
    *promises_body.CASES,
    *promises_flow.CASES,
    *known_bugs.CASES,
]

TABLES: dict[str, list[Case]] = {"probe": PROBE, "promises": PROMISES}
