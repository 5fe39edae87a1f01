"""What a reader gets, against a slow obvious model: the list of all messages of each life of a topic."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from slosh.core.cursor import MAX_OFFSET, Cursor, parse_cursor
from slosh.core.reading import (
    ALL,
    Age,
    Earliest,
    Filter,
    Last,
    Now,
    Offset,
    Place,
    Reading,
    Since,
    Unknown,
    locate,
    read,
)
from slosh.core.topic import Topic
from tests.cases import each_of
from tests.core.members import find_member
from tests.properties import PROPERTY, STORY


def topic_of(count: int, queue: int = 100, epoch: str = "k") -> Topic:
    """A topic into which the messages 1, 2, 3, … came, one each second from second 1 on."""
    topic = Topic("a", epoch, 0.0)
    for number in range(1, count + 1):
        topic.append([str(number).encode()], float(number), queue, 1_000_000)
    return topic


def numbers(reading: Reading) -> list[int]:
    return [int(message) for message in reading.messages]


class TestLocate:
    """A ring of ten after fifteen messages: 6 to 15 are kept, and it is second 20."""

    @each_of(
        ("since", "offset"),
        [
            (Now(), 15),
            (Earliest(), 0),
            (Last(3), 12),
            (Last(0), 15),
            (Last(10), 5),
            (Age(5.0), 14),
            (Age(0.0), 15),
            (Offset(0), 0),
            (Offset(8), 8),
            (Offset(15), 15),
            (Cursor("k", 0), 0),
            (Cursor("k", 15), 15),
        ],
    )
    def test_a_place_that_is_there_is_found(self, since: Since, offset: int) -> None:
        assert locate(topic_of(15, queue=10), since, 20.0) == Place(offset)

    @each_of(
        ("since", "truncated"),
        [
            (Last(11), True),
            (Last(10), False),
            (Last(10**15), True),
            (Age(1e9), True),
            (Age(15.0), True),
            (Age(14.5), False),
        ],
    )
    def test_a_window_with_messages_that_are_not_kept_any_more_is_truncated(
        self, since: Since, truncated: bool
    ) -> None:
        """Message 5, the newest that fell off, arrived in second 5, 15 seconds ago."""
        topic = topic_of(15, queue=10)
        place = locate(topic, since, 20.0)
        assert place == Place(5, truncated=truncated)
        reading = read(topic, place)
        assert (reading.truncated, reading.saw, reading.lost) == (truncated, 10, 0)
        assert not read(topic, Place(reading.place)).truncated

    @pytest.mark.parametrize("since", [Last(10**15), Age(1e9), Earliest()])
    def test_nothing_is_truncated_where_all_of_the_life_is_kept(self, since: Since) -> None:
        assert locate(topic_of(10, queue=10), since, 20.0) == Place(0)

    @pytest.mark.parametrize(
        ("since", "truncated"), [(Last(2), False), (Last(3), True), (Age(1e9), True), (Age(0.0), True)]
    )
    def test_where_it_is_not_known_when_the_forgotten_ones_arrived_a_window_may_be_truncated(
        self, since: Since, truncated: bool
    ) -> None:
        """A node that mirrors a topic never had the older ones. A window that all it has lies in may hold them."""
        topic = topic_of(0)
        topic.skip_to(7)
        topic.append([b"8", b"9"], 20.0, 10, 100)
        assert locate(topic, Age(3.0), 24.0) == Place(9)
        assert locate(topic, since, 20.0) == Place(7, truncated=truncated)

    @each_of("since", [Offset(16), Offset(MAX_OFFSET), Cursor("k", 16), Cursor("x", 3), Cursor("x", 0), Unknown()])
    def test_another_life_the_future_and_nonsense_start_again_and_say_so(self, since: Since) -> None:
        topic = topic_of(15, queue=10)
        reading = read(topic, locate(topic, since, 20.0))
        assert reading.reset
        assert (reading.saw, reading.lost, numbers(reading)) == (15, 5, list(range(6, 16)))

    def test_a_reset_where_nothing_is_kept_yet_is_remembered_for_the_first_answer(self) -> None:
        topic = topic_of(0)
        place = locate(topic, Cursor("x", 7), 0.0)
        topic.append([b"1"], 0.0, 10, 100)
        assert read(topic, place) == Reading("k", 1, 1, 1, 0, 0, range(1, 2), [b"1"], reset=True)


class TestRead:
    """What a reader at a place is told."""

    def test_250_messages_into_a_ring_of_100(self) -> None:
        reading = read(topic_of(250), Place(0))
        assert (reading.newest, reading.saw, reading.lost, len(reading.messages)) == (250, 250, 150, 100)
        assert numbers(reading) == list(range(151, 251))
        assert str(reading.cursor) == "k.250"

    def test_nothing_new_is_an_empty_reading_at_the_same_place(self) -> None:
        assert read(topic_of(3), Place(3)) == Reading("k", 3, 3, 0, 0, 0, range(4, 4), [], reset=False)

    @PROPERTY
    @example(12, 12, 9, 0, 1)  # the first message alone is longer than all may be
    @example(12, 12, 8, 0, 2)  # the second is what does not fit
    @given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 30), st.integers(0, 12), st.integers(0, 30))
    def test_saw_is_delivering_and_lost_and_conflated(
        self, count: int, queue: int, start: int, limit: int, max_bytes: int
    ) -> None:
        topic = topic_of(count, queue)
        start = min(start, count)
        reading = read(topic, Place(start), Filter(limit), max_bytes)
        assert reading.saw == len(reading.messages) + reading.lost + reading.conflated
        assert reading.saw == reading.place - start
        assert [str(offset).encode() for offset in reading.offsets] == reading.messages
        assert list(reading.offsets) == sorted(reading.offsets)
        first_kept = max(start, topic.first - 1) + 1
        assert reading.lost == first_kept - start - 1
        wanted = list(range(first_kept, count + 1))[-limit or None :]
        assert numbers(reading) == wanted[: len(reading.messages)]
        if len(reading.messages) == len(wanted):
            assert reading.place == reading.newest == count
        else:
            assert max_bytes
            assert reading.place == numbers(reading)[-1]
            assert len(reading.messages) == 1 or sum(map(len, reading.messages)) <= max_bytes

    @PROPERTY
    @given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 20))
    def test_a_chain_of_parts_gives_all_and_takes_as_much_as_fits_each_time(
        self, count: int, queue: int, max_bytes: int
    ) -> None:
        """As a slow stream reads: some bytes at a time, each from where the one before ended."""
        topic = topic_of(count, queue)
        got: list[int] = []
        saw = place = 0
        while place < topic.last:
            reading = read(topic, Place(place), ALL, max_bytes)
            assert reading.messages
            assert parse_cursor(str(reading.cursor)) == Cursor("k", reading.place)
            rest = topic.after(reading.place)
            assert not rest or sum(map(len, reading.messages)) + len(rest[0]) > max_bytes
            got += numbers(reading)
            saw += reading.saw
            place = reading.place
        assert got == numbers(read(topic, Place(0)))
        assert saw == count


class TestKey:
    """`key`: the newest message of each value, and the others are counted."""

    def conflate(self, messages: list[bytes], *path: str, limit: int = 0) -> tuple[list[bytes], int]:
        topic = Topic("a", "k", 0.0)
        topic.append(messages, 0.0, 100, 10_000)
        reading = read(topic, Place(0), Filter(limit, path))
        assert reading.saw == len(messages) == len(reading.messages) + reading.conflated
        assert [messages[offset - 1] for offset in reading.offsets] == reading.messages
        return reading.messages, reading.conflated

    def test_the_newest_of_each_in_the_order_in_which_they_came(self) -> None:
        a1, b1, a2, c1 = b'{"h":"a","t":1}', b'{"h":"b","t":1}', b'{"h":"a","t":2}', b'{"h":"c","t":1}'
        assert self.conflate([a1, b1, a2, c1], "h") == ([b1, a2, c1], 1)

    def test_a_path_leads_into_objects(self) -> None:
        messages = [b'{"r":{"id":1}}', b'{"r":{"id":2}}', b'{"x":1,"r":{"id":1}}']
        assert self.conflate(messages, "r", "id") == (messages[1:], 1)

    def test_messages_without_the_member_are_all_given(self) -> None:
        messages = [b"1", b"[1]", b'{"h":"a"}', b'"h"', b"1", b"{}", b'{"h":"a"}', b'{"H":"a"}']
        assert self.conflate(messages, "h") == (messages[:2] + messages[3:], 1)

    def test_a_string_is_the_same_however_it_was_escaped(self) -> None:
        assert self.conflate([b'{"h":"\\u00e9"}', '{"h":"\u00e9"}'.encode()], "h")[1] == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (b'{"h":1}', b'{"h":"1"}'),
            (b'{"h":null}', b'{"h":"null"}'),
            (b'{"h":9007199254740993}', b'{"h":9007199254740992}'),
            (b'{"h":true}', b'{"h":1}'),
            (b'{"h":"a"}', b'{"h":"A"}'),
        ],
    )
    def test_different_values_stay_apart(self, one: bytes, other: bytes) -> None:
        """A number is compared by its letters, so that large ones lose no precision."""
        assert self.conflate([one, other], "h") == ([one, other], 0)

    def test_limit_counts_what_key_has_left(self) -> None:
        messages = [b'{"h":"a"}', b'{"h":"b"}', b'{"h":"a"}', b'{"h":"c"}']
        assert self.conflate(messages, "h", limit=2) == (messages[2:], 2)

    def test_white_space_around_a_value_is_no_part_of_it(self) -> None:
        assert find_member(b'{ "h" :\t1 , "i":2}', ("h",)) == b"1"

    @PROPERTY
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=20), st.integers(0, 5))
    def test_against_a_dict_of_the_newest(self, pairs: Any, limit: int) -> None:
        messages = [b'{"k":"%b","n":%d,"v":%d}' % (k.encode(), n, v) for n, (k, v) in enumerate(pairs)]
        newest = sorted({k: n for n, (k, _) in enumerate(pairs)}.values())[-limit or None :]
        assert self.conflate(messages, "k", limit=limit)[0] == [messages[n] for n in newest]


class Reader:
    """A client that keeps its cursor, and a ledger of what became of each message that it could have had."""

    def __init__(self, life: int, cursor: Cursor) -> None:
        self.cursor = cursor
        self.life = life  # which life of the topic its cursor is of
        self.stood = cursor.offset
        self.fate: dict[int, str] = {}


class ReadersStory(RuleBasedStateMachine):
    """Readers who poll now and then, lose answers on the wire, and see the topic die and come back.

    The promise: along a chain of cursors every message of a life is either delivered or counted as lost,
    exactly once, in order, and never in silence.
    """

    readers: Bundle[Reader] = Bundle("readers")

    @initialize(queue=st.integers(1, 6), queue_bytes=st.integers(1, 30))
    def begin(self, queue: int, queue_bytes: int) -> None:
        self.queue, self.queue_bytes = queue, queue_bytes
        self.life = -1
        self.number = 0
        self.lives: list[list[bytes]] = []
        self.restart()

    @rule()
    def restart(self) -> None:
        """The topic dies and another of the same name is created."""
        self.life += 1
        self.lives.append([])
        self.topic = Topic("a", f"e{self.life}", 0.0)

    @rule(sizes=st.lists(st.integers(0, 9), max_size=4))
    def publish(self, sizes: list[int]) -> None:
        batch = []
        for size in sizes:
            self.number += 1
            batch.append(b'"%d%b"' % (self.number, b"." * size))
        self.topic.append(batch, 0.0, self.queue, self.queue_bytes)
        self.lives[self.life] += batch

    @rule(target=readers)
    def begin_to_read_now(self) -> Reader:
        return Reader(self.life, Cursor(self.topic.epoch, locate(self.topic, Now(), 0.0).offset))

    @rule(target=readers)
    def begin_to_read_at_the_earliest(self) -> Reader:
        return Reader(self.life, Cursor(self.topic.epoch, locate(self.topic, Earliest(), 0.0).offset))

    @rule(reader=readers, arrives=st.booleans(), max_bytes=st.sampled_from([0, 0, 5, 20]))
    def poll(self, reader: Reader, arrives: bool, max_bytes: int) -> None:
        reading = read(self.topic, locate(self.topic, reader.cursor, 0.0), ALL, max_bytes)
        comes_from_before = reader.life != self.life
        assert reading.reset == comes_from_before
        assert reading.saw == len(reading.messages) + reading.lost
        start = 0 if comes_from_before else reader.cursor.offset
        everything = self.lives[self.life]
        assert reading.messages == everything[start + reading.lost : reading.place]
        assert reading.newest == len(everything)
        if not arrives:
            return  # The client asks again with the cursor that it has.
        if comes_from_before:
            reader.life, reader.stood, reader.fate = self.life, 0, {}
        for offset in range(start + 1, start + reading.lost + 1):
            assert reader.fate.setdefault(offset, "lost") == "lost"
        for offset in reading.offsets:
            assert offset not in reader.fate
            reader.fate[offset] = "delivered"
        cursor = parse_cursor(str(reading.cursor))
        assert cursor is not None
        reader.cursor = cursor
        assert sorted(reader.fate) == list(range(reader.stood + 1, cursor.offset + 1))

    @rule(ahead=st.integers(1, 5))
    def ask_from_the_future(self, ahead: int) -> None:
        """A cursor that cannot be is answered with all that is kept, and the word."""
        reading = read(self.topic, locate(self.topic, Cursor(self.topic.epoch, self.topic.last + ahead), 0.0))
        assert reading.reset
        assert reading.saw == len(self.lives[self.life])
        assert reading.messages == self.topic.after(0)


TestReadersStory = ReadersStory.TestCase
TestReadersStory.settings = STORY
