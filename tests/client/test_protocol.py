"""What a client knows without I/O: requests, places, pauses, and polls where streams are kept back."""

import json
from typing import Any

import pytest

from slosh.client import Client
from slosh.client.answers import pause_before
from slosh.client.errors import BadUse, Refused, Unreadable
from slosh.client.items import Item, Note
from slosh.client.protocol import WatchState
from tests.cases import each_of


def watching(*topics: str, **options: str) -> WatchState:
    return WatchState(topics, options, jitter=lambda: 1.0)


def envelope(**more: Any) -> bytes:
    told = {"max": 0, "saw": 0, "delivering": 0, "res": [], "next": "aaaaaaaa.0"} | more
    return json.dumps(told).encode()


class TestPauses:
    """How long a reader waits before it asks again."""

    def test_each_failure_doubles_the_pause_up_to_half_a_minute(self) -> None:
        reader = watching("a")
        pauses = []
        for _ in range(10):
            reader.cut()
            pauses.append(reader.pause)
        assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]

    def test_a_message_ends_the_row_of_failures(self) -> None:
        reader = watching("a")
        reader.cut()
        reader.cut()
        assert list(reader.event("message", '{"time":1,"message":1}', "aaaaaaaa.1"))
        reader.cut()
        assert reader.pause == 0.25

    def test_the_server_s_own_pause_is_the_least(self) -> None:
        """The end of a stream's life is no failure, and a thousand readers are not to come back at once."""
        reader = watching("a")
        assert not list(reader.event("message", "", "aaaaaaaa.0", retry=2345))
        reader.cut()
        assert reader.pause == 2.345

    def test_of_a_pause_that_no_clock_can_wait_a_day_is_left(self) -> None:
        """The watch ended with an OverflowError of Python's."""
        for retry in (10**13, int("9" * 400)):
            reader = watching("a")
            assert not list(reader.event("message", "", "aaaaaaaa.0", retry=retry))
            reader.cut()
            assert reader.pause == 86_400

    def test_a_time_that_no_clock_has_is_none(self) -> None:
        [item] = watching("a").event("message", '{"time":%s,"message":1}' % ("9" * 400), "aaaaaaaa.1")
        assert isinstance(item, Item)
        assert (item.message, item.time) == (1, None)

    def test_retry_after_is_obeyed_and_bounded(self) -> None:
        reader = watching("a")
        reader.answered(503, {"retry-after": "7"}, b"", "x")
        assert reader.pause == 7
        reader.answered(429, {"retry-after": "99999"}, b"", "x")
        assert reader.pause == 30
        assert pause_before(1, {"retry-after": "3"}, 0.0) == 3

    def test_at_once_is_taken_at_its_word_and_no_circle(self) -> None:
        """A server whose successor serves already says so; one that says it for ever is not asked without a pause."""
        pauses = [pause_before(attempt, {"retry-after": "0"}, 1.0) for attempt in (1, 2, 3, 20)]
        assert pauses == [0.05, 0.1, 0.2, 30.0]
        reader = watching("a")
        assert not list(reader.event("message", "", "aaaaaaaa.0", retry=2345))
        reader.answered(503, {"retry-after": "0"}, b"", "x")
        assert reader.pause == 0.05
        reader = watching("a")
        assert not list(reader.event("message", "", "aaaaaaaa.0", retry=120))  # as the last line of a stream
        reader.cut()
        assert reader.pause == 0.12


@pytest.mark.parametrize("framing", ["events", "envelopes"])
def test_topics_that_are_left_out_are_told_of_once(framing: str) -> None:
    """Each connection says it again."""
    reader = watching("a/*")

    def tell() -> list[Item | Note]:
        if framing == "events":
            return list(reader.event("incomplete", '{"incomplete":true}', ""))
        return list(reader.envelope(b'{"topics":{},"next":"*","incomplete":true}'))

    assert tell() == [Note("incomplete", "")]
    assert reader.incomplete
    assert not tell()


class TestNow:
    """Messages that came between two requests whose first answer was lost are asked for, and not missed in silence."""

    @pytest.mark.parametrize("options", [{}, {"since": "now"}])
    def test_the_second_request_asks_for_what_came_since_the_first(self, options: dict[str, str]) -> None:
        times = iter([100.0, 102.5, 103.0005])
        reader = WatchState(["a"], options, jitter=lambda: 1.0, clock=lambda: next(times))
        assert "ms" not in reader.ask().path
        reader.cut()
        assert reader.ask().path == "/topics/a?times&since=3500ms"
        reader.cut()
        assert reader.ask().path == "/topics/a?times&since=4001ms"

    def test_a_place_that_was_told_counts(self) -> None:
        reader = watching("a")
        reader.ask()
        assert not list(reader.event("place", '{"next":"aaaaaaaa.1"}', "aaaaaaaa.1"))
        assert reader.ask().path == "/topics/a?times&since=aaaaaaaa.1"

    @pytest.mark.parametrize("since", ["earliest", "-5", "10m"])
    def test_any_other_beginning_is_asked_for_again(self, since: str) -> None:
        reader = watching("a", since=since)
        assert [reader.ask().path for _ in range(2)] == [f"/topics/a?times&since={since}"] * 2


class TestPolls:
    """Where something on the way keeps a stream back, nothing comes for as long as three heartbeats."""

    def test_silence_changes_to_polls_from_the_same_place(self) -> None:
        reader = watching("a")
        assert list(reader.event("message", '{"time":1,"message":1}', "aaaaaaaa.1"))
        reader.cut(silent=True)
        ask = reader.ask()
        assert not ask.streams
        assert ask.path == "/topics/a?times&since=aaaaaaaa.1&wait=25"
        assert "Accept" not in ask.headers

    def test_a_cut_alone_does_not(self) -> None:
        reader = watching("a")
        reader.cut()
        assert reader.ask().streams

    def test_an_envelope_gives_what_a_stream_would(self) -> None:
        reader = watching("a")
        reader.cut(silent=True)
        body = envelope(max=5, saw=4, delivering=2, res=[4, 5], times=[1500, 2500], next="aaaaaaaa.5", lost=2)
        given = list(reader.envelope(body))
        assert given == [
            Note("lost", "a", 2),
            Item(4, "a", 4, 1.5, "aaaaaaaa.4", 2, raw="4", epoch="aaaaaaaa"),
            Item(5, "a", 5, 2.5, "aaaaaaaa.5", raw="5", epoch="aaaaaaaa"),
        ]
        assert reader.place == "aaaaaaaa.5"
        assert reader.pause == 0
        assert reader.lost == 2

    def test_a_reader_that_stops_half_way_goes_on_there(self) -> None:
        reader = watching("a")
        given = reader.envelope(envelope(max=5, res=[4, 5], next="aaaaaaaa.5"))
        next(given)
        given.close()  # type: ignore[attr-defined]  # it is a generator
        assert reader.place == "aaaaaaaa.4"

    def test_offsets_are_not_guessed_where_messages_were_left_out(self) -> None:
        reader = watching("a", key="host")
        (note, item) = reader.envelope(envelope(max=5, res=[5], next="aaaaaaaa.5", conflated=4))
        assert note == Note("conflated", "a", 4)
        assert isinstance(item, Item)
        assert item.offset is None

    def test_several_topics_move_together(self) -> None:
        reader = watching("a", "b")
        parts = {"a": json.loads(envelope(max=2, res=[1, 2], next="aaaaaaaa.2"))}
        body = json.dumps({"topics": parts, "next": "a=aaaaaaaa.2,b=bbbbbbbb.0"}).encode()
        first, second = reader.envelope(body)
        assert isinstance(first, Item)
        assert isinstance(second, Item)
        assert (first.topic, first.epoch, first.offset, first.message) == ("a", "aaaaaaaa", 1, 1)
        assert (second.topic, second.epoch, second.offset, second.message) == ("a", "aaaaaaaa", 2, 2)
        assert first.place == second.place == ""
        assert reader.place == "a=aaaaaaaa.2,b=bbbbbbbb.0"

    def test_an_ended_topic_ends_the_reader(self) -> None:
        reader = watching("a")
        assert list(reader.envelope(envelope(ended=True))) == [Note("ended", "a")]
        assert reader.is_over


class TestEvents:
    """What comes between messages."""

    def test_a_reset_stands_on_the_message_that_follows(self) -> None:
        reader = watching("a")
        assert list(reader.event("reset", '{"reset":true}', "")) == [Note("reset", "a")]
        (item,) = reader.event("message", '{"time":1,"message":1}', "bbbbbbbb.1")
        assert isinstance(item, Item)
        assert item.reset

    def test_one_of_several_topics_that_ended_does_not_end_the_others(self) -> None:
        reader = watching("a", "b")
        assert list(reader.event("end", '{"topic":"a"}', "")) == [Note("ended", "a")]
        assert not reader.is_over

    def test_a_lone_surrogate_is_given_as_json_spells_it(self) -> None:
        reader = watching("a")
        (item,) = reader.event("message", '{"time":1,"message":"\\ud83d"}', "aaaaaaaa.1")
        assert isinstance(item, Item)
        assert item.message == "\ud83d"

    def test_a_final_refusal_in_a_stream_is_raised(self) -> None:
        with pytest.raises(Refused) as caught:
            list(watching("a").event("refused", '{"status":403,"code":"forbidden","detail":"No."}', ""))
        assert (caught.value.status, caught.value.reason, str(caught.value)) == (403, "forbidden", "No.")


DEEP = "[" * 100_000 + "]" * 100_000
"""Deeper than Python's stack, and than any server takes."""


class TestUnreadable:
    """What cannot be read is asked for once more, then told. It never keeps back what follows."""

    def test_a_message_too_deep_for_python_is_told_with_its_topic_and_place(self) -> None:
        reader = watching("a", "b")
        (item,) = reader.event("message", f'{{"topic":"a","time":1,"message":{DEEP}}}', "a=aaaaaaaa.7,b=bbbbbbbb.0")
        assert isinstance(item, Item)
        assert (item.raw, item.offset, reader.place) == (DEEP, 7, "a=aaaaaaaa.7,b=bbbbbbbb.0")
        with pytest.raises(Unreadable, match=r"The message of a before the place a=aaaaaaaa\.7.*too deep"):
            assert item.message
        (item,) = reader.event("message", '{"topic":"b","time":1,"message":2}', "a=aaaaaaaa.7,b=bbbbbbbb.1")
        assert isinstance(item, Item)
        assert item.message == 2

    def test_an_event_that_broke_is_asked_for_once_more_then_told(self) -> None:
        reader = watching("a")
        assert list(reader.event("message", '{"time":1,"message":1}', "aaaaaaaa.5"))
        with pytest.raises(ValueError, match="no JSON"):
            list(reader.event("message", '{"time":1,"mess<html>', "aaaaaaaa.6"))
        assert reader.ask().headers["Last-Event-ID"] == "aaaaaaaa.5"
        (item,) = reader.event("message", '{"time":1,"mess<html>', "aaaaaaaa.6")
        assert isinstance(item, Item)
        assert (item.raw, reader.place) == ("", "aaaaaaaa.6")
        with pytest.raises(Unreadable, match=r"The message of a before the place aaaaaaaa\.6 .* no JSON") as caught:
            assert item.message
        assert (caught.value.topic, caught.value.place) == ("a", "aaaaaaaa.6")

    def test_a_loss_that_makes_no_sense_is_asked_for_once_more_then_told(self) -> None:
        reader = watching("a")
        with pytest.raises(ValueError, match="begins with"):
            list(reader.event("lost", "<html>", ""))
        with pytest.raises(Unreadable, match="The event lost of /topics/a"):
            list(reader.event("lost", "<html>", ""))

    @each_of("body", [b"<html>", b"[]", b"{}", b'{"next":7}', b'{"topics":{"a":1},"next":"e.1"}', b"\xff"])
    def test_an_answer_that_makes_no_sense_is_asked_for_once_more_then_told(self, body: bytes) -> None:
        reader = watching("a", since="aaaaaaaa.3")
        with pytest.raises(ValueError, match=r"."):
            list(reader.envelope(body))
        with pytest.raises(Unreadable, match="The answer of /topics/a"):
            list(reader.envelope(body))

    def test_nothing_of_an_answer_comes_twice_where_one_message_of_it_broke(self) -> None:
        reader = watching("a", "b")
        part = '{"max":3,"res":[1,tru,3],"next":"aaaaaaaa.3"}'
        body = f'{{"topics":{{"a":{part}}},"next":"a=aaaaaaaa.3,b=bbbbbbbb.0"}}'.encode()
        with pytest.raises(ValueError, match="no JSON"):
            next(reader.envelope(body))
        given = [each for each in reader.envelope(body) if isinstance(each, Item)]
        assert [each.raw for each in given] == ["1", "", "3"]
        assert [each.offset for each in given] == [1, 2, 3]

    def test_a_poll_gives_each_message_as_it_was_posted(self) -> None:
        texts = ["9" * 5000, "1e400", '"\\ud800"', DEEP, '{"a":1,"a":2}', "21.50"]
        reader = watching("a")
        body = f'{{"max":6,"res":[{",".join(texts)}],"times":[1,1,1,1,1,1],"next":"aaaaaaaa.6"}}'.encode()
        assert [each.raw for each in reader.envelope(body) if isinstance(each, Item)] == texts

    def test_a_message_larger_than_the_client_takes_is_told_and_not_asked_for_again(self) -> None:
        with pytest.raises(Unreadable, match=r"What comes next of /topics/a behind the place .* larger than 64 MiB"):
            watching("a").too_large(ValueError("it is larger than 64 MiB"))


def test_a_watch_names_a_topic() -> None:
    with pytest.raises(BadUse, match="at least one"):
        watching()


@each_of(
    "options",
    [
        *({"sinc": "10m"}, {"since": "10m", "last": 3}, {"last": 0}, {"limit": True}, {"every": "soon"}),
        *({"since": -1}, {"since": float("nan")}, {"deadline": 0}),
    ],
)
def test_an_option_that_makes_no_sense_is_told_at_once(options: dict[str, Any]) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(BadUse, match=next(iter(options))):
        client.watch("kitchen", **options)
