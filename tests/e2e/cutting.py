"""A proxy that cuts its connections in the middle of whatever they carry."""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator

_RESET = struct.pack("ii", 1, 0)
_RETRY = re.compile(rb"retry: \d{4}")
_STREAM = re.compile(rb"Content-Type: (?:text/event-stream|application/x-ndjson)")


class CuttingProxy:
    """Carries bytes to a port of this machine, until it is told to cut.

    Attributes:
        port: where it listens.
        cuts: how many connections it has cut.

    Args:
        target: the port.
        hurried: let clients of event streams come back after 100 ms, whatever the server tells them.
    """

    def __init__(self, target: int, *, hurried: bool = False) -> None:
        self._target = target
        self._hurried = hurried
        self._until: re.Pattern[bytes] | None = None
        self._streams: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._carries = threading.Event()
        self._carries.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset all that is connected: bytes on the way are lost, as on a line that breaks."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.cuts += 1
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Cut, and let new connections wait until the end of the block."""
        self._carries.clear()
        try:
            self.cut()
            yield
        finally:
            self._carries.set()

    def cut_behind(self, pattern: bytes) -> None:
        """End the connection on which the server next sends this, right behind it: the client gets all before."""
        self._until = re.compile(pattern)

    def say(self, text: bytes) -> int:
        """Send one chunk to the client of a stream as if it came from the server, then cut; how many cuts there were.

        A client that polls is cut as it waits.
        """
        for client in self._streams:
            with contextlib.suppress(OSError):
                client.sendall(b"%x\r\n%b\r\n" % (len(text), text))
                client.shutdown(socket.SHUT_RDWR)
                self.cuts += 1
        if not self._streams:
            self.cut()
        return self.cuts

    def close(self) -> None:
        """Cut, and accept nobody any more."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._carries.wait()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._pairs.append((client, server))
                for carry, source, sink in ((self._carry, client, server), (self._answer, server, client)):
                    threading.Thread(target=carry, args=(source, sink), daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if _STREAM.search(data):
                    self._streams.append(client)
                if self._hurried:
                    data = _RETRY.sub(b"retry: 0100", data)  # as long as before, so that chunks are
                found = self._until and self._until.search(data)
                if found:
                    self._until = None
                    client.sendall(data[: found.end()])
                    self.cuts += 1
                    break
                client.sendall(data)
        if client in self._streams:
            self._streams.remove(client)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def cutting(target: int, *, hurried: bool = False) -> Iterator[CuttingProxy]:
    """A proxy for the time of the block."""
    proxy = CuttingProxy(target, hurried=hurried)
    try:
        yield proxy
    finally:
        proxy.close()
