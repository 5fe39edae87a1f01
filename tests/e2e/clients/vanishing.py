"""A long-poll and a stream of each kind, on four topics: opened and never read, for a line that is to be cut.

Usage: vanishing.py HOST PORT
"""

import socket
import sys
import time

WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
FIELDS = {
    "longpoll": "",
    "sse": "Accept: text/event-stream\r\n",
    "ndjson": "Accept: application/x-ndjson\r\n",
    "websocket": WEBSOCKET,
}

host, port = sys.argv[1], int(sys.argv[2])
connections = []
for topic, fields in FIELDS.items():
    connection = socket.create_connection((host, port), timeout=30)
    connection.sendall(f"GET /topics/{topic} HTTP/1.1\r\nHost: {host}:{port}\r\n{fields}\r\n".encode())
    connections.append(connection)
print("open", flush=True)
time.sleep(600)
