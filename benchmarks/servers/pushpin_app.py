"""Pushpin and the origin that it asks: `python -m benchmarks.servers.pushpin_app PORT`, in an empty folder.

Pushpin holds the requests; what a topic is, and who gets what, is told by an origin behind it (GRIP). This one is as
small as can be: a ring and cursors like the other minimal peers have, on a bare asyncio protocol. A poll that has
nothing to get yet is answered with a hold on its channel that names the last message (`prev-id`), so that Pushpin asks
again when something came in between; a publish goes to Pushpin with the same ids.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import defaultdict
from pathlib import Path
from typing import cast

import uvloop
import zmq

from benchmarks.ports import free_port
from benchmarks.servers.ring import Ring

LIBRARY = Path("/usr/lib/pushpin")
rings: defaultdict[str, Ring] = defaultdict(Ring)


def answer(body: bytes, *fields: str) -> bytes:
    """A 200 with these header lines."""
    head = "".join(f"{field}\r\n" for field in (*fields, "Content-Type: application/json"))
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (head.encode(), len(body), body)


class Origin(asyncio.Protocol):
    """One connection of Pushpin's; each request comes whole, for it is small."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._gathered = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is here as a whole."""
        self._gathered += data
        while b"\r\n\r\n" in self._gathered:
            head, _, rest = self._gathered.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = int(fields.get("content-length", 0))
            if len(rest) < length:
                return
            self._gathered = rest[length:]
            method, target, _ = lines[0].split(" ")
            path, _, query = target.partition("?")
            name = path.removeprefix("/topics/")
            self._transport.write(self._post(name, rest[:length]) if method == "POST" else self._get(name, query))

    def _post(self, name: str, message: bytes) -> bytes:
        ring = rings[name]
        ring.add(message)
        self._publisher.publish(name, ring)
        return answer(b'{"max":%d}' % ring.newest)

    def _get(self, name: str, query: str) -> bytes:
        ring, since = rings[name], query.removeprefix("since=")
        place = ring.newest if since == "now" else int(since)
        if place < ring.newest:
            return answer(ring.after(place), f"Slosh-Next: {ring.newest}")
        channel = f"{name}; prev-id={ring.newest}"
        return answer(b"{}", "Grip-Hold: response", f"Grip-Channel: {channel}", "Grip-Timeout: 600")


class Publisher:
    """The way of publishing that Pushpin's documentation has for many messages: ZeroMQ, PUSH."""

    def __init__(self, address: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.connect(address)

    def publish(self, name: str, ring: Ring) -> None:
        """Announce the newest message of this ring."""
        response = {
            "headers": [["Content-Type", "application/json"], ["Slosh-Next", str(ring.newest)]],
            "body": ring.after(ring.newest - 1).decode(),
        }
        item = {
            "channel": name,
            "id": str(ring.newest),
            "prev-id": str(ring.newest - 1),
            "formats": {"http-response": response},
        }
        self._socket.send(b"J" + json.dumps(item).encode(), zmq.NOBLOCK)


def configuration(folder: Path, port: int, origin: int) -> Path:
    """Pushpin's configuration: its own, with ports and folders of this run, and without its limits on the rate."""
    path = folder / "pushpin.conf"
    (folder / "routes").write_text(f"* 127.0.0.1:{origin}\n")
    path.write_text(f"""\
[global]
include={LIBRARY}/internal.conf
rundir={folder}/run
ipc_prefix=bench-
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}/log
log_level=1
client_buffer_size=8192
client_maxconn=50000
[proxy]
routesfile=routes
zurl_out_specs=ipc://{folder}/run/bench-zurl-in
zurl_out_stream_specs=ipc://{folder}/run/bench-zurl-in-stream
zurl_in_specs=ipc://{folder}/run/bench-zurl-out
[handler]
push_in_spec=ipc://{folder}/run/bench-push
push_in_http_port={free_port()}
push_in_sub_specs=ipc://{folder}/run/bench-sub
command_spec=ipc://{folder}/run/bench-command
message_rate=1000000
message_hwm=1000000
""")
    return path


async def main(port: int) -> None:
    """Serve until SIGTERM."""
    loop, done, folder = asyncio.get_running_loop(), asyncio.Event(), Path.cwd()
    publisher = Publisher(f"ipc://{folder}/run/bench-push")
    loop.add_signal_handler(signal.SIGTERM, done.set)
    server = await loop.create_server(lambda: Origin(publisher), "127.0.0.1", 0, backlog=4096)
    path = configuration(folder, port, server.sockets[0].getsockname()[1])
    pushpin = await asyncio.create_subprocess_exec("pushpin", "--merge-output", f"--config={path}")
    try:
        await done.wait()
    finally:
        pushpin.terminate()
        await pushpin.wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
