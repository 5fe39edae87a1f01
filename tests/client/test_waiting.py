"""What waits to be published: each topic in order, the oldest first, and nothing twice."""

import random

import pytest

from slosh.client.waiting import Waiting


def test_the_topic_that_has_waited_longest_comes_first() -> None:
    waiting = Waiting()
    for now, topic in enumerate("abacb"):
        waiting.add(topic, b"%d" % now, now)
    assert waiting.first() == ("a", 0)
    assert waiting.take("a", 2) == [b"0", b"2"]
    assert waiting.first() == ("b", 1)
    waiting.add("a", b"5", 5)
    assert waiting.take("b", 1) == [b"1"]
    assert waiting.first() == ("c", 3)
    assert waiting.take("c", 1) == [b"3"]
    assert waiting.first() == ("b", 4)
    assert waiting.take("b", 1) == [b"4"]
    assert waiting.first() == ("a", 5)
    assert len(waiting) == 1


def test_nothing_is_left_of_what_was_taken() -> None:
    waiting = Waiting()
    waiting.add("a", b"1", 0.0)
    waiting.take("a", 1)
    assert not waiting
    assert not waiting.of("a")
    waiting.add("a", b"2", 1.0)
    assert waiting.first() == ("a", 1.0)
    waiting.clear()
    assert not waiting


@pytest.mark.parametrize("seed", range(20))
def test_it_is_as_a_list_would_have_it(seed: int) -> None:
    chance = random.Random(seed)
    waiting, listed = Waiting(), list[tuple[str, float, bytes]]()
    for now in range(500):
        if listed and chance.random() < 0.4:
            topic, came, _ = listed[0]
            assert waiting.first() == (topic, came)
            same = [each for each in listed if each[0] == topic]
            assert list(waiting.of(topic)) == [message for _, _, message in same]
            taken = same[: chance.randint(1, len(same))]
            assert waiting.take(topic, len(taken)) == [message for _, _, message in taken]
            listed = [each for each in listed if each not in taken]
        else:
            listed.append((chance.choice("abcd"), float(now), b"%d" % now))
            waiting.add(listed[-1][0], listed[-1][2], now)
        assert len(waiting) == len(listed)
