"""Several nodes on one store are measured with every message counted at every node."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from benchmarks import nodes
from benchmarks.building import build_load
from benchmarks.loading import Outcome
from benchmarks.measuring import Refused
from benchmarks.servers import SERVERS
from tests.conftest import lacking, need

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def program() -> Path:
    need("cc")
    need("redis-server")
    missing = SERVERS["slosh-redis"].missing()
    if missing is not None:
        lacking(f"it needs {missing}")
    return build_load()


def test_a_reader_at_every_node_gets_every_message(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "RATE", 50.0)
    with nodes.running(SERVERS["slosh-redis"], 2, foremost=False) as two:
        figures = nodes.announcing(program, two, 0.2, foremost=False)
        assert figures["node"] > 0
        assert figures["store"] > 0
        assert nodes.throughput(program, two, 0.1, foremost=False)["rate"] > 10


def test_a_message_that_another_node_did_not_hear_refuses_the_run() -> None:
    nothing: dict[str, float] = {field.name: 0 for field in dataclasses.fields(Outcome)}
    heard = Outcome(**{**nothing, "delivered": 9})  # type: ignore[arg-type] # zeros are whole numbers too
    nodes.heard_all(heard, 9)
    with pytest.raises(Refused, match="1 of 10 messages missing at another node"):
        nodes.heard_all(heard, 10)


def test_the_table_has_a_column_for_each_number_of_nodes() -> None:
    told = [{"rate": 5_000.0, "node": 70.0, "store": 20.0, "p99": 1.5}]
    found = nodes.Found("m", "d", "c", "7", "s", {"1": told, "2": told}, {"1": told, "2": told})
    lines = nodes.table(found).splitlines()
    assert lines[0] == "|  | 1 node | 2 nodes |"
    assert lines[3].endswith("| 70.0 | 70.0 |")
