"""The cases that know no language (cases.yaml), against both clients."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from slosh.client import AsyncClient, Client, Item, Note, Refused
from slosh.client.protocol import Watching
from tests.client.scripted import Scripted

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))
COMMON = [case for case in CASES if "only" not in case]
PATIENCE = 20.0


class Seen:
    """What a reader was given and told."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.notes: list[Note] = []
        self.refused = 0
        self.place = ""
        self.over = False

    def take(self, each: Item | Note) -> None:
        if isinstance(each, Item):
            self.items.append(each)
        elif each.kind != "away":
            self.notes.append(each)

    def has_all(self, case: dict[str, Any], server: Scripted) -> bool:
        """Whether nothing more is to come."""
        given, told = len(case.get("gives", [])), len(case.get("notes", []))
        return server.used.is_set() and len(self.items) >= given and len(self.notes) >= told


def read(case: dict[str, Any], server: Scripted) -> Seen:
    seen = Seen()
    with (
        Client(server.url) as client,
        client.watch(
            *case["topics"], **case.get("options", {}), notes=True, deadline=2.0 if case.get("gives") else PATIENCE
        ) as watch,
    ):
        try:
            for each in watch:
                seen.take(each)
                if seen.has_all(case, server) and not case.get("over"):
                    break
        except Refused as error:
            seen.refused = error.status
        seen.place, seen.over = watch.place, watch.ended
    return seen


async def read_asynchronously(case: dict[str, Any], server: Scripted) -> Seen:
    seen = Seen()
    async with (
        AsyncClient(server.url) as client,
        client.watch(
            *case["topics"], **case.get("options", {}), notes=True, deadline=2.0 if case.get("gives") else PATIENCE
        ) as watch,
    ):
        try:
            async for each in watch:
                seen.take(each)
                if seen.has_all(case, server) and not case.get("over"):
                    break
        except Refused as error:
            seen.refused = error.status
        seen.place, seen.over = watch.place, watch.ended
    return seen


def judge(case: dict[str, Any], seen: Seen, server: Scripted) -> None:
    assert [item.message for item in seen.items] == case.get("gives", [])
    assert [[note.kind, note.topic, note.count] for note in seen.notes] == case.get("notes", [])
    assert seen.refused == case.get("refused", 0)
    assert seen.over is case.get("over", False)
    if "offsets" in case:
        assert [item.offset for item in seen.items] == case["offsets"]
    if "place" in case:
        assert seen.place == case["place"]
    for request, step in zip(server.requests, case["connections"], strict=True):
        assert [text for text in step.get("asks", []) if text not in request] == []
        assert [text for text in step.get("lacks", []) if text in request] == []


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries are tested by themselves, in test_protocol.py."""

    def count(self: Watching, least: float) -> None:
        del least
        self.failures += 1

    monkeypatch.setattr(Watching, "_back_off", count)


@pytest.mark.parametrize("case", COMMON, ids=[each["name"] for each in COMMON])
def test_a_program_without_a_loop(case: dict[str, Any]) -> None:
    with Scripted(case["connections"]) as server:
        judge(case, read(case, server), server)


@pytest.mark.parametrize("case", COMMON, ids=[each["name"] for each in COMMON])
def test_a_program_with_a_loop(case: dict[str, Any]) -> None:
    with Scripted(case["connections"]) as server:
        judge(case, asyncio.run(read_asynchronously(case, server)), server)
