"""Readers do what a sensible client does, and count rightly what they are told."""

import asyncio

import pytest

from tests.faults.ledger import Account, Ledger, message
from tests.faults.readers import EventSource, LongPoll, Reader, Requests
from tests.faults.scripted import Answer, Scripted, heard_out, poll, stream

ONE, TWO = message(1, 1), message(1, 2)
BEGIN = poll('{"next":"a.4","res":[],"timeout":true}')
FIRST = ": slosh\nretry: 2000\nid: a.4"


def read(kind: type[Reader], *script: Answer | bytes) -> tuple[Account, Requests, list[str]]:
    """A reader's account after this script, what became of its requests, and what it asked."""
    ledger, requests = Ledger(), Requests()
    work = heard_out(Scripted(*script), lambda port: kind(ledger, requests, "/topics/t", port))
    heard = asyncio.run(work)
    assert len(ledger.accounts) == 1
    return ledger.accounts[0], requests, heard


def told(account: Account) -> tuple[str, int, int, int, int, int]:
    """All that an account counts."""
    resets = len(account.resets)
    return str(account.place), account.delivered, account.lost, resets, account.gaps, account.repeated


def test_a_poll_asks_with_the_place_of_the_answer_before() -> None:
    account, requests, heard = read(LongPoll, BEGIN, poll(f'{{"next":"a.6","res":["{ONE}","{TWO}"]}}'))
    assert told(account) == ("a.6", 2, 0, 0, 0, 0)
    assert requests.failed == 0
    assert [line.split()[1].partition("&")[0] for line in heard] == [
        "/topics/t?since=now",
        "/topics/t?since=a.4",
        "/topics/t?since=a.6",
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f'{{"next":"a.8","res":["{ONE}"],"lost":3}}', ("a.8", 1, 3, 0, 0, 0)),
        (f'{{"next":"a.8","res":["{ONE}"]}}', ("a.8", 1, 0, 0, 3, 0)),
        (f'{{"next":"a.4","res":["{ONE}"]}}', ("a.4", 1, 0, 0, 0, 1)),
        (f'{{"next":"b.1","res":["{ONE}"],"reset":true}}', ("b.1", 1, 0, 1, 0, 0)),
        ('{"next":"b.0","res":[],"reset":true,"timeout":true}', ("b.0", 0, 0, 1, 0, 0)),
        ('{"next":"a.4","res":[],"timeout":true}', ("a.4", 0, 0, 0, 0, 0)),
    ],
    ids=["lost", "a gap", "again", "reset", "reset without messages", "timeout"],
)
def test_a_poll_counts_what_it_is_told(answer: str, expected: tuple[str, int, int, int, int, int]) -> None:
    account, _, _ = read(LongPoll, BEGIN, poll(answer))
    assert told(account) == expected


def test_a_poll_that_is_told_to_close_comes_back_and_has_not_failed() -> None:
    last = Answer(poll('{"next":"a.4","res":[],"timeout":true}', more="Connection: close\r\n"), cut=True)
    _, requests, heard = read(LongPoll, BEGIN, last)
    assert len(heard) == 3
    assert requests.failed == 0


def test_polls_that_fail_come_again_with_their_place() -> None:
    refused = poll("no", status=503)
    _, requests, heard = read(LongPoll, BEGIN, Answer(cut=True), BEGIN, refused, refused)
    assert (requests.failed, requests.failed_again) == (3, 1)
    assert all("since=a.4" in request for request in heard[1:])


def test_an_event_source_counts_messages_however_they_are_cut_into_pieces() -> None:
    whole = stream(FIRST, f'data: "{ONE}"\nid: a.5', ":", f'data: "{TWO}"\nid: a.6')

    async def work() -> None:
        for at in range(1, len(whole), 7):
            ledger = Ledger()
            reader = EventSource(ledger, Requests(), "/topics/t", 1)
            reader.data_received(whole[:at])
            reader.data_received(whole[at:])
            reader.stop()
            assert told(ledger.accounts[0]) == ("a.6", 2, 0, 0, 0, 0)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (['event: lost\ndata: {"lost":3}', f'data: "{ONE}"\nid: a.8'], ("a.8", 1, 3, 0, 0, 0)),
        ([f'data: "{ONE}"\nid: a.8'], ("a.8", 1, 0, 0, 3, 0)),
        ([f'data: "{ONE}"\nid: a.4'], ("a.4", 1, 0, 0, 0, 1)),
        (['event: reset\ndata: {"reset":true}', f'data: "{ONE}"\nid: b.1'], ("b.1", 1, 0, 1, 0, 0)),
        (['event: reset\ndata: {"reset":true}', "id: b.0"], ("b.0", 0, 0, 1, 0, 0)),
    ],
    ids=["lost", "a gap", "again", "reset", "reset without messages"],
)
def test_an_event_source_counts_what_it_is_told(
    events: list[str], expected: tuple[str, int, int, int, int, int]
) -> None:
    account, requests, heard = read(EventSource, Answer(stream(FIRST, *events), cut=True))
    assert told(account) == expected
    assert requests.failed == 0, "a stream that ends has not failed"
    assert f"Last-Event-ID: {account.place}\r\n" in heard[1]


def test_an_event_source_that_gets_no_stream_has_failed() -> None:
    first = Answer(stream(FIRST), cut=True)
    _, requests, heard = read(EventSource, first, Answer(cut=True), poll("no", status=503))
    assert (requests.failed, requests.failed_again) == (2, 1)
    assert all("Last-Event-ID: a.4" in request for request in heard[1:])


def test_nobody_there_is_a_failure() -> None:
    async def work() -> Requests:
        requests = Requests()
        reader = LongPoll(Ledger(), requests, "/topics/t", 1)
        async with asyncio.timeout(30):
            while requests.failed_again == 0:  # noqa: ASYNC110  # a count tells nobody that it has risen
                await asyncio.sleep(0.01)
        reader.stop()
        return requests

    assert asyncio.run(work()).failed > 1
