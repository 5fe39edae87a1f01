"""Bounds on what waits for the store: each is reached by a server whose store stands still, and counted."""

import asyncio
import re
from collections import Counter
from typing import Any

import pytest

from slosh.server import Server
from slosh.settings import Settings
from tests.stores.server import Store
from tests.test_server import ask, request, run
from tests.web.test_counters import AT_THE_STORE

BOUNDS: dict[str, dict[str, Any]] = {
    "engine_timeout": {"engine_timeout": 0.3},
    "engine_queue": {"engine_timeout": 1.0, "engine_queue": 5},
    "engine_queue_bytes": {"engine_timeout": 1.0, "engine_queue_bytes": 2048, "max_message": 1024, "queue_bytes": 1024},
}
"""Settings that bring each near."""
POSTS = 20


def test_all_are_here() -> None:
    assert set(BOUNDS) == set(AT_THE_STORE)


@pytest.mark.parametrize("name", BOUNDS)
def test_it_refuses_and_counts_what_it_refuses(store: Store, name: str) -> None:
    counter = AT_THE_STORE[name]
    code = counter.split('"')[1]

    async def work() -> None:
        server = Server(Settings(port=0, engine=store.url, engine_prefix=f"bounds-{name}", **BOUNDS[name]))
        await server.start()

        async def counted() -> float:
            page = (await ask(server, request("GET", "/-/metrics"))).decode()
            found = re.search(rf"^{re.escape(counter)} (\S+)$", page, flags=re.MULTILINE)
            return float(found[1]) if found else 0.0

        await ask(server, request("GET", "/topics/a?wait=0"))
        body = b'"' + b"x" * 900 + b'"'
        assert b" 200 " in (await ask(server, request("POST", "/topics/a", body))).partition(b"\r\n")[0]
        assert await counted() == 0
        with store.paused():
            answers = await asyncio.gather(*(ask(server, request("POST", "/topics/a", body)) for _ in range(POSTS)))
        # What was let wait is given up in the end.
        codes = Counter(answer.partition(b'"code": "')[2].partition(b'"')[0].decode() for answer in answers)
        assert codes.total() == codes[code] + codes["engine_unreachable"] * (code != "engine_unreachable") == POSTS
        assert codes[code] > 0
        assert await counted() == codes[code]
        await server.stop()

    run(work)
