"""The servers that are compared: each a file here that ends in a `Server`; SERVERS has the table's order."""

from __future__ import annotations

from benchmarks.servers.base import Server, Started
from benchmarks.servers.floor import FLOOR
from benchmarks.servers.nchan import NCHAN, NCHAN_MULTIPART
from benchmarks.servers.peers import FAYE_NODE, PUSHPIN, STARLETTE, TWISTED_WEB
from benchmarks.servers.slosh import SLOSH, SLOSH_COMPILED
from benchmarks.servers.store import SLOSH_COMPILED_REDIS, SLOSH_REDIS

SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        FLOOR,
        NCHAN,
        NCHAN_MULTIPART,
        SLOSH,
        SLOSH_COMPILED,
        SLOSH_REDIS,
        SLOSH_COMPILED_REDIS,
        STARLETTE,
        TWISTED_WEB,
        FAYE_NODE,
        PUSHPIN,
    )
}
DEFAULT = ("floor", "nchan", "slosh", "slosh-compiled")
"""Without --servers."""
PEERS = ("nchan", "starlette", "twisted-web", "faye", "pushpin")
"""With --peers: those that carry only a part of the load, and what everything is compared with."""
STORE = ("slosh", "slosh-redis", "slosh-compiled", "slosh-compiled-redis")
"""With --redis: messages in the process beside messages in a store."""

__all__ = ["DEFAULT", "PEERS", "SERVERS", "Server", "Started"]
