"""The public probe's cases against slosh's HTTP server: all right but the listed deviations."""

from pathlib import Path

import pytest

from tests.cases import each_of
from tests.conformance.case import Case, Verdict
from tests.conformance.tables import PROBE, PROMISES
from tests.conformance.wire import Address, run

DEVIATIONS = {
    "MAL-POST-CL-HUGE-NO-BODY": (
        "a body that is too large is refused with 413 from its declared length, before a byte of it is read; "
        "the probe takes 400 or waiting, and nginx answers 413 too"
    ),
}
"""Cases that slosh fails on purpose. `docs/conformance.md` tells them."""


def test_the_table_has_the_161_scored_cases_of_the_public_suite() -> None:
    assert sum(case.scored for case in PROBE) == 161
    assert len({case.name for case in PROBE}) == len(PROBE) == 202
    assert set(DEVIATIONS) <= {case.name for case in PROBE}


def test_the_docs_tell_the_score_and_each_deviation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()
    scored = sum(case.scored for case in PROBE)
    assert f"| **slosh** | **{scored - len(DEVIATIONS)}** |" in page
    assert all(f"`{name}`" in page for name in DEVIATIONS)
    assert f"{len(PROMISES)} cases that are stricter" in page


@pytest.mark.timeout(600)  # for all of them
@each_of("case", PROBE, ids=lambda case: case.name)
def test_public_probe(case: Case, echo: Address) -> None:
    result = run(case, echo)
    if case.name in DEVIATIONS:
        assert result.verdict is Verdict.FAIL, f"no deviation any more, take it off the list: {result}"
        return
    assert result.verdict is not Verdict.FAIL, str(result)
