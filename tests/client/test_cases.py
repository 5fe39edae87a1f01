"""The cases that know no language (cases.yaml), against both clients."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from slosh.client import AsyncClient, Client, Item, Note, Refused
from slosh.client.protocol import WatchState
from tests.client.scripted import Scripted
from tests.running import PATIENCE

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text(encoding="utf-8"))
COMMON = [case for case in CASES if "only" not in case]


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
    seen, is_read = Seen(), threading.Event()
    with (
        Client(server.url) as client,
        client.watch(*case["topics"], **case.get("options", {}), notes=True, deadline=PATIENCE) as watch,
    ):

        def close() -> None:
            """End the watch where its last message came before the last connection of the script was used."""
            while not is_read.wait(0.01):
                if seen.has_all(case, server):
                    watch.close()
                    return

        closing = threading.Thread(target=close)
        if case.get("gives") and not case.get("over"):
            closing.start()
        try:
            for each in watch:
                seen.take(each)
                if seen.has_all(case, server) and not case.get("over"):
                    break
        except Refused as error:
            seen.refused = error.status
        finally:
            is_read.set()
        if closing.ident is not None:
            closing.join()
        seen.place, seen.over = watch.place, watch.ended
    return seen


async def read_asynchronously(case: dict[str, Any], server: Scripted) -> Seen:
    seen = Seen()
    async with (
        AsyncClient(server.url) as client,
        client.watch(*case["topics"], **case.get("options", {}), notes=True, deadline=PATIENCE) as watch,
        asyncio.TaskGroup() as group,
    ):

        async def close() -> None:
            while not seen.has_all(case, server):  # noqa: ASYNC110 - the script's server is no part of the loop
                await asyncio.sleep(0.01)
            await watch.aclose()

        closing = group.create_task(close()) if case.get("gives") and not case.get("over") else None
        try:
            async for each in watch:
                seen.take(each)
                if seen.has_all(case, server) and not case.get("over"):
                    break
        except Refused as error:
            seen.refused = error.status
        finally:
            if closing is not None:
                closing.cancel()
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

    def count(self: WatchState, least: float) -> None:
        del least
        self.failures += 1

    monkeypatch.setattr(WatchState, "_back_off", count)


@pytest.mark.parametrize("case", COMMON, ids=[each["name"] for each in COMMON])
def test_a_program_without_a_loop(case: dict[str, Any]) -> None:
    with Scripted(case["connections"]) as server:
        judge(case, read(case, server), server)


@pytest.mark.parametrize("case", COMMON, ids=[each["name"] for each in COMMON])
def test_a_program_with_a_loop(case: dict[str, Any]) -> None:
    with Scripted(case["connections"]) as server:
        judge(case, asyncio.run(read_asynchronously(case, server)), server)
