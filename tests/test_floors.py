"""A module whose tests run too little of it is named, and so is an exception whose module is gone."""

import json
from pathlib import Path

import pytest

from tests import floors
from tests.floors import USUAL, missing, read


def test_modules_at_their_floor_are_well_and_those_below_are_named() -> None:
    assert (
        list(missing({"a.py": 100.0, "b.py": USUAL} | {module: floor for module, (floor, _) in floors.OTHERS.items()}))
        == []
    )
    (line,) = missing({"a.py": USUAL - 0.1} | {module: floor for module, (floor, _) in floors.OTHERS.items()})
    assert line.startswith("a.py: ")


def test_a_new_module_has_the_usual_floor_and_needs_no_row() -> None:
    others = {module: floor for module, (floor, _) in floors.OTHERS.items()}
    assert "client/brand_new.py" not in others
    assert list(missing(others | {"client/brand_new.py": 0.0})) == [
        f"client/brand_new.py: its tests run 0.0 % of it, and the floor is {USUAL:g} %"
    ]


def test_an_exception_has_its_floor_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(floor != USUAL and reason for floor, reason in floors.OTHERS.values())
    monkeypatch.setattr(floors, "OTHERS", {"a.py": (50.0, "a reason")})
    assert list(missing({"a.py": 50.0})) == []
    assert "the floor is 50 %" in next(missing({"a.py": 49.0}))
    assert "is gone" in next(missing({}))


def test_modules_are_named_by_their_path_below_the_package(tmp_path: Path) -> None:
    file = tmp_path / "coverage.json"
    file.write_text(
        json.dumps({"files": {"/x/site-packages/slosh/core/hub.py": {"summary": {"percent_covered": 99.5}}}})
    )
    assert read(file) == {"core/hub.py": 99.5}
