"""The tests are shared out so that long ones begin first and tests that share something stay together."""

from tests.parallel import CHECKOUT, LONG, ONE_BY_ONE, rank, unit


def test_long_tests_come_first() -> None:
    names = ["tests/core/test_hub.py::a", "tests/feeders/test_feeding.py::a", "tests/faults/test_faults.py::a"]
    assert sorted(names, key=rank) == names[::-1]


def test_a_quick_file_is_one_unit_and_a_long_test_is_one_by_itself() -> None:
    assert unit("tests/core/test_hub.py::test_a[x::y]") == "tests/core/test_hub.py"
    assert unit("tests/faults/test_faults.py::test_a[x::y]") == "tests/faults/test_faults.py::test_a[x::y]"


def test_the_tests_of_one_browser_stay_together() -> None:
    assert unit("tests/e2e/test_view.py::test_a") == unit("tests/e2e/test_view.py::test_b")
    assert unit("tests/e2e/test_process.py::test_a") != unit("tests/e2e/test_process.py::test_b")


def test_every_name_is_of_something_that_is_there() -> None:
    for name in (*LONG, *ONE_BY_ONE):
        assert list(CHECKOUT.glob(f"{name}*")), name
