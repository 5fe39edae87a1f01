"""A minimal long-poll server on Starlette and uvicorn: `python -m benchmarks.servers.starlette_app PORT`."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.servers.ring import Ring

if TYPE_CHECKING:
    from starlette.requests import Request

rings: defaultdict[str, Ring] = defaultdict(Ring)
waiting: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)


async def read(request: Request) -> Response:
    """Holds until something is newer than `since`."""
    name, since = request.path_params["name"], request.query_params.get("since", "now")
    ring = rings[name]
    place = ring.newest if since == "now" else int(since)
    if place >= ring.newest:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting[name].append(woken)
        await woken
    return Response(ring.after(place), media_type="application/json", headers={"Slosh-Next": str(ring.newest)})


async def publish(request: Request) -> Response:
    """Takes a message and wakes everybody who waits."""
    name = request.path_params["name"]
    rings[name].add(await request.body())
    woken, waiting[name] = waiting[name], []
    for future in woken:
        if not future.done():
            future.set_result(None)
    return Response(b'{"max":%d}' % rings[name].newest, media_type="application/json")


app = Starlette(
    routes=[Route("/topics/{name}", read, methods=["GET"]), Route("/topics/{name}", publish, methods=["POST"])]
)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning", backlog=4096
    )
