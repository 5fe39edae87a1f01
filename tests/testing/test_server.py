"""A server that tests do things to: each is seen by a reader as what it stands for."""

import time

import pytest

from slosh.client import Client
from slosh.errors import CannotListen, SettingError
from slosh.testing.server import NotSeen, TestingServer


def test_what_is_published_is_seen_and_a_topic_without_watchers_takes_nothing() -> None:
    with TestingServer() as slosh, Client(slosh.url) as client:
        assert not client.publish("kitchen", 1)
        with slosh.watch("kitchen", "sensors/*") as seen:
            assert client.publish("kitchen", 2)
            assert seen.wait(1) == [2]
            assert client.publish("sensors/a", 3)
            assert seen.wait(2) == [2, 3]
            assert (seen.items[1].topic, seen.lost, seen.notes) == ("sensors/a", 0, [])


def test_it_forgets_as_a_restart_does() -> None:
    with TestingServer() as slosh, slosh.watch("kitchen") as seen:
        slosh.client.publish("kitchen", 1)
        seen.wait(1)
        slosh.forget()
        seen.wait_for_note("reset")
        slosh.client.publish("kitchen", 2)
        assert seen.wait(2) == [1, 2]
        assert (seen.items[1].reset, seen.items[1].offset) == (True, 1)


def test_a_cut_loses_and_doubles_nothing() -> None:
    with TestingServer() as slosh, slosh.watch("kitchen") as seen:
        slosh.client.publish("kitchen", 0)
        seen.wait(1)
        slosh.cut()
        slosh.client.publish("kitchen", 1)
        assert seen.wait(2) == [0, 1]


def test_an_overflow_is_a_loss_of_just_so_many() -> None:
    with TestingServer() as slosh:
        with pytest.raises(NotSeen, match="watch it first"):
            slosh.overflow("kitchen")
        with slosh.watch("kitchen") as seen:
            slosh.overflow("kitchen", lost=7)
            assert seen.wait_for_note("lost").count == 7
            slosh.client.publish("kitchen", "after")
            assert seen.wait(1) == ["after"]
            assert (seen.lost, seen.items[0].lost) == (7, 7)


def test_what_does_not_come_is_an_error_that_says_what_did() -> None:
    with TestingServer() as slosh, slosh.watch("kitchen") as seen:
        slosh.client.publish("kitchen", "one")
        seen.wait(1)
        with pytest.raises(NotSeen, match=r"2 messages .*0\.05 s; \['one'\]"):
            seen.wait(2, timeout=0.05)
        with pytest.raises(NotSeen, match="note 'ended'"):
            seen.wait_for_note("ended", timeout=0.05)


def test_settings_are_those_of_a_server_and_what_is_wrong_with_them_is_raised_here() -> None:
    with TestingServer(queue=2) as slosh, slosh.watch("kitchen"):
        slosh.client.publish_many("kitchen", [1, 2, 3])
        with slosh.client.watch("kitchen", last=3) as watch:
            assert next(watch).message == 2
        with pytest.raises(CannotListen), TestingServer(port=int(slosh.url.rpartition(":")[2])):
            pass
    with pytest.raises(SettingError, match="queue"):
        TestingServer(queue=-1)


def test_it_ends_with_its_block_and_quickly() -> None:
    """A held reader does not keep it."""
    with TestingServer() as slosh:
        seen = slosh.watch("kitchen").__enter__()
        began = time.monotonic()
    assert time.monotonic() - began < 8.0
    seen.__exit__(None, None, None)
    with pytest.raises(OSError, match="refused"):
        __import__("socket").create_connection(("127.0.0.1", int(slosh.url.rpartition(":")[2])))
