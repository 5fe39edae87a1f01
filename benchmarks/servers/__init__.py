"""The servers that are compared: each a file here that ends in a `Server`; SERVERS has the table's order."""

from __future__ import annotations

from benchmarks.servers.base import Server, Started
from benchmarks.servers.floor import FLOOR
from benchmarks.servers.nchan import NCHAN, NCHAN_MULTIPART
from benchmarks.servers.peers import FAYE_NODE, MOUNTED, PUSHPIN, STARLETTE, TWISTED_WEB
from benchmarks.servers.slosh import SLOSH, SLOSH_COMPILED
from benchmarks.servers.store import SLOSH_COMPILED_REDIS, SLOSH_COMPILED_WORKERS, SLOSH_REDIS, SLOSH_WORKERS

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
        SLOSH_WORKERS,
        SLOSH_COMPILED_WORKERS,
        STARLETTE,
        MOUNTED,
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
MOUNT = ("slosh", "slosh-mounted")
"""What docs/embedding.md compares: a server by itself, and the same inside another program."""

__all__ = ["DEFAULT", "PEERS", "SERVERS", "Server", "Started"]
