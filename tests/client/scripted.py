"""Servers for what a real one does only now and then. They speak just enough HTTP/1.1."""

import contextlib
import select
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

from tests.running import PATIENCE


class Scripted:
    """Answers one request after another as the script says; requests beyond it are held.

    Attributes:
        url: its address.
        requests: what was asked so far: request line and header fields, in lower case.
        used: set when the last connection of the script was answered.
        used_port: closed then, for a program that waits for it: a connection to it ends.
    """

    def __init__(self, connections: Sequence[Mapping[str, Any]]) -> None:
        self._script = list(connections)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._silent: list[socket.socket] = []  # those of them on which nothing has come
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self.used = threading.Event()
        self._used = socket.create_server(("127.0.0.1", 0))  # accepts nothing
        self.used_port = self._used.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)
        self._used.close()
        for each in self._open:
            each.close()

    def _serve(self) -> None:
        for step in self._script:
            connection = self._wait_for_request()
            if connection is None:
                return
            self.requests.append(self._read(connection))
            connection.sendall(self._answer(step))
            if step.get("then", "end") == "end":
                connection.shutdown(socket.SHUT_WR)
            elif step["then"] == "cut":
                connection.close()
        self.used.set()
        self._used.close()
        while True:
            try:
                self._open.append(self._listener.accept()[0])
            except OSError:
                return

    def _wait_for_request(self) -> socket.socket | None:
        """A connection on which something has come; None at the end.

        Clients open connections that they then have no request for: Node does when a request is aborted while it
        connects.
        """
        while True:
            try:
                ready, _, _ = select.select([self._listener, *self._silent], [], [])
                if self._listener in ready:
                    connection = self._listener.accept()[0]
                    self._open.append(connection)
                    self._silent.append(connection)
            except (OSError, ValueError):
                return None
            for each in self._silent:
                if each in ready:
                    self._silent.remove(each)
                    if each.recv(1, socket.MSG_PEEK):
                        return each
                    break

    @staticmethod
    def _read(connection: socket.socket) -> str:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        text = head.decode("latin-1").lower()
        if "content-length: " in text:
            length = int(text.partition("content-length: ")[2].split("\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
        return text

    @staticmethod
    def _answer(step: Mapping[str, Any]) -> bytes:
        """The bytes of an answer. A stream that is to be cut or to hang says that more chunks follow."""
        fields = dict(step.get("fields", {}))
        if "stream" in step:
            fields |= {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
            data = step["stream"].encode()
            body = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            if step.get("then", "end") == "end":
                body += b"0\r\n\r\n"
        else:
            body = step["body"].encode()
            fields["Content-Length"] = str(len(body))
        fields["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {step.get('status', 200)} X\r\n{lines}\r\n".encode() + body


class Threaded(ABC):
    """A server, or a proxy, that answers each connection in a thread of its own. Use it in a `with` block."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._is_over = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @abstractmethod
    def _answer(self, connection: socket.socket) -> None:
        """Answer what comes on it."""


class Trickling(Threaded):
    """A server that answers with the head, and with one byte of the body after another, for as long as it is read.

    Args:
        head: of the answer, or its beginning; empty for a server that accepts and is silent.
        first: a whole answer, to the first request of each connection.
        then: in place of one byte.
    """

    def __init__(self, head: bytes, *, first: bytes = b"", then: bytes = b"x") -> None:
        super().__init__(socket.create_server(("127.0.0.1", 0)))
        self._head = head
        self._first = first
        self._then = then
        self.asked_again = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._first:
                connection.recv(65536)
                connection.sendall(self._first)
                if connection.recv(65536):
                    self.asked_again.set()
            if self._head:
                connection.sendall(self._head)
            while self._head and not self._is_over.wait(0.05):
                connection.sendall(self._then)
