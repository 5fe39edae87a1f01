"""Heads are remembered by their very bytes, and no more of them than there is room for."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slosh.web import memory as memory_module
from slosh.web.action import Action
from slosh.web.head import Head
from slosh.web.memory import HeadMemory, Known, Texts
from tests.properties import PROPERTY

GENERATION = memory_module._GENERATION
LONGEST = memory_module._LONGEST


def known(block: bytes) -> Known:
    return Known(block, Head(block, "GET", b"/", 1, []), Action())


def test_what_is_remembered_is_recalled_by_just_its_bytes() -> None:
    memory = HeadMemory()
    one = known(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    memory.remember(one)
    assert memory.recall(one.block) is one
    for other in (one.block[:-1], one.block + b"\n", one.block.lower(), one.block.replace(b": ", b":"), b""):
        assert memory.recall(other) is None


def test_there_are_never_more_than_two_generations() -> None:
    memory = HeadMemory()
    blocks = [b"GET /%d" % number for number in range(5 * GENERATION)]
    for block in blocks:
        memory.remember(known(block))
    recalled = [block for block in blocks if memory.recall(block) is not None]
    assert recalled[-1] == blocks[-1]
    assert GENERATION <= len(recalled) <= 2 * GENERATION


def test_what_is_used_stays_whatever_else_comes() -> None:
    """A flood of heads that come once does not drive out those that come again and again."""
    memory = HeadMemory()
    mine = known(b"GET /mine")
    memory.remember(mine)
    for number in range(5 * GENERATION):
        memory.remember(known(b"GET /%d" % number))
        if number % (GENERATION // 2) == 0:
            assert memory.recall(mine.block) is mine


def test_a_long_head_is_not_remembered() -> None:
    memory = HeadMemory()
    for length in (LONGEST, LONGEST + 1):
        memory.remember(known(b"x" * length))
    assert memory.recall(b"x" * LONGEST) is not None
    assert memory.recall(b"x" * (LONGEST + 1)) is None


@PROPERTY
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=100))
def test_a_head_is_recalled_as_itself_or_not_at_all(steps: Any) -> None:
    memory = HeadMemory()
    latest: dict[bytes, Known] = {}
    for remembers, number in steps:
        block = b"GET /%d" % number
        if remembers:
            latest[block] = known(block)
            memory.remember(latest[block])
        assert memory.recall(block) is latest.get(block)


def spell(number: int) -> str:
    """A text that is an object of its own, each time."""
    return f"key {number}"


def test_equal_texts_are_one_object_and_the_oldest_are_forgotten() -> None:
    texts = Texts(10)
    first = texts.find(spell(0))
    assert texts.find(spell(0)) is first
    for number in range(1, 100):
        assert texts.find(spell(number)) == spell(number)
        assert len(texts) <= 10
    assert texts.find(spell(99)) is texts.find(spell(99))
    assert texts.find(spell(0)) is not first
