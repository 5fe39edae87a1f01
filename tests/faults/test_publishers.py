"""Publishers send a message again, with its key, until somebody says what became of it."""

import asyncio
import re

import pytest

from tests.faults.ledger import Ledger, message
from tests.faults.publishers import Posts, Publisher
from tests.faults.scripted import Answer, Scripted, heard_out, poll

TAKEN = poll('{"max":1,"next":"a.1","watchers":1}')


def publish(*script: Answer | bytes) -> tuple[Ledger, Posts, list[tuple[str, str]]]:
    """What a publisher's first message came to, and all keys and bodies that were sent until the script was over."""
    ledger, posts = Ledger(), Posts()
    tasks: list[asyncio.Task[None]] = []

    def begin(port: int) -> None:
        publisher = Publisher(ledger, posts, 7, 1000.0, "/topics/t", port)
        tasks.append(asyncio.get_running_loop().create_task(publisher.run()))

    async def work() -> list[str]:
        heard = await heard_out(Scripted(*script), begin)
        tasks[0].cancel()
        return heard

    found = [re.search(r"Idempotency-Key: (\S+)\r\n\r\n\"(.*)\"$", request) for request in asyncio.run(work())]
    return ledger, posts, [(each[1], each[2]) for each in found if each]


def test_what_is_taken_is_promised() -> None:
    ledger, posts, sent = publish(TAKEN)
    assert ledger.lives["a"].promised == [(1, message(7, 1))]
    assert sent == [("7-1", message(7, 1)), ("7-2", message(7, 2))]
    assert (posts.sent, posts.unknown, posts.unwatched, posts.replayed) == (2, 0, 0, 0)


@pytest.mark.parametrize(
    "trouble", [poll("no", 503), poll("no", 502), Answer(cut=True), Answer(b"HTTP/1.1 2", cut=True)]
)
def test_what_nobody_knows_of_is_sent_again_with_its_key(trouble: Answer | bytes) -> None:
    replayed = poll('{"max":1,"next":"a.1","watchers":1}', more="Idempotent-Replayed: true\r\n")
    ledger, posts, sent = publish(trouble, trouble, replayed)
    assert ledger.lives["a"].promised == [(1, message(7, 1))]
    assert sent == [*[("7-1", message(7, 1))] * 3, ("7-2", message(7, 2))]
    assert (posts.unknown, posts.replayed) == (2, 1)


def test_what_nobody_watches_is_given_up() -> None:
    ledger, posts, sent = publish(poll("nobody", 404), TAKEN)
    assert ledger.lives["a"].promised == [(1, message(7, 2))]
    assert [key for key, _ in sent] == ["7-1", "7-2", "7-3"]
    assert posts.unwatched == 1
