"""What a program gives the client: what cannot be used is told before anything is sent, and always by one error."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from slosh.client import AsyncClient, BadUse, Client, Publisher
from slosh.client.protocol import WatchState
from slosh.client.request import check_number
from tests.cases import each_of

NOWHERE = "http://127.0.0.1:1"
"""Nothing answers there, so what is sent raises another error."""

NO_TEXT = ["\ud800", "\udcff"]
LONG = "x" * 70_000
NO_NUMBERS = ["5", None, 0, -1, 1.5, True, [5], 1j]


def asynchronous(way: Callable[[AsyncClient], Any]) -> None:
    async def run() -> None:
        async with AsyncClient(NOWHERE) as client:
            await way(client)

    asyncio.run(run())


@pytest.mark.parametrize("odd", [*NO_TEXT, LONG], ids=ascii)
def test_a_text_that_no_request_can_have_is_told_at_once(odd: str) -> None:
    """Half of a character, a byte of a file's name that is no text, and more than an address has room for."""
    with Client(NOWHERE, timeout=0.1) as client:
        ways: list[Callable[[], object]] = [
            lambda: client.watch("a", since=odd),
            lambda: client.watch("a", key=odd),
            lambda: client.watch("a", every=odd),
            lambda: client.watch(odd),
            lambda: client.watch("a", f"{odd}/*"),
            lambda: client.history("a", odd),
            lambda: client.history("a", by=odd),
            lambda: client.history("a", paths=["t", odd]),
            *(lambda name=name: getattr(client, name)(odd) for name in ("open", "end", "watchers", "history")),
            lambda: client.publish(odd, 1),
            lambda: client.publish("a", 1, key=odd),
            lambda: client.publish_many(odd, [1]),
        ]
        for way in ways:
            with pytest.raises(BadUse):
                way()
    with pytest.raises(BadUse):
        asynchronous(lambda other: other.history("a", by=odd))
    with pytest.raises(BadUse):
        asynchronous(lambda other: other.watch("a", key=odd).__anext__())
    with Publisher(Client(NOWHERE), timeout=0) as publisher, pytest.raises(BadUse):
        publisher.send(odd, 1)


def test_more_topics_than_an_address_has_room_for_are_told_with_how_many() -> None:
    with pytest.raises(BadUse, match=r"room for 60000 characters of names and options, and these are \d+\. Give fewer"):
        Client(NOWHERE).watch(*["a" * 200] * 500)


def test_what_is_escaped_in_a_query_is_sent_as_before() -> None:
    reader = WatchState(["a"], {"since": "x;y", "key": "a b.ü&c=+", "limit": "3"})
    assert reader.ask().path == "/topics/a?times&since=x%3By&key=a%20b.%C3%BC%26c=%2B&limit=3"


@each_of("odd", NO_NUMBERS, ids=repr)
def test_a_number_that_is_none_is_told(odd: Any) -> None:
    form = r" is a whole number from 1 on, not "
    with Client(NOWHERE, timeout=0.1) as client:
        if odd is not None:
            for name in ("last", "limit"):
                with pytest.raises(BadUse, match=name + form):
                    client.watch("a", **{name: odd})
            with pytest.raises(BadUse, match="batch" + form):
                Publisher(client, batch=odd)
            with pytest.raises(BadUse, match="points" + form):
                client.history("a", points=odd)
        with pytest.raises(BadUse, match="max_bytes" + form):
            Publisher(client, max_bytes=odd)


def test_a_whole_number_may_be_of_any_kind() -> None:
    assert [check_number("n", each) for each in (1, np.int64(7), 10**30)] == [1, 7, 10**30]


@each_of("odd", [10**400, -(10**400), Fraction(10**400), Decimal("sNaN"), "5", -1], ids=lambda odd: str(odd)[:9])
def test_a_time_that_no_float_holds_is_no_time(odd: Any) -> None:
    """Everywhere a time is given, also where one waits for what was sent."""
    with Client(NOWHERE, timeout=0.1) as client, Publisher(client, timeout=0) as publisher:
        for way in (
            lambda: Client(timeout=odd),
            lambda: Publisher(client, every=odd),
            lambda: Publisher(client, timeout=odd),
            lambda: client.watch("a", deadline=odd),
            lambda: client.watchers("a", wait=odd),
            lambda: publisher.flush(odd),
        ):
            with pytest.raises(BadUse, match="is a number of seconds"):
                way()
        assert publisher.flush(0) is True


@each_of(
    ("headers", "sentence"),
    [
        ({"X-Try": 1}, "the value of .* is a text"),
        ({"X-Try": "ü"}, "X-Try is not"),
        ({"X-Try": "a\r\nX-Other: b"}, "X-Try is not"),
        ({"X Try": "a"}, "not 'X Try'"),
        ({"": "a"}, "not ''"),
        ({5: "a"}, "not 5"),
        ("X-Try: 1", "headers is a dict"),
    ],
)
def test_a_header_field_that_cannot_be_sent_is_told_without_its_value(headers: Any, sentence: str) -> None:
    for make in (Client, AsyncClient):
        with pytest.raises(BadUse, match=f"(?i){sentence}"):
            make(NOWHERE, headers=headers)
    Client(NOWHERE, headers={"X-Try": "a\tb", "x_y.z": ""})


class Silent:
    """An object that does not say what it is."""

    def __repr__(self) -> str:
        raise OSError


@pytest.mark.parametrize("odd", [-(10**5000), 10**5000, [10**5000], Fraction(10**5000), Silent()], ids=range(5))
def test_what_python_cannot_write_is_told_by_its_kind(odd: Any) -> None:
    """A whole number of more than 4,300 digits was a ValueError out of the sentence that was to tell of it."""
    with Client(NOWHERE, timeout=0.1) as client:
        ways: list[Callable[[], object]] = [
            lambda: Client(odd),
            lambda: Client(NOWHERE, timeout=odd),
            lambda: Client(NOWHERE, headers=odd),
            lambda: client.watch("a", last=odd),
            lambda: client.watch("a", limit=odd),
            lambda: client.watch("a", every=odd),
            lambda: client.watch(odd),
            lambda: client.history("a", points=odd),
            lambda: client.history("a", by=odd),
            lambda: client.publish(odd, 1),
            lambda: client.publish("a", 1, key=odd),
            lambda: Publisher(client, when_full=odd),
            lambda: Publisher(client, every=odd),
        ]
        for way in ways:
            with pytest.raises(BadUse) as told:
                way()
            assert len(told.value.detail) < 500


@pytest.mark.parametrize("odd", [5, b"x", ["x"], 1.5, object()], ids=lambda odd: type(odd).__name__)
def test_what_is_of_another_kind_than_was_asked_for_is_told(odd: Any) -> None:
    """By the client's own error, as any other argument, and not by one from deep inside it."""
    no_bytes: Any = [b"1", "1"]
    with Client(NOWHERE, timeout=0.1) as client, Publisher(client, timeout=0) as publisher:
        ways: list[Callable[[], object]] = [
            lambda: Client(odd),
            lambda: Client(NOWHERE, token=odd),
            lambda: client.watch(odd),
            lambda: client.watch("a", key=odd),
            lambda: client.history("a", by=odd),
            lambda: client.history("a", paths=[odd]),
            lambda: client.publish("a", 1, key=odd),
            lambda: client.publish_encoded("a", no_bytes),
            lambda: publisher.send_encoded("a", no_bytes),
        ]
        if not isinstance(odd, (list, bytes)):
            ways += [
                lambda: client.history("a", paths=odd),
                lambda: client.publish_many("a", odd),
                lambda: client.publish_encoded("a", odd),
                lambda: publisher.send_encoded("a", odd),
            ]
        for way in ways:
            with pytest.raises(BadUse):
                way()


def test_the_path_of_a_socket_that_is_no_text_is_told() -> None:
    with pytest.raises(BadUse, match="address of a Unix socket"):
        Client("unix:/run/\ud800")
