"""What a reader can do without, `limit` and `key`, against a slow and obvious model."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slosh.core.reading import ALL, Filter, Place, read
from slosh.core.topic import Topic
from tests.cases import each_of
from tests.core.members import find_member
from tests.properties import PROPERTY

MESSAGES: st.SearchStrategy[list[Any]] = st.lists(
    st.one_of(
        st.fixed_dictionaries({"host": st.sampled_from(["a", "b", "é", None, 1, 1.0, True, [1], {}])}),
        st.fixed_dictionaries({"host": st.fixed_dictionaries({"name": st.sampled_from(["a", "b"])})}),
        st.sampled_from([None, 1, "host", [], {}, {"Host": "a"}]),
    ),
    max_size=12,
)
FILTERS = st.builds(Filter, st.integers(0, 5), st.sampled_from([(), ("host",), ("host", "name"), ("x",)]))
NOTHING = object()


def member(message: Any, path: tuple[str, ...]) -> Any:
    """The member at a path, the obvious way."""
    for name in path:
        if not isinstance(message, dict) or name not in message:
            return NOTHING
        message = message[name]
    return json.dumps(message)  # 1, 1.0 and true are three values


def model(messages: list[Any], wanted: Filter) -> list[int]:
    """The places of those that are given: a message is left out for each later one with the same key, then by limit."""
    kept = []
    for place, message in enumerate(messages):
        value = member(message, wanted.key) if wanted.key else NOTHING
        later = [member(each, wanted.key) for each in messages[place + 1 :]]
        if value is NOTHING or value not in later:
            kept.append(place)
    return kept[-wanted.limit :] if wanted.limit else kept


@PROPERTY
@given(messages=MESSAGES, wanted=FILTERS, queue=st.integers(1, 12), start=st.integers(0, 12))
def test_the_reader_gets_what_the_model_gives_and_all_is_counted(
    messages: list[Any], wanted: Filter, queue: int, start: int
) -> None:
    topic = Topic("a", "e", 0.0)
    encoded = [json.dumps(message).encode() for message in messages]
    for message in encoded:
        topic.append([message], 0.0, queue, 1_000_000)
    start = min(start, topic.last)
    reading = read(topic, Place(start), wanted)
    first = max(start, topic.last - queue)
    expected = [first + place for place in model(messages[first:], wanted)]
    assert reading.messages == [encoded[place] for place in expected]
    assert list(reading.offsets) == [place + 1 for place in expected]
    assert reading.lost == first - start
    assert reading.saw == topic.last - start == len(reading.messages) + reading.lost + reading.conflated
    assert reading.place == reading.newest == topic.last


@PROPERTY
@given(messages=MESSAGES, wanted=FILTERS)
def test_the_newest_message_is_always_given(messages: list[Any], wanted: Filter) -> None:
    topic = Topic("a", "e", 0.0)
    topic.append([json.dumps(message).encode() for message in messages], 0.0, 100, 1_000_000)
    reading = read(topic, Place(0), wanted)
    offsets = list(reading.offsets)
    assert offsets[-1:] == ([topic.last] if messages else [])


@each_of(
    ("one", "other", "same"),
    [
        (b'{"k":"a"}', b'{ "x":1, "k" : "a" }', True),
        (b'{"k":"\\u00e9"}', '{"k":"é"}'.encode(), True),
        (b'{"\\u006b":1}', b'{"k":1}', True),
        (b'{"k":1}', b'{"k":"1"}', False),
        (b'{"k":1}', b'{"k":1.0}', False),
        (b'{"k":9007199254740993}', b'{"k":9007199254740992}', False),
        (b'{"k":null}', b'{"k":null}', True),
        (b'{"k":true}', b'{"k":"true"}', False),
        (b'{"k":"a "}', b'{"k":"a"}', False),
    ],
)
def test_which_keys_are_the_same(one: bytes, other: bytes, same: bool) -> None:
    assert (find_member(one, ("k",)) == find_member(other, ("k",))) == same
    assert find_member(one, ("k",)) is not None


@each_of("message", [b"1", b"null", b'"k"', b"[]", b"{}", b'{"K":1}', b'[{"k":1}]'])
def test_a_message_without_the_key_stands_for_itself(message: bytes) -> None:
    assert find_member(message, ("k",)) is None
    topic = Topic("a", "e", 0.0)
    topic.append([message] * 3, 0.0, 100, 1_000_000)
    assert read(topic, Place(0), Filter(0, ("k",))).messages == [message] * 3


def test_a_filter_that_wants_all_is_none() -> None:
    assert Filter() == ALL


@PROPERTY
@given(
    messages=MESSAGES, wanted=FILTERS, queue=st.integers(1, 12), start=st.integers(0, 12), max_bytes=st.integers(1, 60)
)
def test_portion_by_portion_it_is_what_would_be_given_at_once(
    messages: list[Any], wanted: Filter, queue: int, start: int, max_bytes: int
) -> None:
    """As a slow stream reads. Each portion holds its bound, takes what fits, and the sums of all are those of one."""
    topic = Topic("a", "e", 0.0)
    for message in messages:
        topic.append([json.dumps(message).encode()], 0.0, queue, 1_000_000)
    place = start = min(start, topic.last)
    first = max(start, topic.last - queue)
    expected = [first + each + 1 for each in model(messages[first:], wanted)]
    offsets: list[int] = []
    sums = [0, 0, 0]
    while place < topic.last:
        reading = read(topic, Place(place), wanted, max_bytes)
        size = sum(map(len, reading.messages))
        assert size <= max_bytes or len(reading.messages) == 1
        offsets += reading.offsets
        rest = expected[len(offsets) :]
        assert not rest or size + len(json.dumps(messages[rest[0] - 1])) > max_bytes
        assert reading.saw == reading.place - place == len(reading.messages) + reading.lost + reading.conflated
        sums = [sum(pair) for pair in zip(sums, (reading.saw, reading.lost, reading.conflated), strict=True)]
        place = reading.place
    assert offsets == expected
    assert sums == [topic.last - start, first - start, topic.last - first - len(expected)]
