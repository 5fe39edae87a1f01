"""Which servers an address leads to. What happens on the way is under test in test_link.py and test_roads.py."""

import pytest

from slosh.engine.redis.client.cluster import Cluster, make_servers
from slosh.engine.redis.client.servers import Servers, StoreTerms
from slosh.engine.redis.scripts import SCRIPTS
from tests.engine.redis.client.test_link import probe


class Deaf:
    """Is told, and does nothing."""

    def came_up(self) -> None:
        """As the protocol says."""

    def subscribed(self, channel: str) -> None:
        """As the protocol says."""

    def heard(self, channel: str, data: bytes) -> None:
        """As the protocol says."""


@pytest.mark.parametrize(("text", "kind"), [("redis://host", Servers), ("redis+cluster://host", Cluster)])
def test_a_cluster_is_told_from_a_single_server(text: str, kind: type[Servers]) -> None:
    terms = StoreTerms(timeout=1.0, most=10, news="news", scripts=SCRIPTS, probe=probe)
    assert type(make_servers(text, Deaf(), terms)) is kind
