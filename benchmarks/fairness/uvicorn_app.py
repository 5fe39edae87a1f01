"""Topics on Starlette and uvicorn, as little as a client needs: `python -m benchmarks.fairness.uvicorn_app PORT`."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from benchmarks.servers.ring import Ring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.websockets import WebSocket

rings: defaultdict[str, Ring] = defaultdict(Ring)
changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


def add(name: str, message: bytes) -> None:
    """Take a message and wake everybody who waits."""
    rings[name].add(message)
    changed.pop(name, asyncio.Event()).set()


async def after(name: str, place: int) -> bytes:
    """The envelope of what is newer than this place, once there is something."""
    while place >= rings[name].newest:
        await changed[name].wait()
    return rings[name].after(place)


async def read(request: Request) -> Response:
    """Hold, or stream."""
    name, query = request.path_params["name"], request.query_params
    ring = rings[name]
    since = query.get("since", "now")
    place = int(since) if since.isdigit() else ring.newest
    if query.get("format") == "sse":
        return StreamingResponse(events(name, place), media_type="text/event-stream")
    body = ring.after(place) if query.get("wait") == "0" else await after(name, place)
    return Response(body, media_type="application/json", headers={"Slosh-Next": str(ring.newest)})


async def events(name: str, place: int) -> AsyncIterator[bytes]:
    """An event for each portion."""
    yield b": ready\n\n"
    while True:
        body = await after(name, place)
        place = rings[name].newest
        yield b"data: %b\n\n" % body


async def talk(socket: WebSocket) -> None:
    """Messages both ways."""
    name = socket.path_params["name"]
    await socket.accept()

    async def tell(place: int) -> None:
        while True:
            body = await after(name, place)
            place = rings[name].newest
            await socket.send_text(body.decode())

    telling = asyncio.create_task(tell(rings[name].newest))
    try:
        while True:
            publish_text(name, await socket.receive_text())
    except WebSocketDisconnect:
        return
    finally:
        telling.cancel()


def publish_text(name: str, text: str) -> None:
    """Take it, if it is JSON."""
    try:
        add(name, text.encode())
    except ValueError:
        return


async def publish(request: Request) -> Response:
    """Take a message."""
    name = request.path_params["name"]
    try:
        add(name, await request.body())
    except ValueError:
        return Response(status_code=400)
    return Response(b'{"max":%d}' % rings[name].newest, media_type="application/json")


async def healthy(_request: Request) -> Response:
    """Say so."""
    return PlainTextResponse("ok\n")


app = Starlette(
    routes=[
        Route("/-/healthy", healthy),
        Route("/topics/{name:path}", read, methods=["GET"]),
        Route("/topics/{name:path}", publish, methods=["POST"]),
        WebSocketRoute("/topics/{name:path}", talk),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws_max_size=1024 * 1024,
        access_log=False,
        log_level="critical",
        backlog=4096,
    )
