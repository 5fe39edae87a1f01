"""What is done for a request leaves nothing behind once the request is forgotten."""

import gc
from collections.abc import Iterator

import pytest

from tests.web.harness import Site, request

REFUSED = {
    "key": f"/topics/a?key={{}}{'.a' * 20}",
    "number": "/topics/a?since=-{}&n=x",
    "name": "/topics/{},",
    "cursor": "/topics/a?since={}",
    "age": "/topics/a?since={}s",
    "list": "/topics?limit={}",
}
"""Targets that are refused, by what is wrong in them. Each has a place for something long."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("target", REFUSED.values(), ids=REFUSED)
@pytest.mark.usefixtures("no_collector")
def test_a_refused_request_is_no_garbage_for_the_collector(site: Site, target: str) -> None:
    """The collector of a server looks rarely. Requests of 16 kB that wait for it would be hundreds of megabytes."""
    client = site.connect()
    for number in range(2):  # what a server makes once is no garbage of a request
        client.get(target.format(f"{number}" + "9" * 3000))
    gc.collect()
    for number in range(2, 7):
        client.wire.arrived.clear()
        client.send(request("GET", target.format(f"{number}" + "9" * 3000)))
        assert client.next().status in (400, 404)
    assert gc.collect() == 0
