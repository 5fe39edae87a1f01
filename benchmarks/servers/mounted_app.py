"""slosh in a Starlette application on uvicorn: `python -m benchmarks.servers.mounted_app PORT`."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from slosh.asgi import Slosh

app = Starlette(routes=[Mount("/", Slosh())])

if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=4096,
        ws_ping_interval=None,  # the load generator answers no pings, and would be cut off after 40 s
    )
