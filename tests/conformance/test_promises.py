"""slosh's own, stricter promises about bytes on the wire, case by case over a real socket."""

import pytest

from tests.cases import each_of
from tests.conformance.case import Case, Verdict
from tests.conformance.tables import PROMISES
from tests.conformance.wire import Address, run


def test_every_promise_has_a_name_of_its_own() -> None:
    assert len({case.name for case in PROMISES}) == len(PROMISES)


@pytest.mark.timeout(600)  # for all of them
@each_of("case", PROMISES, ids=lambda case: case.name)
def test_promise(case: Case, echo: Address) -> None:
    result = run(case, echo)
    assert result.verdict is Verdict.PASS, str(result)
