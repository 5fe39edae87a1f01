"""How long a server is out of reach, and what the log says meanwhile. Times are numbers."""

import logging

import pytest

from slosh.engine.redis.client.outage import REMINDERS, Outage

REFUSED = ConnectionRefusedError(111, "Connection refused")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged since the last call."""
    told = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return told


def test_an_outage_begins_is_reminded_of_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("redis://h:1")
    assert not outage.is_longer_than(0.0, 100.0)
    outage.goes_on(100.0, REFUSED)
    (line,) = lines(caplog)
    assert "redis://h:1 is out of reach" in line
    assert "refused" in line
    for now in (101.0, 100.0 + REMINDERS - 0.1):
        outage.goes_on(now, REFUSED)
    assert not lines(caplog)
    outage.goes_on(100.0 + REMINDERS, REFUSED)
    (line,) = lines(caplog)
    assert "is still out of reach" in line
    assert not outage.is_longer_than(2.0, 102.0)
    assert outage.is_longer_than(2.0, 102.1)
    with caplog.at_level(logging.WARNING):
        outage.end()
    assert lines(caplog) == ["the messages' store can be reached now"]
    assert not outage.is_longer_than(2.0, 1000.0)


def test_a_server_that_was_never_there_makes_nobody_wait(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("redis://h:1")
    outage.begin_before(100.0, 2.0, REFUSED)
    assert outage.is_longer_than(2.0, 100.0)
    (line,) = lines(caplog)
    assert "cannot be reached yet" in line
    outage.goes_on(101.0, REFUSED)
    assert not lines(caplog)


def test_refusals_one_after_another_are_one_line_in_five_seconds(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("redis://h:1")
    for now in (0.0, 1.0, 4.9, 5.0):
        outage.complain(now, REFUSED)
    assert len(lines(caplog)) == 2
