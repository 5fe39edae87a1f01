"""The envelope is JSON with the fields of the protocol, and carries messages as the bytes that were posted."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slosh.core.cursor import Cursor, parse_cursor
from slosh.core.reading import Filter, Place, Reading, read
from slosh.core.subscription import Batch
from slosh.core.topic import Topic
from slosh.web.readers.envelope import encode_envelope
from tests.properties import PROPERTY


def batch_of(reading: Reading) -> Batch:
    return Batch(str(reading.cursor), {}, (("test", reading),), several=False)


def reading_of(messages: list[bytes], place: Place = Place(0), queue: int = 100, limit: int = 0) -> Reading:  # noqa: B008
    topic = Topic("test", "k3f9", 0.0)
    topic.append(messages, 0.0, queue, 1_000_000)
    return read(topic, place, Filter(limit))


def test_the_example_of_the_protocol_byte_for_byte() -> None:
    reading = reading_of([b'{"m":1}', b'{"m":2}', b'{"m":3}', b'{"m":4}'], Place(1))
    assert encode_envelope(batch_of(reading)) == (
        b'{"max":4,"saw":3,"delivering":3,"res":[{"m":2},{"m":3},{"m":4}],"next":"k3f9.4"}'
    )


def test_what_does_not_apply_is_not_there() -> None:
    envelope = json.loads(encode_envelope(batch_of(reading_of([b"1"]))))
    assert set(envelope) == {"max", "saw", "delivering", "res", "next"}


def test_lost_conflated_reset_and_timeout_are_there_when_they_apply() -> None:
    reading = reading_of([b"1", b"2", b"3", b"4"], Place(0, reset=True), queue=3, limit=2)
    envelope = json.loads(encode_envelope(batch_of(reading)))
    assert {name: envelope[name] for name in ("saw", "delivering", "lost", "conflated", "reset")} == {
        "saw": 4,
        "delivering": 2,
        "lost": 1,
        "conflated": 1,
        "reset": True,
    }
    empty = reading_of([b"1"], Place(1))
    assert json.loads(encode_envelope(batch_of(empty), timed_out=True)) == {
        "max": 1,
        "saw": 0,
        "delivering": 0,
        "res": [],
        "next": "k3f9.1",
        "timeout": True,
    }


def test_a_message_keeps_its_letters() -> None:
    """No key is moved, no number loses a digit, nothing is escaped again."""
    message = '{ "b" : 1.10,"a": 12345678901234567890123 , "\\u00e9":"\u00e9" }'.encode()
    assert b'"res":[%b]' % message in encode_envelope(batch_of(reading_of([message])))


@PROPERTY
@given(st.lists(st.integers() | st.text() | st.lists(st.integers()), max_size=5), st.integers(0, 5), st.integers(1, 5))
def test_it_is_json_that_says_what_the_reading_says(values: Any, place: int, queue: int) -> None:
    reading = reading_of([json.dumps(value).encode() for value in values], Place(min(place, len(values))), queue)
    envelope = json.loads(encode_envelope(batch_of(reading)))
    assert envelope["res"] == values[len(values) - len(reading.messages) :]
    assert envelope["saw"] == envelope["delivering"] + envelope.get("lost", 0)
    assert envelope["delivering"] == len(envelope["res"])
    assert parse_cursor(envelope["next"]) == Cursor("k3f9", envelope["max"])


def test_several_topics_have_an_envelope_each_and_one_vector() -> None:
    one, other = reading_of([b"1"]), reading_of([b"2", b"3"])
    names = ('quo"te', "k\u00fcche")
    vector = ",".join(f"{name}={reading.cursor}" for name, reading in zip(names, (one, other), strict=True))
    batch = Batch(vector, {}, list(zip(names, (one, other), strict=True)), several=True)
    envelope = json.loads(encode_envelope(batch))
    assert envelope["next"] == vector
    assert {name: each["res"] for name, each in envelope["topics"].items()} == {names[0]: [1], names[1]: [2, 3]}
    assert "timeout" not in envelope


def test_several_topics_that_timed_out() -> None:
    batch = Batch("a=k.1,b=k.2", {}, [], several=True)
    assert json.loads(encode_envelope(batch, timed_out=True)) == {"topics": {}, "next": "a=k.1,b=k.2", "timeout": True}
