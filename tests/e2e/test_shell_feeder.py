"""The feeder in five lines of shell: it sleeps until somebody watches, feeds, and sleeps again."""

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import need
from tests.e2e.conftest import FEEDERS, PATIENCE, Process, Slosh, until


@pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="it posts Linux's load average")
def test_it_wakes_when_somebody_watches_and_rests_when_nobody_does(serve: Callable[..., Slosh]) -> None:
    need("curl")
    slosh = serve(linger="100ms")

    def published() -> float:
        with urllib.request.urlopen(f"{slosh.url}/-/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("slosh_published_messages_total")))

    def watch() -> bytes:
        with urllib.request.urlopen(f"{slosh.url}/topics/load", timeout=PATIENCE) as answer:
            body: bytes = answer.read()
        return body

    with Process("sh", FEEDERS / "feeder.sh", f"{slosh.url}/topics/load") as feeder:
        assert b'"delivering":1' in watch()
        # The topic is watched no more: its next message is refused, and it goes back to sleep.
        until(lambda: slosh.post("load", 1)["status"], lambda status: status == 404)
        resting = published()
        assert b'"delivering":1' in watch()
        assert published() > resting
        feeder.end()
