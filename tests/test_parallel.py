"""The tests are shared out so that long ones begin first and tests that share something stay together."""

from tests.parallel import BUSY, CHECKOUT, LONG, ONE_BY_ONE, Kind, choose, rank, share, unit


def test_long_tests_come_first() -> None:
    names = ["tests/core/test_hub.py::a", "tests/feeders/test_feeding.py::a", "tests/faults/test_faults.py::a"]
    assert sorted(names, key=rank) == names[::-1]


def test_a_quick_file_is_one_unit_and_a_long_test_is_one_by_itself() -> None:
    assert unit("tests/core/test_hub.py::test_a[x::y]") == "tests/core/test_hub.py"
    assert unit("tests/faults/test_faults.py::test_a[x::y]") == "tests/faults/test_faults.py::test_a[x::y]"


def test_the_tests_of_one_server_stay_together() -> None:
    assert unit("tests/e2e/test_view_numbers.py::test_a") == unit("tests/e2e/test_view_numbers.py::test_b")
    assert unit("tests/e2e/test_view.py::test_a") != unit("tests/e2e/test_view.py::test_b")


def test_some_workers_begin_with_tests_that_compute_and_some_with_tests_that_wait() -> None:
    names = waits, busy, quick = [
        "tests/commands/test_sub.py::test_a",
        "tests/e2e/test_view.py::test_a",
        "tests/core/test_hub.py",
    ]
    for begins, order in (
        (Kind.WAITS, [waits, busy, quick]),
        (Kind.BUSY, [busy, waits, quick]),
        (Kind.QUICK, [quick, waits, busy]),
    ):
        left = names.copy()
        taken = []
        while left:
            taken.append(choose(left, begins))
            left.remove(taken[-1])
        assert taken == order


def test_units_of_one_kind_are_taken_in_their_order() -> None:
    names = ["tests/core/test_hub.py", "tests/commands/test_sub.py::test_b", "tests/commands/test_sub.py::test_a"]
    for begins in (Kind.WAITS, Kind.BUSY):
        assert choose(names, begins) == names[1]


def test_the_shares_that_workers_compile_are_all_tests_and_none_twice() -> None:
    names = [name for index in range(3) for name in share(index, 3)]
    assert len(set(names)) == len(names) == len(list((CHECKOUT / "tests").rglob("test_*.py")))
    assert __name__ in names


def test_every_name_is_of_something_that_is_there() -> None:
    for name in (*LONG, *ONE_BY_ONE, *BUSY):
        assert list(CHECKOUT.glob(f"{name}*")), name
