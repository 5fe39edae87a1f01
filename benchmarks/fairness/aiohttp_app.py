"""Topics on aiohttp, as little as the healthy client needs: `python -m benchmarks.fairness.aiohttp_app PORT`."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict

import uvloop
from aiohttp import WSMsgType, web

from benchmarks.servers.ring import Ring

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


async def read(request: web.Request) -> web.StreamResponse:
    """Hold, or stream."""
    name, query = request.match_info["name"], request.query
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await talk(request, name)
    ring = rings[name]
    since = query.get("since", "now")
    place = int(since) if since.isdigit() else ring.newest
    if query.get("format") == "sse":
        return await stream(request, name, place)
    body = ring.after(place) if query.get("wait") == "0" else await after(name, place)
    return web.Response(body=body, content_type="application/json", headers={"Slosh-Next": str(ring.newest)})


async def stream(request: web.Request, name: str, place: int) -> web.StreamResponse:
    """An event for each portion."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    while True:
        body = await after(name, place)
        place = rings[name].newest
        await response.write(b"data: %b\n\n" % body)


async def talk(request: web.Request, name: str) -> web.WebSocketResponse:
    """Messages both ways."""
    socket = web.WebSocketResponse(max_msg_size=1024 * 1024)
    await socket.prepare(request)
    place = rings[name].newest

    async def tell(place: int) -> None:
        while True:
            body = await after(name, place)
            place = rings[name].newest
            await socket.send_str(body.decode())

    telling = asyncio.create_task(tell(place))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                publish_text(name, message.data)
    finally:
        telling.cancel()
    return socket


def publish_text(name: str, text: str) -> None:
    """Take it, if it is JSON."""
    try:
        add(name, text.encode())
    except ValueError:
        return


async def publish(request: web.Request) -> web.Response:
    """Take a message."""
    name = request.match_info["name"]
    try:
        add(name, await request.read())
    except ValueError:
        return web.Response(status=400)
    return web.Response(body=b'{"max":%d}' % rings[name].newest, content_type="application/json")


async def healthy(_request: web.Request) -> web.Response:
    """Say so."""
    return web.Response(text="ok\n")


async def main(port: int) -> None:
    """Serve until the process is told to end."""
    app = web.Application(client_max_size=9 * 1024 * 1024)
    app.add_routes([
        web.get("/-/healthy", healthy),
        web.get("/topics/{name:.+}", read),
        web.post("/topics/{name:.+}", publish),
    ])  # fmt: skip
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
