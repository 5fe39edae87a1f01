"""The servers that are compared start, give every message once to every kind of reader, and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as command
from benchmarks.building import build_load
from benchmarks.loading import Load, Work
from benchmarks.machine import cpu_seconds, family, memory_bytes
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import DEFAULT, MOUNT, PEERS, SERVERS, STORE
from tests.conftest import lacking, need
from tests.e2e.conftest import trying
from tests.e2e.server import until

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.servers import Server

TOOLS = {"floor": ["cc"], "nchan": ["nginx"], "faye": ["node"], "pushpin": ["pushpin", "condure", "zurl"],
         "slosh-redis": ["redis-server"], "slosh-compiled-redis": ["redis-server"],
         "slosh-workers": ["redis-server"]}  # fmt: skip
NAMES = dict.fromkeys([*DEFAULT, *PEERS, *STORE, *MOUNT, "slosh-workers"])


@pytest.fixture(scope="module")
def program() -> Path:
    need("cc")
    return build_load()


def usable(name: str) -> Server:
    for tool in TOOLS.get(name, ()):
        need(tool)
    server = SERVERS[name]
    missing = server.missing()
    if missing is not None:
        lacking(f"it needs {missing}")
    return server


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_reader_gets_every_message_once_and_a_stopped_server_leaves_no_process(
    program: Path, name: str
) -> None:
    server = usable(name)
    carries_little = server.share < 0.1
    work = Work(
        readers=20, topics=2, publishers=2, rate=20 if carries_little else 200, seconds=2 if carries_little else 0.2
    )
    # On a busy machine Pushpin loses a message between two polls now and then, as the ledger is there to say.
    transports = server.transports if name != "pushpin" else {}
    with server.running(None) as (pid, port, _):
        for kind, transport in transports.items():
            with trying(kind), Load(program, transport, port, work) as load:
                load.hear("ready")
                load.tell("go")
                outcome = load.result()
                assert outcome.refusal() is None
                assert outcome.delivered == 40 * 10
                assert cpu_seconds(pid) > 0
                assert memory_bytes(pid) > 100_000
        members = family(pid)
        assert pid in members
    # The system takes its time to remove what was killed.
    until(lambda: [member for member in members if _is_alive(member)], lambda alive: not alive)


def _is_alive(pid: int) -> bool:
    from pathlib import Path

    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_publishes_are_taken_although_nobody_reads(program: Path) -> None:
    """The scenario `publish` measures publishing alone: no delivery is paid for along with it."""
    server = usable("slosh")
    work = Work(mode="publish", publishers=4, seconds=0.2)
    with server.running(None) as (_, port, _), Load(program, "slosh", port, work) as load:
        load.hear("ready")
        load.tell("go")
        outcome = load.result()
    assert outcome.refusal() is None
    assert outcome.published > 10


def test_a_scenario_name_means_itself_and_otherwise_all_that_begin_with_it() -> None:
    assert command.parse(["-s", "fanout-1000"]).scenarios == ["fanout-1000"]
    assert command.parse(["-s", "fanout"]).scenarios == [name for name in SCENARIOS if name.startswith("fanout")]
    assert command.parse([]).scenarios == list(SCENARIOS)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse(["-s", "nonsense", "-S", "apache"])
    assert "nonsense, apache" in capsys.readouterr().err
