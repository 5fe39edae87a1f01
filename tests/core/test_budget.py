"""What is taken of the bound over everything."""

from slosh.core.budget import Budget


def test_as_much_is_taken_as_there_is_and_not_a_byte_more() -> None:
    budget = Budget(10)
    assert budget.take(7)
    assert not budget.take(4)
    assert budget.take(3)
    assert budget.held == 10
