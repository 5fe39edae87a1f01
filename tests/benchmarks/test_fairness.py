"""Every kind of attack reaches a live server, and the healthy client beside it is answered. Nothing is timed here."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.fairness import KINDS, found
from benchmarks.fairness.kinds import Crew, Kind, one
from benchmarks.fairness.running import FairnessError, Programs, Rules, Talker, build_programs, crews, run_one
from benchmarks.fairness.targets import TARGETS
from benchmarks.machine import raise_file_limit
from benchmarks.servers import SERVERS
from tests.conftest import lacking, need

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 0.5
FEW = 50
"""Connections of a crew here, instead of thousands."""
FEWER = 10
"""Connections that prepare a server here, instead of hundreds."""
ALIVE = ("publish", "healthy", "connect", "poll", "sse", "websocket")
"""What the healthy client is answered whatever is done beside it. New topics may be refused where there are many."""

QUICK = {"births", "crowd-sse", "deaf-readers", "garbage", "half-heads", "key-rings", "pattern-streams", "slow-bodies"}
"""Kinds that `make test` tries; `make test-all` tries all."""


@pytest.fixture(scope="module")
def programs() -> Programs:
    need("cc")
    raise_file_limit()
    return build_programs()


def run(target: str, kind: Kind, programs: Programs) -> dict[str, Any]:
    small = replace(
        kind,
        crews=lambda: [replace(crew, connections=min(crew.connections, FEW)) for crew in kind.crews()],
        prepare=lambda: itertools.islice(kind.prepare(), FEWER),
    )
    return run_one(TARGETS[target], small, Rules(programs, SECONDS, None, None, patience=60.0))


def assert_answered(shown: dict[str, Any]) -> None:
    for phase in ("idle", "attacked"):
        for name in ALIVE:
            seen = shown[phase][name]
            assert seen["count"] > 0, (phase, name)
            assert (seen["refused"], seen["unanswered"]) == (0, 0), (phase, name, seen)
    assert any(crew["sent"] or crew["connects"] for crew in shown["attackers"])


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name not in QUICK)) for name in KINDS])
def test_a_healthy_client_is_answered_beside_every_attacker(name: str, programs: Programs) -> None:
    assert_answered(run("slosh", KINDS[name], programs))


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(name, marks=[pytest.mark.long] * (name not in {"slosh-nginx", "uvicorn"}))
        for name in TARGETS
        if name != "slosh"
    ],
)
def test_every_target_is_attacked_in_the_same_way(target: str, programs: Programs) -> None:
    missing = TARGETS[target].server(()).missing()
    if missing is not None:
        lacking(missing)
    assert_answered(run(target, KINDS["pipelined-posts"], programs))


def test_the_table_has_at_least_25_kinds_and_names_each_once() -> None:
    assert len(KINDS) >= 25
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)


def test_a_server_that_stands_still_is_charged_with_all_that_was_due_meanwhile(programs: Programs) -> None:
    """Half a second in which it is stopped: every kind waited about as long, and many requests waited, not one."""
    with SERVERS["slosh"].running(None) as (pid, port, _), Talker([str(programs.healthy), str(port)], None) as healthy:
        assert healthy.hear() == "ready"
        healthy.say("3.0")  # so long that it still asks when this process, on a busy machine, comes to stop the server
        time.sleep(0.2)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        told = json.loads(healthy.hear())
    for name in ALIVE:
        assert told[name]["worst"] > 300, name
    assert told["healthy"]["count"] == 600  # of every 5 ms, those that could not be sent too
    assert told["healthy"]["p99"] > 300
    assert found.most(told, "worst") < 30_000


def test_preparations_that_are_refused_are_told(programs: Programs) -> None:
    unready = replace(KINDS["pipelined-polls"], prepare=lambda: [b"GET /topics/, HTTP/1.1\r\nHost: a\r\n\r\n"])
    with pytest.raises(FairnessError, match="while preparing: 400"):
        run("slosh", unready, programs)


def test_a_crew_sends_its_opening_once_and_its_burst_again_and_again(programs: Programs) -> None:
    crew = Crew(
        opening=b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", burst=b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n", connections=3
    )
    told: dict[str, int] = {}
    for seconds in (0.2, 2.0, 10.0):  # It tells at its end only, and on a busy machine it begins late.
        with SERVERS["slosh"].running(None) as (_, port, _), crews(programs.attack, port, [crew], None) as (attacker,):
            attacker.say("go")
            time.sleep(seconds)
            told = json.loads(attacker.finish())
        if told["bursts"] > 10:
            break
    assert told["bursts"] > 10
    assert told["sent"] >= told["bursts"] * len(crew.burst)
    assert told["received"] > 0
    assert told["connects"] == 0


def cell(worst: float, refused: int = 0) -> dict[str, Any]:
    seen = {"count": 100, "p50": 1.0, "p99": worst / 2, "worst": worst, "refused": refused, "lost": 0, "unanswered": 0}
    phase = dict.fromkeys(found.ASKED, seen)
    return {"idle": phase, "attacked": phase, "memory": {"before": 10.0, "peak": 12.0, "after": 11.0}}


def test_the_table_tells_worst_and_p99_and_marks_who_was_refused(tmp_path: Path) -> None:
    told = found.begun(2.0)
    told.titles = {"a": "does this", "b": "does that"}
    told.cells = {"a": {"slosh": cell(8.0)}, "b": {"slosh": cell(20.0, refused=50), "aiohttp": {"failed": "why"}}}
    told.write(tmp_path / "found.json")
    lines = found.table(found.read(tmp_path / "found.json"), {"slosh": "slosh", "aiohttp": "aiohttp"}).splitlines()
    assert lines[0] == "| the attacker | slosh | aiohttp | MB more (slosh) |"
    assert lines[2:] == [
        "| nobody attacks | 14 · 7.0 | 0.0 · 0.0 |  |",
        "| does this | 8.0 · 4.0 |  | 2 |",
        "| does that | 20 · 10 ✗ | no figure | 2 |",
    ]


def test_a_kind_of_one_crew_needs_its_bytes_alone() -> None:
    assert one(lambda: b"x", connections=2)() == [Crew(burst=b"x", connections=2)]
