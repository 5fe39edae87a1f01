"""What every reader is promised, whichever way it reads: one suite that all transports pass."""

from urllib.parse import quote

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.posting import kept, numbers, post
from tests.web.transports import Ndjson, Reader

# It gets what comes, in order, once.


def test_it_gets_what_comes_in_order_and_once(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    for number in range(20):
        post(site, number)
        reader.listen()
    assert reader.messages == list(range(20))
    assert {event.kind for event in reader.events} <= {"message", "place"}


def test_it_gets_any_json_value_as_it_was_posted(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    values: list[object] = [
        None,
        True,
        False,
        0,
        -1.5e-7,
        "",
        '\u2028 é \U0001f30a \\ " \n',
        [],
        {},
        [[{"a": [None]}]],
        "data: x\n\nid: 7",
    ]
    post(site, *values)
    assert reader.listen().messages == values


def test_a_line_end_inside_a_message_ends_nothing(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    for text in (b'{\n"a":\r\n1,\r"b":\n\n2\n}', b'["\\n",\n\n"\\r"]'):
        assert site.post("/topics/a", text).status == 200
    assert reader.listen().messages == [{"a": 1, "b": 2}, ["\n", "\r"]]


def test_all_readers_get_all(site: Site, transport: type[Reader]) -> None:
    """Servers of this kind have skipped one reader in two."""
    readers = [transport(site) for _ in range(30)]
    post(site, 1, 2)
    readers[3].cut()
    post(site, 3)
    for number, reader in enumerate(readers):
        if number != 3:
            assert reader.listen().messages == [1, 2, 3]


def test_it_is_a_watcher_until_it_goes(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    assert site.watchers("a") == 1
    post(site, 1)
    reader.listen()
    assert site.watchers("a") == 1
    site.advance(1000)
    if not reader.listen().ended:
        reader.cut()
    assert site.watchers("a") == 0
    site.advance(31)
    assert site.post("/topics/a", b"1").code == "no_watchers"


# since, in all its forms.


@pytest.mark.parametrize(
    ("since", "got"),
    [
        ("now", []),
        ("earliest", [3, 4, 5, 6, 7]),
        ("-2", [6, 7]),
        ("-0", []),
        ("-50", [3, 4, 5, 6, 7]),
        ("25s", [6, 7]),
        ("25000ms", [6, 7]),
        ("0.6m", [5, 6, 7]),
        ("1h", [3, 4, 5, 6, 7]),
        ("1d", [3, 4, 5, 6, 7]),
        ("3600", [3, 4, 5, 6, 7]),
        ("25", [6, 7]),
        ("0s", []),
        ("epoch000.5", [6, 7]),
        ("epoch000.7", []),
        ("epoch000.2", [3, 4, 5, 6, 7]),
    ],
)
def test_it_begins_where_it_asks_to(make_site: MakeSite, transport: type[Reader], since: str, got: list[int]) -> None:
    site = make_site(queue=5)
    keeper = Ndjson(site)
    for number in range(1, 8):
        post(site, number)
        site.advance(10)
    reader = transport(site, since=since)
    assert reader.listen().messages == got
    post(site, 8)
    assert reader.listen().messages == [*got, 8]
    assert reader.told("lost") == ([2] if since == "earliest" else [])
    assert reader.told("truncated") == ([True] if since in ("-50", "1h", "1d", "3600") else [])
    assert not reader.told("reset")
    keeper.cut()


@pytest.mark.parametrize(
    ("since", "story"),
    [
        ("epoch000.0", [("lost", 2)]),
        ("epoch000.1", [("lost", 1)]),
        ("gone.1", [("reset", True), ("lost", 2)]),
        ("epoch000.8", [("reset", True), ("lost", 2)]),
    ],
)
def test_it_is_told_what_it_missed(
    make_site: MakeSite, transport: type[Reader], since: str, story: list[tuple[str, object]]
) -> None:
    site = make_site(queue=5)
    kept(site, *range(1, 8))
    reader = transport(site, since=since).listen()
    assert reader.story() == [*story, *(("message", number) for number in range(3, 8))]
    assert reader.place == "epoch000.7"


def test_a_reset_is_told_once_also_where_nothing_is_kept_yet(site: Site, transport: type[Reader]) -> None:
    reader = transport(site, since="gone.9")
    reader.listen()
    post(site, 1)
    reader.listen()
    post(site, 2)
    assert reader.listen().story() == [("reset", True), ("message", 1), ("message", 2)]


def test_who_is_cut_before_it_is_told_of_a_reset_is_told_when_it_comes_back(
    site: Site, transport: type[Reader]
) -> None:
    """The place in the new life never comes before the reset, whatever of the answer had come."""
    kept(site, 1, 2)
    probe = transport(site, since="gone.9")
    assert probe.client is not None
    length = len(probe.client.wire.arrived)
    for seen in range(length + 1):
        reader = transport(site, since="gone.9")
        reader.place = "gone.9"
        reader.cut(seen)
        resets = reader.told("reset")
        if not resets:
            assert reader.place == "gone.9", f"after {seen} bytes of {length}"
        reader.connect()
        reader.listen()
        assert reader.told("reset")
        assert reader.messages[-2:] == [1, 2]
        reader.cut()


# limit, every, key.


def test_limit_gives_the_newest_and_counts_the_others(make_site: MakeSite, transport: type[Reader]) -> None:
    site = make_site(queue=5)
    kept(site, *range(1, 8))
    reader = transport(site, since="epoch000.0", limit="2").listen()
    assert reader.story() == [("lost", 2), ("conflated", 3), ("message", 6), ("message", 7)]


def test_key_gives_the_newest_of_each(make_site: MakeSite, transport: type[Reader]) -> None:
    site = make_site(queue=5)
    values = [{"host": {"name": name}, "n": n} for n, name in enumerate("xaababy")]
    kept(site, *values)
    reader = transport(site, since="epoch000.0", key="host.name").listen()
    assert reader.told("lost") == [2]
    assert reader.told("conflated") == [2]
    assert numbers(reader.messages) == [4, 5, 6]


def test_a_late_joiner_gets_a_snapshot(site: Site, transport: type[Reader]) -> None:
    kept(site, *({"host": f"h{n % 3}", "n": n} for n in range(30)))
    reader = transport(site, since="earliest", key="host").listen()
    assert numbers(reader.messages) == [27, 28, 29]
    assert reader.told("conflated") == [27]


def test_every_gathers_then_gives_all_at_once(site: Site, transport: type[Reader]) -> None:
    reader = transport(site, every="500ms", limit="2")
    for number in range(4):
        post(site, number)
        site.advance(0.1)
    assert not reader.listen().messages
    site.advance(0.2)
    assert reader.listen().story() == [("conflated", 2), ("message", 2), ("message", 3)]
    post(site, 4)
    assert len(reader.listen().messages) == 2, "the next message begins a new time of gathering"
    site.advance(0.6)
    assert reader.listen().messages == [2, 3, 4]


# Several topics.


def test_several_topics_in_one_request(site: Site, transport: type[Reader]) -> None:
    reader = transport(site, "a,b,c")
    post(site, 1, topic="b")
    reader.listen()
    post(site, 2, topic="a")
    post(site, 3, topic="b")
    reader.listen()
    assert (reader.told("message", "a"), reader.told("message", "b"), reader.told("message", "c")) == ([2], [1, 3], [])
    places = dict(part.split("=") for part in reader.place.split(","))
    assert [places[name].partition(".")[2] for name in "abc"] == ["1", "2", "0"]


def test_a_vector_resumes_each_topic_at_its_own_place(make_site: MakeSite, transport: type[Reader]) -> None:
    site = make_site(queue=2)
    for topic in ("a", "b", "c"):
        kept(site, 1, 2, 3, topic=topic)
    vector = "a=epoch000.2,b=gone.7,c=epoch002.0"
    reader = transport(site, "a,b,c", since=vector).listen()
    assert reader.story("a") == [("message", 3)]
    assert reader.story("b") == [("reset", True), ("lost", 1), ("message", 2), ("message", 3)]
    assert reader.story("c") == [("lost", 1), ("message", 2), ("message", 3)]
    assert reader.place == "a=epoch000.3,b=epoch001.3,c=epoch002.3"


def test_a_reset_of_one_of_several_topics_outlives_a_cut_at_any_byte(site: Site, transport: type[Reader]) -> None:
    for topic in ("a", "b"):
        kept(site, 1, 2, topic=topic)
    vector = "a=epoch000.0,b=gone.7"
    probe = transport(site, "a,b", since=vector)
    assert probe.client is not None
    for seen in range(len(probe.client.wire.arrived) + 1):
        reader = transport(site, "a,b", since=vector)
        reader.place = vector
        reader.cut(seen)
        reader.connect()
        reader.listen()
        assert reader.told("reset", "b"), f"after {seen} bytes"
        assert reader.told("message", "a") == [1, 2]
        reader.cut()


ODD_NAMES = ["café", "a%b", "a%41", "x=y\U0001f30a", " first", "last ", " ", "a+b&c#d", 'q"\\<>']


def test_odd_names_come_back_in_vectors(site: Site, transport: type[Reader]) -> None:
    """Also the one that stands first in `Last-Event-ID`, where white space at the beginning does not count."""
    for first in range(len(ODD_NAMES)):
        names = [f"{name}/{first}" for name in ODD_NAMES[first:] + ODD_NAMES[:first]]
        topics = [quote(name) for name in names]
        reader = transport(site, ",".join(topics))
        reader.listen()
        for topic in topics:
            post(site, 1, topic=topic)
        reader.listen()
        reader.cut()
        for topic in topics:
            post(site, 2, topic=topic)
        reader.connect()
        reader.listen()
        for name in names:
            assert reader.story(name) == [("message", 1), ("message", 2)], name
        reader.cut()


def test_two_readers_at_the_same_places_get_each_its_own_cursor(site: Site, transport: type[Reader]) -> None:
    """One answer is made for all alike; a reader by name and one by pattern are not alike."""
    kept(site, topic="a")
    kept(site, topic="b")
    pairs = [transport(site, topics) for topics in ("a,b", "*", "a,b", "*")]
    post(site, 1, topic="a")
    for reader in pairs:
        assert reader.listen().messages == [1]
        assert reader.place.startswith("*,") == (reader.topics == "*")


# Patterns.


def test_a_pattern_reads_what_is_and_what_is_created(site: Site, stream: type[Reader]) -> None:
    kept(site, 0, topic="s/1/temp")
    reader = stream(site, "s/*/temp")
    post(site, 1, topic="s/1/temp")
    post(site, 2, topic="s/2/temp")  # nobody but the pattern watches it
    assert site.post("/topics/s/2/hum", b"1").code == "no_watchers"
    assert site.post("/topics/s/2/temp/x", b"1").code == "no_watchers"
    post(site, 3, topic="s/2/temp")
    reader.listen()
    assert reader.story("s/1/temp") == [("message", 1)]
    assert reader.story("s/2/temp") == [("message", 2), ("message", 3)]
    assert site.watchers("s/1/temp") == site.watchers("s/2/temp") == 1
    reader.cut()
    assert site.watchers("s/1/temp") == site.watchers("s/2/temp") == 0
    site.advance(31)
    assert site.post("/topics/s/2/temp", b"1").code == "no_watchers"


def test_the_first_message_of_a_topic_that_was_created_comes_at_once(site: Site, transport: type[Reader]) -> None:
    reader = transport(site, "s/*")
    post(site, 1, topic="s/1")
    assert reader.listen().messages == [1]


def test_two_stars_read_the_rest(site: Site, transport: type[Reader]) -> None:
    reader = transport(site, "s/**")
    post(site, 1, topic="s/a")
    reader.listen()
    post(site, 2, topic="s/a/b/c")
    assert site.post("/topics/t", b"1").code == "no_watchers"
    assert site.post("/topics/s", b"1").code == "no_watchers"
    assert reader.listen().messages == [1, 2]


def test_a_pattern_resumes_and_what_was_created_since_is_new_as_a_whole(site: Site, transport: type[Reader]) -> None:
    keeper = Ndjson(site, "s/1")
    reader = transport(site, "s/*", since="now")
    post(site, 1, topic="s/1")
    reader.listen()
    reader.cut()
    post(site, 2, topic="s/1")
    kept(site, 3, 4, topic="s/2")
    reader.connect()
    reader.listen()
    assert reader.story("s/1") == [("message", 1), ("message", 2)]
    assert reader.story("s/2") == [("message", 3), ("message", 4)]
    keeper.cut()


# Times.


@pytest.mark.parametrize("topics", ["a", "a,b", "*"])
def test_who_asks_is_told_when_each_message_arrived(site: Site, transport: type[Reader], topics: str) -> None:
    site.server.wall = lambda: 1_795_899_600.123 + site.loop.time()
    start = site.loop.time()
    keeper = Ndjson(site)
    with_times, without = transport(site, topics, times=""), transport(site, topics)
    post(site, 1)
    site.advance(0.502)
    post(site, 2)
    first = int((1_795_899_600.123 + start) * 1000)
    assert with_times.listen().messages == without.listen().messages == [1, 2]
    assert with_times.times == [first, first + 502]
    assert not without.times
    late = transport(site, topics, since="earliest", times="", limit="1").listen()
    assert (late.messages, late.times) == ([2], [first + 502])
    keeper.cut()


def test_an_answer_with_times_is_never_given_to_who_did_not_ask(site: Site, transport: type[Reader]) -> None:
    """They wait at the same place, and what is written is made once for all who want the same."""
    readers = [transport(site, **query) for query in ({"times": ""}, {}, {"times": ""}, {})]
    post(site, 1)
    assert [len(reader.listen().times) for reader in readers] == [1, 0, 1, 0]


def test_times_do_not_go_back_when_the_clock_does(site: Site, transport: type[Reader]) -> None:
    site.server.wall = lambda: 2_000_000.0
    reader = transport(site, times="")
    post(site, 1)
    site.server.wall = lambda: 1_000_000.0
    site.advance(3)
    post(site, 2)
    site.advance(4)
    post(site, 3)
    site.server.wall = lambda: 2_000_008.5
    post(site, 4)
    assert reader.listen().times == [2_000_000_000, 2_000_003_000, 2_000_007_000, 2_000_008_500]


def test_who_is_cut_before_it_is_told_that_its_window_is_truncated_is_told_when_it_comes_back(
    make_site: MakeSite, transport: type[Reader]
) -> None:
    """No place is told before that, whatever of the answer had come."""
    site = make_site(queue=2)
    kept(site, 1, 2, 3)
    probe = transport(site, since="-3")
    assert probe.client is not None
    length = len(probe.client.wire.arrived)
    for seen in range(length + 1):
        reader = transport(site, since="-3")
        reader.cut(seen)
        reader.connect()
        assert reader.listen().told("truncated"), seen
