"""The servers that are compared: each a file here that ends in a `Server`; SERVERS has the table's order."""

from __future__ import annotations

from benchmarks.servers.base import Server
from benchmarks.servers.floor import FLOOR
from benchmarks.servers.nchan import NCHAN, NCHAN_MULTIPART
from benchmarks.servers.peers import STARLETTE, TWISTED_WEB
from benchmarks.servers.slosh import SLOSH, SLOSH_COMPILED

SERVERS: dict[str, Server] = {
    server.name: server for server in (FLOOR, NCHAN, NCHAN_MULTIPART, SLOSH, SLOSH_COMPILED, STARLETTE, TWISTED_WEB)
}
DEFAULT = ("floor", "nchan", "slosh")

__all__ = ["DEFAULT", "SERVERS", "Server"]
