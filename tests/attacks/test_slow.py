"""Clients that are slow on purpose: they cost little memory and no time of the others."""

import logging
import socket
import threading
from pathlib import Path

import pytest

from tests.attacks.victim import Bystander, Cost, Victim, crowd
from tests.e2e.server import allow_files

log = logging.getLogger("attacks")

SLOW = 5_000
REQUESTS = 300
"""Of the other client, which are weighed."""
EACH = 18 * 1024
"""Bytes that a head takes while it comes in, as docs/operations.md says."""
KINDS = {
    "heads": b"GET / HTTP/1.1\r\nX-Slow: ",
    "bodies": b"POST /topics/quiet HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n[",
    "chunks": b"POST /topics/quiet HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n",
    "silence": b"",
}


def tell(kind: str, memory: float, **costs: Cost) -> None:
    """What was measured, for people: `pytest --log-cli-level=INFO` shows it."""
    waits = "; ".join(
        f"{name}: median {cost.percentile(50):.2f} ms, p99 {cost.percentile(99):.2f} ms, {1e6 * cost.cpu:.0f} us of CPU"
        for name, cost in costs.items()
    )
    log.info("%d slow %s: %.1f KiB each; %s", SLOW, kind, memory / 1024, waits)


@pytest.mark.long
@pytest.mark.timeout(600)  # seconds on a machine that does nothing else
@pytest.mark.parametrize("kind", KINDS)
def test_five_thousand_slow_clients_take_little_memory_and_no_time_of_the_others(tmp_path: Path, kind: str) -> None:
    """Each sends a byte again and again, so that no bound of the system is met before one of the server's."""
    allow_files(SLOW + 500)
    with (
        Victim(tmp_path, "--head-timeout=10m", "--body-timeout=10m") as victim,
        Bystander(victim) as other,
        Victim(tmp_path) as calm,
        Bystander(calm) as usual,
    ):
        memory, alone = victim.memory, other.ask(REQUESTS)
        with crowd(victim, SLOW, KINDS[kind]) as clients:
            taken = (victim.memory - memory) / SLOW
            # While all of them are silent, and by turns: a machine may be slow for seconds, and then both are.
            rounds = [(other.ask(50).cpu, usual.ask(50).cpu) for _ in range(20)]
            held = other.ask(REQUESTS)
            ended = threading.Event()
            dripping = threading.Thread(target=drip, args=(clients if KINDS[kind] else [], ended))
            dripping.start()
            try:
                beside = other.ask(REQUESTS)
            finally:
                ended.set()
                dripping.join()
        tell(kind, taken, alone=alone, held=held, dripping=beside)
        assert taken < EACH
        least = [min(costs) for costs in zip(*rounds, strict=True)]
        assert least[0] < 2 * least[1], "a request costs more where others are slow"
        victim.assert_healthy()


def drip(clients: list[socket.socket], ended: threading.Event) -> None:
    """Send a byte on each, again and again."""
    while not ended.is_set():
        for client in clients:
            client.sendall(b"x")
            if ended.is_set():
                return
        if not clients:
            return


def test_the_last_bytes_of_a_long_head_cost_what_the_first_do(tmp_path: Path) -> None:
    """Each byte comes by itself, so a server that reads again what it has seen would pay for all of it."""
    with Victim(tmp_path, "--head-timeout=10m") as victim, Bystander(victim) as other:

        def cost(seen: int) -> float:
            with victim.connect() as client:
                client.sendall(b"GET / HTTP/1.1\r\nX-Slow: " + b"x" * seen)
                other.ask(1)
                before = victim.cpu()
                for _ in range(50):
                    client.sendall(b"x")
                    other.ask(1)  # so that the byte has come by itself
                return victim.cpu() - before

        # By turns, each of them short: a machine may be slow for seconds, and then both are.
        rounds = [(cost(15_000), cost(10)) for _ in range(20)]
        assert min(last for last, _ in rounds) < 3 * min(first for _, first in rounds)
