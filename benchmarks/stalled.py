"""`python -m benchmarks.stalled`: what 1,000 readers that read nothing cost a server that goes on publishing.

They open a stream of Server-Sent Events and never take a byte off their sockets, while 10,000 messages of 1 KiB are
published in batches. Printed is the server's memory (RSS from /proc) before, with the readers waiting, and afterwards,
and what one healthy reader beside them got.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

from benchmarks.processes import ProcessGroup

MESSAGES, BATCH, SIZE = 10_000, 50, 1024


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
    return int(found[1]) * 1024 if found else 0


def open_stream(port: int, buffer: int | None = None) -> socket.socket:
    """A stream whose head has come, so that it is a watcher."""
    stream = socket.socket()
    if buffer is not None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    stream.connect(("127.0.0.1", port))
    stream.sendall(b"GET /topics/stalled?format=sse HTTP/1.1\r\nHost: x\r\n\r\n")
    stream.recv(1)
    return stream


class Healthy(threading.Thread):
    """One reader that reads, and counts."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._stream = open_stream(port)
        self.messages = 0
        self.lost = 0

    def run(self) -> None:
        """Read until all was published, or told as lost."""
        with self._stream.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b'data: {"lost":'):
                    self.lost += int(json.loads(line[6:])["lost"])
                elif line.startswith(b'data: "'):
                    self.messages += 1
                if self.messages + self.lost >= MESSAGES:
                    return


def publish(port: int) -> None:
    """Post all the messages, a batch at a time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = b"\n".join([b'"%b"' % (b"x" * (SIZE - 2))] * BATCH)
    for _ in range(MESSAGES // BATCH):
        connection.request("POST", "/topics/stalled?batch=ndjson", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"a batch was refused: {answer.status}")
    connection.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=1000, help="how many stall (usually 1000)")
    readers = parser.parse_args().readers
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = [sys.executable, "-m", "slosh", "serve", "--port=0", "--write-timeout=1h"]
    with ProcessGroup[str](command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(re.findall(r"is ready on http://127\.0\.0\.1:([0-9]+)", next(iter(server.stdout or [])))[0])
            empty = memory(server.pid)
            stalled = [open_stream(port, buffer=4096) for _ in range(readers)]
            waiting = memory(server.pid)
            healthy = Healthy(port)
            healthy.start()
            publish(port)
            healthy.join(60)
            after = memory(server.pid)
            rows = (
                ("server alone", empty, ""),
                (f"{readers} stalled readers", waiting, f"{(waiting - empty) / readers:,.0f} bytes each"),
                (f"{MESSAGES:,} messages later", after, f"{(after - waiting) / readers:,.0f} bytes each more"),
            )
            for name, size, each in rows:
                print(f"{name:24} {size / 1e6:8.1f} MB  {each}")
            print(f"the healthy reader beside them: {healthy.messages:,} messages, {healthy.lost:,} told as lost")
            for stream in stalled:
                stream.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
