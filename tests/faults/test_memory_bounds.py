"""What a client can make grow takes no more than docs/operations.md says: each row is filled, and measured."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from benchmarks.fairness.bursts import get, lines, request
from tests.e2e.server import Serving, allow_files
from tests.faults.filling import FILLINGS, LARGE, ask, hold, settled
from tests.faults.filling import FULL as FULL_RING

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
GENEROUS = 1.5
"""What is measured has the allocator's leftovers in it, and other Pythons have larger objects."""
FULL = 0.2
"""A row that is not filled to a good part says nothing: the filling, or the page, is wrong."""
UNITS = {"bytes": 1, "KiB": 1024, "MiB": 1024 * 1024}
LARGE_FILE = 20_000_000
"""Bytes: the system's own buffers take a good part of a smaller one."""
PATIENT = (
    "--linger=10m",
    "--idle-timeout=10m",
    "--head-timeout=10m",
    "--body-timeout=10m",
    "--write-timeout=10m",
    "--max-topics-per-address=0",
)
"""Nothing ends while it is measured, and one client may fill what belongs to all."""


def documented() -> dict[str, int]:
    """The rows of the page's table of memory: what, and how many bytes each."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("\n## Memory\n")
    section = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d,.]+) (bytes|KiB|MiB) \|", section, re.MULTILINE)
    return {what: int(float(number.replace(",", "")) * UNITS[unit]) for what, number, unit in rows}


def test_every_row_of_the_table_is_filled_by_a_test() -> None:
    assert list(documented()) == list(FILLINGS)


@pytest.mark.long
@pytest.mark.parametrize("row", FILLINGS)
def test_a_row_is_filled_and_takes_no_more_than_it_says(row: str, tmp_path: Path) -> None:
    filling = FILLINGS[row]
    allow_files(filling.count + 200)
    (tmp_path / "root").mkdir()
    with (tmp_path / "root" / "large").open("wb") as large:
        large.truncate(LARGE_FILE)
    with Serving(tmp_path, *PATIENT, f"--root={tmp_path / 'root'}", *filling.options) as server:
        # So that nothing is charged that a server does once: modules that are imported late, the first of a kind.
        ask(server, get("/topics/watched?wait=0") + filling.before)
        watching = hold(server, [get("/topics/watched")] * 3, answered=False)
        before = settled(server)
        opened = filling.fill(server, filling.count)
        grown = settled(server) - before
        server.assert_healthy()
        for one in (*watching, *opened):
            one.close()
    told = documented()[row]
    assert FULL * told <= grown / filling.count <= GENEROUS * told


GLIBC = platform.libc_ver()[0] == "glibc"


@pytest.mark.parametrize(
    ("threshold", "beside"),
    [
        # The C library keeps for the next large ones what was freed: a body as it came, as a whole, and its messages.
        pytest.param("", 3.5, id="as-it-is"),
        # Told to give all large blocks back at once, it shows that nothing of them is held.
        pytest.param("131072", 0.25, id="given-back", marks=pytest.mark.skipif(not GLIBC, reason="another C library")),
    ],
)
def test_all_rings_together_take_no_more_than_max_bytes_however_many_there_are(
    threshold: str, beside: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that fills one ring after another, watched and unwatched, grows the server by the bound and no more.

    Args:
        threshold: MALLOC_MMAP_THRESHOLD_ of glibc, bytes; empty for its own.
        beside: how many bodies more may be left in the process.
    """
    if threshold:
        monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", threshold)
    most = 32 * UNITS["MiB"]
    with Serving(tmp_path, *PATIENT, "--max-bytes=32MiB") as server:
        ask(server, get("/topics/first?wait=0"))
        before = settled(server)
        answers = b""
        for number in range(12):
            path = f"/topics/full/{number}"
            watching = hold(server, [get(f"{path}?format=sse")], answered=True) if number % 2 else []
            body = lines(8 * UNITS["MiB"] - 100, LARGE.encode())
            answers += ask(server, get(f"{path}?wait=0") + request("POST", f"{path}?batch=ndjson", body=body))
            for one in watching:
                one.close()
        grown = settled(server) - before
        server.assert_healthy()
        metrics = ask(server, get("/-/metrics")).decode()
    held = float(re.findall(r"^slosh_held_bytes (\S+)", metrics, re.MULTILINE)[0])
    assert 0.5 * most < held <= most
    assert grown <= most + beside * 8 * UNITS["MiB"]
    assert re.search(r"^slosh_shortened_messages_total [1-9]", metrics, re.MULTILINE)


def test_bodies_that_never_end_and_answers_that_nobody_takes_are_bounded_together(tmp_path: Path) -> None:
    """However many connections a client opens for them; a client that behaves is served meanwhile."""
    most = 32 * UNITS["MiB"]
    allow_files(500)
    with Serving(tmp_path, *PATIENT, "--max-buffered=32MiB") as server:
        ask(server, FULL_RING)
        before = settled(server)
        bodies = [request("POST", "/topics/ring?batch=ndjson", body=b"1" * 8 * UNITS["MiB"])[:-1]] * 8
        opened = hold(server, bodies, answered=False)
        deaf = [get("/topics/ring?since=earliest&wait=0") * 30] * 60
        opened += hold(server, deaf, answered=False, deaf=True)
        grown = settled(server) - before
        server.assert_healthy()
        metrics = ask(server, get("/-/metrics")).decode()
        for one in opened:
            one.close()
    assert grown <= 2 * GENEROUS * most
    assert re.search(r'^slosh_refused_total{code="memory"} [1-9]', metrics, re.MULTILINE)
