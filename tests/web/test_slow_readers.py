"""Readers that are cut off, and readers that are slow, whichever way they read: nothing goes missing in silence."""

from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.posting import LARGE, kept, large, numbers, post, together
from tests.web.transports import Ndjson, Reader

# Cuts.


def test_it_goes_on_where_it_was_cut_at_any_byte(site: Site, transport: type[Reader]) -> None:
    """With whichever part of an answer that comes and with the rest nothing is lost, doubled or out of order."""
    probe = transport(site)
    probe.listen()
    post(site, 1, 2, 3)
    assert probe.client is not None
    length = len(probe.client.wire.arrived)
    probe.cut()
    for seen in range(length + 1):
        topic = f"t{seen}"
        reader = transport(site, topic)
        if reader.transport == "longpoll":
            post(site, 0, topic=topic)  # so that it has a place
        reader.listen()
        before = reader.messages
        post(site, 1, 2, 3, topic=topic)
        reader.cut(seen)
        reader.connect()
        assert reader.listen().messages == [*before, 1, 2, 3], f"cut after {seen} bytes"
        assert not reader.told("lost", topic)
        assert not reader.told("reset", topic)
        reader.cut()


def test_who_is_cut_before_its_first_message_misses_none(site: Site, stream: type[Reader]) -> None:
    reader = stream(site)
    reader.listen()
    reader.cut()
    post(site, 1, 2)
    reader.connect()
    assert reader.listen().messages == [1, 2]


def test_after_a_new_life_it_is_told_to_begin_again(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    post(site, 1, 2)
    reader.listen()
    reader.cut()
    site.advance(31)
    kept(site, 3, 4)
    reader.connect()
    assert reader.listen().story() == [("message", 1), ("message", 2), ("reset", True), ("message", 3), ("message", 4)]


# Slow readers.


def test_while_a_socket_is_full_nothing_is_written_to_it(make_site: MakeSite, transport: type[Reader]) -> None:
    """It costs its place and no queue."""
    site = make_site(queue=3)
    reader = transport(site)
    reader.listen()
    reader.stall()
    assert reader.client is not None
    for number in range(2):
        post(site, large(number))
    written = reader.client.wire.get_write_buffer_size()
    for number in range(2, 50):
        post(site, large(number))
    assert reader.client.wire.get_write_buffer_size() == written <= 3 * LARGE


def test_when_it_drains_it_is_served_from_the_ring_and_told_what_fell_off(
    make_site: MakeSite, transport: type[Reader]
) -> None:
    site = make_site(queue=3)
    reader = transport(site)
    reader.listen()
    reader.stall()
    for number in range(10):
        post(site, large(number))
    reader.drain()
    got = numbers(reader.messages)
    assert got[-3:] == [7, 8, 9]
    assert got == sorted(set(got))  # type: ignore[type-var]
    assert sum(reader.told("lost")) == 10 - len(got)
    post(site, large(10))
    assert numbers(reader.listen().messages) == [*got, 10]


def test_a_slow_reader_that_stays_within_the_ring_loses_nothing(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    reader.listen()
    reader.stall()
    for number in range(30):
        post(site, large(number))
    while len(reader.messages) < 30:
        reader.drain(10_000)
    assert numbers(reader.messages) == list(range(30))
    assert not reader.told("lost")


def test_one_slow_reader_delays_nobody(site: Site, transport: type[Reader]) -> None:
    slow, quick = transport(site), transport(site)
    slow.listen()
    slow.stall()
    for number in range(20):
        post(site, large(number))
        assert numbers(quick.listen().messages) == list(range(number + 1))


def test_a_reader_that_takes_nothing_for_the_write_timeout_is_cut(site: Site, transport: type[Reader]) -> None:
    reader = transport(site)
    reader.listen()
    reader.stall()
    together(site, *map(large, range(4)))
    site.advance(59)
    assert site.closed("write_timeout") == 0
    site.advance(62)
    assert site.closed("write_timeout") == 1
    assert site.watchers("a") == 0
    assert reader.client is not None
    assert reader.client.wire.was_cut()


def test_a_slow_reader_that_gathers_has_its_whole_write_timeout(site: Site, transport: type[Reader]) -> None:
    """The times of gathering and of heartbeats mean nothing while it does not read."""
    Ndjson(site)  # keeps the topic active
    reader = transport(site, every="1s")
    reader.listen()
    post(site, *map(large, range(4)))
    reader.stall()
    site.advance(1.1)
    post(site, *map(large, range(4)))
    site.advance(55)
    assert site.closed("write_timeout") == 0
    reader.drain()
    site.advance(2)
    reader.listen()
    site.advance(2)
    assert numbers(reader.listen().messages) == [0, 1, 2, 3, 0, 1, 2, 3]
