"""What clients and watches have in common."""

import asyncio

from slosh import AsyncClient, Client
from slosh.client.bases import AsyncCloseable, Closeable


class Noting(Closeable, AsyncCloseable):
    """Notes that it is closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def close(self) -> None:
        """As the base says."""
        self.closed.append("close")

    async def aclose(self) -> None:
        """As the base says."""
        self.closed.append("aclose")


def test_it_is_closed_at_the_end_of_a_block() -> None:
    noting = Noting()
    with noting as same:
        assert same is noting
        assert not noting.closed
    assert noting.closed == ["close"]


def test_it_is_closed_at_the_end_of_an_asynchronous_block() -> None:
    noting = Noting()

    async def use() -> None:
        async with noting as same:
            assert same is noting
        assert noting.closed == ["aclose"]

    asyncio.run(use())


def test_both_clients_tell_the_same_of_their_server() -> None:
    with Client("http://pi:8000/") as client:
        other = AsyncClient("http://pi:8000/")
        assert (client.url, client.base, client.where) == (other.url, other.base, other.where)
        assert client.url == "http://pi:8000"
