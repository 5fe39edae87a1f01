"""The lines of a recording, written and read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.client.errors import BadUse
from slosh.client.items import Item, Note
from slosh.commands.recording import RecordedMessage, read_line, write_item, write_note
from tests.cases import each_of
from tests.commands.test_sub import POISON

TEXTS = st.sampled_from(
    ['{"t": 21.50}', "1e3", '",\\"message\\":1"', '{"a":{"message":[1, 2]}}', "[ ]", '"\u2028"', "null"]
)


@given(st.text(min_size=1), st.floats(0, 4e9), TEXTS)
def test_what_is_written_is_read_with_the_messages_own_text(topic: str, time: float, text: str) -> None:
    line = write_item(Item(None, topic, 7, time, "e.7", raw=text), 0.0)
    assert line.count("\n") == 1
    read = read_line(line.encode("utf-8", "surrogatepass"), 1)
    assert read is not None
    assert (read.topic, read.time, read.message) == (topic, time, text.encode())


def test_a_message_without_a_time_has_that_of_its_coming() -> None:
    read = read_line(write_item(Item(1, "a", 1, None, "e.1", raw="1"), 12.5).encode(), 1)
    assert read is not None
    assert read.time == 12.5


def test_a_note_is_no_message() -> None:
    assert read_line(write_note(Note("lost", "a", 3), 1.0).encode(), 1) is None
    assert read_line(b"  \n", 2) is None


@pytest.mark.parametrize(
    "order", [b'{"message":{"a":1},"topic":"k","time":1}', b'{"topic":"k","message": {"a":1} ,"time":1}']
)
def test_another_programs_line_is_read_too(order: bytes) -> None:
    read = read_line(order, 1)
    assert read is not None
    assert (read.topic, read.message.replace(b" ", b"")) == ("k", b'{"a":1}')


@each_of(
    "line",
    [
        b"x",
        b"[1]",
        b"1",
        b'{"message":1}',
        b'{"message":1,"topic":""}',
        b'{"message":1,"topic":"a","time":"x"}',
        b'{"topic":"a","message":tru}',
        b"\xff",
    ],
)
def test_a_line_that_is_none_is_named(line: bytes) -> None:
    with pytest.raises(BadUse, match="Line 3"):
        read_line(line, 3)


@each_of("text", [*POISON, '"\\ud83c\\udf21"', '"\\\\ud800"'])
def test_every_message_is_read_back_as_it_was_written(text: str) -> None:
    topic = "\U0001f321"
    for said in (topic, json.dumps(topic)[1:-1]):
        line = f'{{"topic":"{said}","time":1.5,"message":{text}}}'.encode()
        assert read_line(line, 1) == RecordedMessage(topic, 1.5, text.encode())
