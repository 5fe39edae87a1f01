"""Three servers do the same work over real TLS, and what is counted is CPU of each."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.tls import WORKS, measure, start
from tests.conftest import lacking, need


@pytest.mark.long
def test_each_server_does_each_work(tmp_path: Path) -> None:
    need("nginx")
    need("openssl")
    if len(str(tmp_path / "behind")) > 100:
        lacking(f"the path {tmp_path} is too long for a Unix socket")
    with ExitStack() as stack:
        places = start(tmp_path, stack)
        found = asyncio.run(measure(places, [*WORKS], 1, 0.1))
    assert set(found) == set(WORKS)
    for times in found.values():
        assert len(times) == 3
        assert all(each > 0 for of_place in times.values() for each in of_place)
    plain, encrypted, _ = (found["connect"][place.name][0] for place in places)
    assert encrypted > plain, "a handshake costs something"
