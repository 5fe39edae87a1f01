"""The ledger judges, so it is judged: it sees each kind of fault, and none where none is."""

from tests.faults.ledger import Account, Ledger, Place, message

ONE, TWO, THREE, FOUR = (message(1, number) for number in range(1, 5))


def reader(ledger: Ledger, offset: int = 0) -> Account:
    return ledger.open(Place("a", offset))


def promised(*texts: str, epoch: str = "a") -> Ledger:
    ledger = Ledger()
    for offset, text in enumerate(texts, 1):
        ledger.promise(Place(epoch, offset), text)
    return ledger


def faults(ledger: Ledger) -> dict[str, int]:
    """What is not nought, without the plain counts."""
    return {
        name: count for name, count in ledger.totals().items() if count and name not in {"acknowledged", "delivered"}
    }


def test_a_place_is_written_as_it_is_read() -> None:
    assert Place.parse("k3f9.4") == Place("k3f9", 4)
    assert str(Place("k3f9", 4)) == "k3f9.4"


def test_all_delivered_is_no_fault() -> None:
    ledger = promised(ONE, TWO, THREE)
    first, second = reader(ledger), reader(ledger)
    first.give("a", 1, [ONE, TWO])
    assert not ledger.settled()
    first.give("a", 3, [THREE])
    second.give("a", 1, [ONE, TWO, THREE])
    assert ledger.settled()
    assert faults(ledger) == {}
    assert ledger.totals()["acknowledged"] == 3
    assert ledger.totals()["delivered"] == 6


def test_who_begins_later_misses_nothing() -> None:
    ledger = promised(ONE, TWO, THREE)
    reader(ledger, 2).give("a", 3, [THREE])
    assert faults(ledger) == {}


def test_what_was_told_as_lost_is_not_silent() -> None:
    ledger = promised(ONE, TWO, THREE)
    reader(ledger).give("a", 3, [THREE], lost=2)
    assert faults(ledger) == {"lost": 2}


def test_a_gap_is_a_silent_loss() -> None:
    ledger = promised(ONE, TWO, THREE)
    reader(ledger).give("a", 3, [THREE])
    assert faults(ledger) == {"silent": 2}


def test_what_never_came_is_a_silent_loss_for_each_reader() -> None:
    ledger = promised(ONE, TWO, THREE)
    for _ in range(2):
        reader(ledger).give("a", 1, [ONE])
    assert faults(ledger) == {"silent": 4}
    assert not ledger.settled()


def test_a_place_that_was_promised_to_one_and_has_another_is_a_silent_loss() -> None:
    """As after a failover that lost writes and kept the epoch."""
    ledger = promised(ONE, TWO)
    reader(ledger).give("a", 1, [ONE, THREE])
    assert faults(ledger) == {"silent": 1}


def test_two_readers_who_are_told_different_things() -> None:
    ledger = promised(ONE)
    reader(ledger).give("a", 1, [ONE])
    reader(ledger).give("a", 1, [TWO])
    assert faults(ledger) == {"swapped": 1}


def test_a_message_given_again_to_the_same_reader() -> None:
    ledger = promised(ONE, TWO)
    account = reader(ledger)
    account.give("a", 1, [ONE])
    account.give("a", 1, [ONE, TWO])
    assert faults(ledger) == {"doubled": 1}


def test_a_message_that_was_stored_twice() -> None:
    ledger = promised(ONE, TWO)
    reader(ledger).give("a", 1, [ONE, TWO, ONE])
    assert faults(ledger) == {"doubled": 1, "swapped": 1}


def test_messages_of_one_publisher_out_of_order() -> None:
    ledger = promised(ONE, THREE, TWO)
    reader(ledger).give("a", 1, [ONE, THREE, TWO])
    assert faults(ledger) == {"swapped": 1}


def test_what_a_reset_took_is_told_and_what_comes_again_after_it_is_counted_apart() -> None:
    ledger = promised(ONE, TWO, THREE)
    account = reader(ledger)
    account.give("a", 1, [ONE])
    ledger.promise(Place("b", 2), FOUR)
    account.give("b", 1, [ONE, FOUR], reset=True)
    assert faults(ledger) == {"reset": 1, "gone": 2, "doubled_over_reset": 1}
    assert ledger.settled()


def test_what_was_acknowledged_in_a_life_and_comes_in_the_next_one_is_not_gone() -> None:
    """As when a store forgot, took messages at places that it had given before, and then began a new life with them."""
    ledger = promised(ONE, TWO)
    account = reader(ledger)
    account.give("a", 1, [ONE, TWO])
    ledger.promise(Place("a", 2), THREE)
    ledger.promise(Place("a", 3), FOUR)
    account.give("b", 1, [ONE, THREE], reset=True)
    assert faults(ledger) == {"reset": 1, "gone": 1, "doubled_over_reset": 1}


def test_a_life_between_two_that_a_reader_knew_is_gone_as_well() -> None:
    ledger = promised(ONE)
    ledger.promise(Place("b", 1), TWO)
    ledger.promise(Place("c", 1), THREE)
    reader(ledger).give("c", 1, [THREE], reset=True)
    assert faults(ledger) == {"reset": 1, "gone": 2}


def test_a_reset_without_messages_moves_the_place() -> None:
    ledger = promised(ONE)
    account = reader(ledger)
    account.moved("b")
    account.give("b", 1, [TWO])
    assert faults(ledger) == {"reset": 1, "gone": 1}


def test_another_life_without_a_word_is_a_silent_loss() -> None:
    ledger = promised(ONE)
    account = reader(ledger)
    account.give("a", 1, [ONE])
    account.give("b", 1, [TWO])
    assert ledger.totals()["silent"] == 1


def test_what_was_lost_in_a_new_life_is_told_as_lost() -> None:
    ledger = promised(ONE)
    account = reader(ledger)
    account.give("a", 1, [ONE])
    account.give("b", 3, [FOUR], lost=2, reset=True)
    assert faults(ledger) == {"reset": 1, "lost": 2}
