"""One test for all cases tries each of them, and names those that fail."""

import inspect

import pytest

from tests.cases import each_of


def test_each_is_tried_and_those_that_fail_are_named() -> None:
    tried: list[int] = []

    @each_of("number", [1, 2, 3, 4], ids=lambda number: f"case {number}")
    def test(number: int, fixture: str) -> None:
        tried.append(number)
        assert number % 2, f"{fixture} is even"

    with pytest.raises(AssertionError, match=r"2 of 4 failed:\ncase 2: .*it is even\n(.*\n)*case 4: ") as caught:
        test(fixture="it")
    assert tried == [1, 2, 3, 4]
    assert isinstance(caught.value.__cause__, AssertionError)


def test_what_is_expected_and_does_not_happen_is_a_failure_too() -> None:
    @each_of("text", ["1", "x"])
    def test(text: str) -> None:
        with pytest.raises(ValueError, match="invalid"):
            int(text)

    with pytest.raises(AssertionError, match="1 of 2 failed:\n'1': Failed: DID NOT RAISE"):
        test()


def test_one_that_skips_is_a_failure_because_it_would_hide_others() -> None:
    @each_of("number", [1, 2, 3])
    def test(number: int) -> None:
        if number == 2:
            pytest.skip("not here")
        assert number == 3

    with pytest.raises(AssertionError, match=r"2 of 3 failed:\n1: AssertionError: .*\n(.*\n)*2: Skipped: not here"):
        test()


def test_where_the_time_of_the_test_is_over_no_other_is_tried() -> None:
    """The limit of pytest-timeout ends one alone, and the next could hang for ever."""
    tried: list[int] = []

    @each_of("number", [1, 2])
    def test(number: int) -> None:
        tried.append(number)
        pytest.fail("Timeout (>0.1s) from pytest-timeout.")

    with pytest.raises(AssertionError, match="1: Failed: Timeout"):
        test()
    assert tried == [1]


@pytest.mark.parametrize("names", ["a, b", ("a", "b")])
def test_a_value_can_be_several_and_two_lists_make_pairs(names: str | tuple[str, str]) -> None:
    seen: list[tuple[int, int, str]] = []

    @each_of("c", "xy")
    @each_of(names, [(1, 2), (3, 4)], ids=["one", "two"])
    def test(a: int, b: int, c: str) -> None:
        seen.append((a, b, c))

    assert not inspect.signature(test).parameters
    test()
    assert seen == [(1, 2, "x"), (3, 4, "x"), (1, 2, "y"), (3, 4, "y")]


def test_a_list_of_nothing_and_a_name_that_the_test_does_not_take_are_mistakes() -> None:
    def test(number: int) -> None: ...

    with pytest.raises(ValueError, match="there is no number to try"):
        each_of("number", [])
    with pytest.raises(ValueError, match="test does not take nubmer"):
        each_of("nubmer", [1])(test)


class TestMethods:
    """A test that is a method, and asks for a fixture."""

    @each_of("number", [1, 2])
    def test_it_has_its_fixtures(self, request: pytest.FixtureRequest, number: int) -> None:
        assert number in {1, 2}
        assert request.node.name == "test_it_has_its_fixtures"
