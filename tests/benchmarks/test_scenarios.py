"""Each scenario gives the figures that its rows show, on a real server, with hardly any load."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import measuring, results
from benchmarks.building import build_load
from benchmarks.loading import Load, Outcome, Work
from benchmarks.measuring import Refused, Run, fan_out
from benchmarks.scenarios import ONLY_GROWTH, SCENARIOS
from benchmarks.servers import SERVERS
from benchmarks.turns import Turns, available, possible
from tests.conftest import need

QUICK = {
    "fanout-100",
    "idle-10000",
    "latency",
    "publish",
    "publish-token",
    "readers-mix",
    "return-sse",
    "saturation",
    "sse",
}
QUICK |= {"storm", "topics-cookie", "websocket"}
"""One of each kind of measurement; `make test-all` tries all."""
SMALL = [
    pytest.param(name, marks=[pytest.mark.long] * (name not in QUICK))
    for name in SCENARIOS
    if name not in ONLY_GROWTH and "most" not in name
]


@pytest.fixture(scope="module")
def program() -> Path:
    need("cc")
    return build_load()


def smaller(work: Work) -> Work:
    """So little of it that it takes a moment."""
    return dataclasses.replace(
        work,
        readers=min(work.readers, 40),
        topics=min(work.topics, 20),
        idle_readers=min(work.idle_readers, 30),
        idle_topics=min(work.idle_topics, 10),
        rate=100.0 if work.rate else 0.0,
        seconds=min(work.seconds, 0.1),
    )


@pytest.mark.parametrize("name", SMALL)
def test_a_scenario_gives_every_figure_of_its_rows(name: str, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, server = SCENARIOS[name], SERVERS["slosh"]
    monkeypatch.setattr(measuring, "RESTING_SECONDS", 0.05)
    monkeypatch.setattr(measuring, "Work", lambda **options: smaller(Work(**options)))
    with server.running(None, guarded=scenario.guarded) as (pid, port, _):
        figures = scenario.measure(Run(pid, port, server.transports[scenario.kind], program, 0))
    assert {metric.name for metric in scenario.metrics} <= set(figures)


def test_the_load_generators_token_is_the_only_one_that_is_let_in(program: Path) -> None:
    """Else the row with tokens would measure a server that asks for none."""
    server = SERVERS["slosh"]
    with server.running(None, guarded=True) as (_, port, _):
        work = Work(mode="publish", rate=100, seconds=0.1)
        with Load(program, "slosh", port, work) as load:
            load.hear("ready")
            load.tell("go")
            assert load.result().failed == 10
        with Load(program, "slosh", port, dataclasses.replace(work, token=True)) as load:
            load.hear("ready")
            load.tell("go")
            assert load.result().failed == 0


def test_points_of_a_curve_differ_in_the_one_number_that_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Work] = []
    monkeypatch.setattr(measuring, "steady", lambda work: asked.append(work(Run(1, 1, "slosh", Path("load"), 0))))
    for readers in (100, 1_000, 10_000):
        fan_out(readers, topics=20_000 // readers, pause=2.0)
    assert {work.readers for work in asked} == {20_000}
    assert {work.rate / work.topics for work in asked} == {0.5}
    fan_out(1_000)
    assert asked[-1].rate * asked[-1].readers == measuring.DELIVERIES_PER_SECOND


def test_idle_readers_are_no_part_of_the_deliveries_that_are_paid_for(program: Path) -> None:
    server = SERVERS["slosh"]
    work = Work(mode="mixed", readers=20, topics=2, idle_readers=50, idle_topics=10, rate=100, seconds=0.1)
    with server.running(None) as (pid, port, _):
        outcome, _, _ = measuring.measured_work(Run(pid, port, "slosh", program, 0), work)
    assert outcome.expected == 10 * 10 + 50
    assert outcome.delivered == 10 * 10


def test_a_run_that_lost_one_message_gives_no_figure() -> None:
    nothing: dict[str, float] = {field.name: 0 for field in dataclasses.fields(Outcome)}
    lost = Outcome(**{**nothing, "missing": 1})  # type: ignore[arg-type] # zeros are whole numbers too
    with pytest.raises(Refused, match="1 of 0 messages missing"):
        measuring.accepted(lost)


def test_servers_take_turns_and_what_they_showed_is_kept(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "Work", lambda **options: smaller(Work(**options)))
    servers = available([SERVERS["slosh"], SERVERS["floor"]])
    found = results.Results("here", "today", "abc", 2, {server.name: "1" for server in servers})
    Turns(servers, possible([SCENARIOS["fanout-100"]]), program).run(found, keep=tmp_path / "x.json")
    cells = results.read(tmp_path / "x.json").cells["fanout-100"]
    assert [len(cells[server.name].rounds) for server in servers] == [2] * len(servers)
    assert all(cell.figure("cpu") for cell in cells.values())


def test_what_is_missing_is_left_out_loudly(capsys: pytest.CaptureFixture[str]) -> None:
    absent = dataclasses.replace(SERVERS["nchan"], missing=lambda: "a thing")
    vast = dataclasses.replace(SCENARIOS["idle-10000"], files=10**9)
    assert available([absent]) == []
    assert possible([vast]) == []
    told = capsys.readouterr().err
    assert "nchan IS LEFT OUT; it needs a thing" in told
    assert "LEFT OUT; it needs 1,000,000,300 open files" in told


def test_peers_are_chosen_with_the_work_that_they_can_do() -> None:
    chosen = command.parse(["--peers"])
    assert [server.name for server in chosen.servers] == ["nchan", "starlette", "twisted-web", "faye", "pushpin"]
    assert set(chosen.scenarios) == set(command.PEERS_WORK)
