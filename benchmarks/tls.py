"""`python -m benchmarks.tls`: what TLS costs slosh, beside what it costs behind nginx, which speaks TLS for it.

Three servers do the same work in turn, round after round, so that whatever else the machine does meets all of them:
slosh in plain HTTP, slosh with `tls_cert`, and nginx with TLS in front of slosh on a Unix socket. Counted is the CPU of
the server, of nginx and slosh together where nginx is in front. The clients are Python's, and their CPU is not counted.
All use one certificate (ECDSA, P-256), TLS 1.3, and no resumption.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.machine import settled_cpu
from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NGINX: Final = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 10000000; keepalive_timeout 600s;
    upstream slosh {{ server unix:{folder}/behind; keepalive 512; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://slosh; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_buffering off; proxy_read_timeout 600s;
        }}
    }}
}}
"""
_LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Place:
    """A server to ask.

    Attributes:
        name: for the table.
        port: on 127.0.0.1.
        context: for TLS; None for plain HTTP.
        pids: of the processes whose CPU counts.
    """

    name: str
    port: int
    context: ssl.SSLContext | None
    pids: tuple[int, ...]

    def cpu(self) -> float:
        """Seconds used so far, once all is quiet."""
        return sum(map(settled_cpu, self.pids))


class Client:
    """A connection that is kept."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def open(self) -> Client:
        """Connect."""
        context = self._place.context
        name = "localhost" if context else None
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._place.port, ssl=context, server_hostname=name
        )
        return self

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._writer.write(request)

    async def receive(self) -> bytes:
        """The body of the next answer."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if head[9:12] != b"200" or length is None:
            raise RuntimeError(f"an answer that is none: {head!r}")
        return await self._reader.readexactly(int(length[1]))

    async def line(self) -> bytes:
        """The next line of a stream."""
        return await self._reader.readline()

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()


def get(path: str, *fields: str) -> bytes:
    """A request."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", "")).encode()


def post(topic: str, body: bytes) -> bytes:
    """A publish."""
    return f"POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


BODY: Final = b'{"t":21.5,"pad":"%b"}' % (b"x" * 100)


async def connect(place: Place, count: int) -> None:
    """So many connections, one after another, with one request each."""
    for _ in range(count):
        client = await Client(place).open()
        client.send(get("/-/healthy"))
        await client.receive()
        client.close()


async def publish(place: Place, count: int) -> None:
    """So many messages that nobody reads, over one connection."""
    client = await Client(place).open()
    client.send(get("/topics/quiet?wait=0"))
    await client.receive()
    for _ in range(count):
        client.send(post("quiet", BODY))
        await client.receive()
    client.close()


async def _publish_to_all(watchers: int, publisher: Client, topic: str) -> None:
    """Publish once all watch."""
    async with asyncio.timeout(PATIENCE):
        while True:
            publisher.send(get("/-/metrics"))
            told = re.search(rb"^slosh_watchers (\S+)$", await publisher.receive(), re.MULTILINE)
            if told is not None and float(told[1]) >= watchers:
                break
    publisher.send(post(topic, BODY))
    await publisher.receive()


READERS: Final = 100


async def poll(place: Place, count: int) -> None:
    """So many deliveries to long-polls, over connections that are kept."""
    publisher = await Client(place).open()
    readers = [await Client(place).open() for _ in range(READERS)]
    for _ in range(count // READERS):
        for reader in readers:
            reader.send(get("/topics/polled?since=now"))
        await _publish_to_all(READERS, publisher, "polled")
        for reader in readers:
            await reader.receive()
    for each in (publisher, *readers):
        each.close()


async def stream(place: Place, count: int) -> None:
    """So many deliveries to event streams."""
    publisher = await Client(place).open()
    readers = [await Client(place).open() for _ in range(READERS)]
    for reader in readers:
        reader.send(get("/topics/streamed", "Accept: text/event-stream"))
    await _publish_to_all(READERS, publisher, "streamed")
    for _ in range(count // READERS - 1):
        for reader in readers:
            while not (await reader.line()).startswith(b'data: {"t"'):
                pass
        publisher.send(post("streamed", BODY))
        await publisher.receive()
    for reader in readers:
        while not (await reader.line()).startswith(b'data: {"t"'):
            pass
    for each in (publisher, *readers):
        each.close()


WORKS: Final[dict[str, tuple[str, Callable[[Place, int], Awaitable[None]], int]]] = {
    "connect": ("a new connection with one request", connect, 300),
    "publish": ("a publish on a kept connection", publish, 2000),
    "poll": ("a delivery to a long-poll, and its next poll", poll, 3000),
    "stream": ("a delivery to an event stream", stream, 10_000),
}


def start(folder: Path, stack: ExitStack) -> list[Place]:
    """The three servers, which the stack ends."""
    openssl, nginx = shutil.which("openssl"), shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if openssl is None or nginx is None:
        raise SystemExit("This needs openssl and nginx: apt-get install openssl nginx")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(folder / "key.pem"))
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", str(folder / "cert.pem"))
    subprocess.run([openssl, "req", "-x509", "-days", "2", *key, *name], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3

    def serve(*options: str) -> int:
        command = [sys.executable, "-m", "slosh", "serve", "--queue=100", *options]
        process: ProcessGroup[str] = stack.enter_context(
            ProcessGroup(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        assert process.stdout is not None
        if "is ready on" not in process.stdout.readline():
            raise RuntimeError("slosh did not start")
        return process.pid

    plain, encrypted, front = free_port(), free_port(), free_port()
    places = [
        Place("slosh, plain HTTP", plain, None, (serve(f"--port={plain}"),)),
        Place(
            "slosh, TLS",
            encrypted,
            context,
            (serve(f"--port={encrypted}", f"--tls-cert={folder}/cert.pem", f"--tls-key={folder}/key.pem"),),
        ),
    ]
    behind = serve(f"--uds={folder}/behind")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=front))
    proxy: ProcessGroup[bytes] = stack.enter_context(
        ProcessGroup([nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    )
    places.append(Place("nginx with TLS, and slosh behind it", front, context, (proxy.pid, behind)))
    return places


async def measure(
    places: list[Place], names: list[str], rounds: int, share: float = 1.0
) -> dict[str, dict[str, list[float]]]:
    """Microseconds of CPU for one of each work, by the place and the round.

    Args:
        share: of the usual number of each work.
    """
    found: dict[str, dict[str, list[float]]] = {name: {place.name: [] for place in places} for name in names}
    for number in range(rounds):
        for name in names:
            _, work, usual = WORKS[name]
            count = int(usual * share)
            for place in places[number % len(places) :] + places[: number % len(places)]:
                await work(place, count // 10)  # warm
                before = await asyncio.to_thread(place.cpu)
                await work(place, count)
                used = await asyncio.to_thread(place.cpu) - before
                found[name][place.name].append(used / count * 1e6)
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("works", nargs="*", help=f"some of {', '.join(WORKS)}; all where none is named")
    asked = parser.parse_args()
    if unknown := set(asked.works) - set(WORKS):
        parser.error(f"no such work: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="slosh-tls-") as scratch, ExitStack() as stack:
        places = start(Path(scratch), stack)
        found = asyncio.run(measure(places, asked.works or [*WORKS], asked.rounds))
    _, encrypted, front = (place.name for place in places)
    print("| work | " + " | ".join(f"{place.name}, µs" for place in places) + " | slosh with TLS ÷ nginx with TLS |")
    print("| --- |" + " ---: |" * (len(places) + 1))
    for name, times in found.items():
        ratio = median(one / other for one, other in zip(times[encrypted], times[front], strict=True))
        cells = " | ".join(f"{median(times[place.name]):.0f}" for place in places)
        print(f"| {WORKS[name][0]} | {cells} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
