"""The opening handshake of a WebSocket, for `slosh doctor`. HTTP client libraries make none."""

import base64
import os
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from slosh.client.addresses import UNIX_BASE, socket_path
from slosh.schemes import DEFAULT_PORTS

_PATIENCE: Final = 10.0
"""Seconds that connecting, and each part of the answer, may take."""
_MOST: Final = 16 * 1024
"""Bytes of the answer that are read until its first line ends."""


def shake_hands(url: str, topic: str, authorization: str = "") -> int:
    """The status that a handshake (RFC 6455 §4.1) is answered with; 101 is what a client wants, 0 no answer.

    Args:
        url: the server's address, which may be that of a Unix socket.
        topic: its name, as it stands in an address.
        authorization: the value of that field, if any.

    Raises:
        OSError: the server cannot be reached.
    """
    path = socket_path(url)
    parts = urlsplit(UNIX_BASE if path else url)
    is_secure = parts.scheme == "https"
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    with _connect_unix(path) if path else socket.create_connection((parts.hostname or "", port), _PATIENCE) as plain:
        wire = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) if is_secure else plain
        lines = [
            f"GET {parts.path}/topics/{topic} HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        wire.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        try:
            while b"\r\n" not in head and len(head) < _MOST and (part := wire.recv(4096)):
                head += part
        except TimeoutError:
            return 0
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _connect_unix(path: str) -> socket.socket:
    """Connect to a Unix socket.

    Raises:
        OSError: it cannot be done.
    """
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(_PATIENCE)
    try:
        connected.connect(path)
    except OSError:
        connected.close()
        raise
    return connected
