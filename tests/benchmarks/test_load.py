"""The load generator judges servers, so it is judged here: it must notice every lie, and see none where none is."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.building import build_load
from benchmarks.loading import Load, LoadError, Outcome, Work
from benchmarks.ports import free_port
from benchmarks.servers.slosh import TOKEN
from tests.benchmarks.liar import Liar, Lie, honest
from tests.conftest import need

if TYPE_CHECKING:
    from pathlib import Path

WARM_UPS = 3
"""Messages that the load generator publishes before it counts (WARM_ROUNDS in benchmarks/load/modes.c), at least."""
WORK = Work(readers=5, rate=200, seconds=0.2, patience=2.0)
"""Its patience is for a silence: on a busy machine each process stands still for some tenths of a second."""
EXPECTED = 5 * 40


@pytest.fixture(scope="module")
def program() -> Path:
    need("cc")
    return build_load()


def outcome_of(program: Path, liar: Liar, work: Work = WORK) -> Outcome:
    liar.expect(work.readers)
    with liar.running() as port, Load(program, "slosh", port, work) as load:
        load.hear("ready")
        load.tell("go")
        if work.mode == "idle":
            load.hear("held")
            liar.until_held()
            load.tell("check")
        return load.result()


def number(message: bytes) -> int:
    """The number of a counted message; 0 for a warm-up."""
    return int(message.split()[2], 16)


def dropping(messages: list[bytes], _first: int) -> list[bytes]:
    return [message for message in messages if number(message) != 7]


def dropping_the_last(messages: list[bytes], _first: int) -> list[bytes]:
    return [message for message in messages if number(message) != 40]


def doubling(messages: list[bytes], _first: int) -> list[bytes]:
    return [message for message in messages for _ in range(2 if number(message) == 7 else 1)]


def doubling_the_last(messages: list[bytes], _first: int) -> list[bytes]:
    return [message for message in messages for _ in range(2 if number(message) == 40 else 1)]


class Swapping:
    """Holds message 7 of each answerless moment back and sends it behind the next one."""

    def __init__(self) -> None:
        self.seven = b""

    def __call__(self, messages: list[bytes], _first: int) -> list[bytes]:
        told: list[bytes] = []
        for message in messages:
            if number(message) == 7:
                self.seven = message
            elif number(message) == 8:
                told += [message, self.seven]
            else:
                told.append(message)
        return told


def damaging(messages: list[bytes], _first: int) -> list[bytes]:
    return [message.replace(b"xxx", b"xyx") if number(message) == 7 else message for message in messages]


def misplacing(messages: list[bytes], _first: int) -> list[bytes]:
    return [
        message.replace(b" 00000000 ", b" 00000001 ", 1) if number(message) == 7 else message for message in messages
    ]


def test_an_honest_server_is_accepted_with_every_message_counted_once(program: Path) -> None:
    outcome = outcome_of(program, Liar())
    assert outcome.refusal() is None
    assert (outcome.published, outcome.expected, outcome.delivered) == (40, EXPECTED, EXPECTED)
    assert outcome.delivery_p50 > 0
    assert outcome.load_cpu > 0


@pytest.mark.parametrize(
    ("lie", "field", "count"),
    [
        pytest.param(dropping, "missing", 5, id="one lost in the middle"),
        pytest.param(dropping_the_last, "missing", 5, id="the last one lost"),
        pytest.param(doubling, "doubled", 5, id="one doubled"),
        pytest.param(doubling_the_last, "doubled", 5, id="the last one doubled"),
        pytest.param(Swapping(), "swapped", 5, id="two swapped"),
        pytest.param(damaging, "damaged", 5, id="one damaged"),
        pytest.param(misplacing, "strangers", 5, id="one of another topic"),
    ],
)
def test_each_lie_is_noticed_once_for_each_reader_and_the_run_is_refused(
    program: Path, lie: Lie, field: str, count: int
) -> None:
    outcome = outcome_of(program, Liar(lie))
    assert getattr(outcome, field) == count
    assert outcome.refusal() is not None


def test_a_swap_alone_is_not_also_told_as_a_loss(program: Path) -> None:
    outcome = outcome_of(program, Liar(Swapping()))
    assert (outcome.swapped, outcome.missing, outcome.doubled) == (5, 0, 0)


def test_a_refused_publish_refuses_the_run(program: Path) -> None:
    outcome = outcome_of(program, Liar(refuse_every=20))
    assert outcome.failed > 0
    assert "publishes refused" in (outcome.refusal() or "")


def test_many_topics_are_kept_apart(program: Path) -> None:
    outcome = outcome_of(program, Liar(), Work(readers=20, topics=20, publishers=3, rate=400, seconds=0.2))
    assert outcome.refusal() is None
    assert outcome.delivered == outcome.published == 80


def test_publishes_without_readers_come_on_a_schedule_where_there_is_a_rate(program: Path) -> None:
    work = Work(mode="publish", publishers=3, topics=6, rate=400, seconds=0.2)
    outcome = outcome_of(program, Liar(), work)
    assert outcome.refusal() is None
    assert (outcome.published, outcome.delivered) == (80, 0)
    assert outcome.seconds > 0.19, "the last of them is due behind the others"
    assert outcome.publish_p99 > 0


def test_several_publishers_of_one_topic_are_streams_of_their_own(program: Path) -> None:
    outcome = outcome_of(program, Liar(), Work(readers=5, publishers=4, seconds=0.2))
    assert outcome.refusal() is None
    assert outcome.delivered == 5 * outcome.published > 0


def test_idle_polls_are_proven_to_be_held(program: Path) -> None:
    outcome = outcome_of(program, Liar(), Work(mode="idle", readers=50, patience=10.0))
    assert outcome.refusal() is None
    assert outcome.delivered == 50


def test_readers_that_return_from_a_storm_have_what_came_meanwhile(program: Path) -> None:
    outcome = outcome_of(program, Liar(), Work(mode="storm", readers=50, seconds=0.2, patience=10.0))
    assert outcome.refusal() is None
    assert outcome.delivered == 50
    assert outcome.reconnect_p99 > 0


def test_a_storm_in_which_the_message_is_lost_is_refused(program: Path) -> None:
    def losing(messages: list[bytes], _first: int) -> list[bytes]:
        return [message for message in messages if number(message) != 1]

    outcome = outcome_of(program, Liar(losing), Work(mode="storm", readers=50, seconds=0.2, patience=2.0))
    assert outcome.missing == 50


def test_latency_counts_from_the_due_moment_so_that_a_stalled_server_cannot_hide_it(program: Path) -> None:
    """A server that takes 20 ms for each publish gets one each 5 ms: the last of 40 waits some 600 ms for its turn."""

    class Slow(Liar):
        async def _post(self, path: str, body: bytes) -> bytes:
            import asyncio

            await asyncio.sleep(0.02)
            return await super()._post(path, body)

    outcome = outcome_of(program, Slow())
    assert outcome.refusal() is None
    assert outcome.delivery_p99 > 400_000


def test_latency_ends_when_the_answer_is_there_so_that_a_slow_reader_is_not_the_servers_fault(program: Path) -> None:
    stopped = 2.0
    liar = Liar()
    liar.expect(5)
    listening = Work(mode="listen", readers=5)
    publishing = Work(mode="publish", rate=10, seconds=0.1)
    with liar.running() as port, Load(program, "slosh", port, listening) as readers:
        readers.hear("ready")
        readers.tell("go")
        readers.hear("held")
        liar.until_held()
        os.kill(readers.pid, signal.SIGSTOP)
        with Load(program, "slosh", port, publishing) as publisher:
            publisher.hear("ready")
            publisher.tell("go")
            assert publisher.result().published == 1
        time.sleep(stopped)  # it is this time that must not show
        os.kill(readers.pid, signal.SIGCONT)
        readers.tell("check")
        outcome = readers.result()
    assert outcome.delivered == 5
    assert 0 < outcome.delivery_p99 < 1e6 * stopped / 2


def test_browser_headers_are_sent_whole_and_differ_from_reader_to_reader(program: Path) -> None:
    liar = Liar(honest)
    outcome = outcome_of(program, liar, Work(readers=5, rate=100, seconds=0.1, browser=True))
    assert outcome.refusal() is None
    assert len(liar.heads) == 5
    assert all(650 <= len(head) <= 750 and "Cookie: session=" in head for head in liar.heads)


def test_a_port_where_nobody_listens_is_told_as_an_error(program: Path) -> None:
    with pytest.raises(LoadError, match="cannot connect"), Load(program, "slosh", free_port(), WORK) as load:
        load.hear("ready")


def test_readers_who_only_wait_are_proven_to_be_held_after_the_others_were_served(program: Path) -> None:
    liar = Liar()
    work = Work(mode="mixed", readers=5, idle_readers=30, idle_topics=3, rate=200, seconds=0.2, patience=10.0)
    with liar.running() as port, Load(program, "slosh", port, work) as load:
        load.hear("ready")
        load.tell("go")
        load.hear("served")
        load.tell("check")
        outcome = load.result()
    assert outcome.refusal() is None
    assert outcome.delivered == EXPECTED + 30


# Requests that differ from each other.


def test_lengths_by_chance_keep_within_their_bounds_and_every_message_is_still_counted(program: Path) -> None:
    liar = Liar()
    outcome = outcome_of(program, liar, Work(readers=5, rate=200, seconds=0.2, size=64, most=300))
    assert outcome.refusal() is None
    assert outcome.delivered == EXPECTED
    lengths = {len(body) for body in liar.bodies}
    assert min(lengths) >= 64
    assert max(lengths) <= 300
    assert len(lengths) > 20


def test_a_message_of_another_length_than_it_was_sent_with_is_noticed(program: Path) -> None:
    def shortening(messages: list[bytes], _first: int) -> list[bytes]:
        return [message.replace(b"xxx", b"x") if number(message) == 7 else message for message in messages]

    outcome = outcome_of(program, Liar(shortening), Work(readers=5, rate=200, seconds=0.2, size=100, most=300))
    assert outcome.damaged == 5


def test_what_nobody_reads_may_be_shorter_than_what_has_to_be_counted(program: Path) -> None:
    liar = Liar()
    outcome = outcome_of(program, liar, Work(mode="publish", rate=400, seconds=0.2, size=20, most=70))
    assert outcome.refusal() is None
    assert {len(body) for body in liar.bodies} <= set(range(20, 71))
    assert min(len(body) for body in liar.bodies) < 40
    assert all(json.loads(body) for body in liar.bodies)
    with pytest.raises(LoadError, match="--size is 64 to"), Load(program, "slosh", 1, Work(size=20)) as load:
        load.hear("ready")


def values(heads: list[str], name: str) -> list[str]:
    """Those of a field, of all requests that have it."""
    return [found[1] for head in heads if (found := re.search(rf"\r\n{name}: ([^\r]*)\r\n", head))]


def test_keys_identifiers_and_a_token_are_on_each_request_that_they_belong_to(program: Path) -> None:
    liar = Liar()
    outcome = outcome_of(program, liar, Work(readers=3, rate=100, seconds=0.2, keys=True, ids=True, token=True))
    assert outcome.refusal() is None
    heads = liar.requests
    posts = [head for head in heads if head.startswith("POST")]
    for name, among in (("Idempotency-Key", posts), ("X-Request-ID", heads), ("traceparent", heads)):
        found = values(heads, name)
        assert len(found) == len(set(found)) == len(among)
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", each) for each in values(heads, "traceparent"))
    assert values(heads, "Authorization") == [f"Bearer {TOKEN.decode()}"] * len(heads)


@pytest.mark.parametrize(
    ("way", "looks"),
    [
        ("cookie", r"GET /topics/bench0 HTTP/1.1\r\n.*\r\nCookie: liar=life\.\d+\r\n"),
        ("number", r"GET /topics/bench0\?n=\d+ HTTP"),
        ("among", r"GET /topics/bench0\?wait=2\d&since=life\.\d+&limit=100 HTTP"),
    ],
)
def test_a_place_is_named_in_each_way_that_slosh_takes(program: Path, way: str, looks: str) -> None:
    liar = Liar()
    outcome = outcome_of(program, liar, Work(readers=5, rate=200, seconds=0.2, way=way))
    assert outcome.refusal() is None
    assert outcome.delivered == EXPECTED
    polls = [head for head in liar.requests if head.startswith("GET")]
    assert sum(bool(re.match(looks, head, re.DOTALL)) for head in polls) >= len(polls) - 5, "all but the first ones"


def test_all_of_it_comes_by_chance_in_a_mix(program: Path) -> None:
    liar = Liar()
    work = Work(readers=5, rate=200, seconds=0.2, size=64, most=3_000, keys=True, ids=True, mix=True)
    outcome = outcome_of(program, liar, work)
    assert outcome.refusal() is None
    polls = [head for head in liar.requests if head.startswith("GET")]
    assert all(any(sign in head for head in polls) for sign in ("?since=", "?n=", "&since=", "Cookie: "))
    assert 0 < len(values(liar.requests, "X-Request-ID")) < len(liar.requests)


def test_a_way_that_there_is_not_is_told(program: Path) -> None:
    with (
        pytest.raises(LoadError, match="no way to name a place is called smoke"),
        Load(program, "slosh", 1, Work(way="smoke")) as load,
    ):
        load.hear("ready")
