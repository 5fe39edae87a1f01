"""A real store of each kind that this machine has."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engine.nodes import Node, make_nodes
from tests.stores.found import EACH_KIND, program
from tests.stores.server import Store


@pytest.fixture(scope="session", params=EACH_KIND)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of each kind. Tests that hurt theirs start one of their own."""
    server = Store(tmp_path_factory.mktemp("store"), program(request.param))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def aio() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of all nodes, which runs only while a test lets them settle."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def nodes(store: Store, aio: asyncio.AbstractEventLoop) -> Iterator[Callable[..., list[Node]]]:
    """Makes nodes of one installation: how many, and their bounds."""
    made: list[Node] = []

    def make(count: int, **bounds: Any) -> list[Node]:
        made.extend(make_nodes(store.url, aio, count, **bounds))
        return made

    yield make
    for node in made:
        node.stop()
