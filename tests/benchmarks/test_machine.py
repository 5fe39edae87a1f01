"""What is read of the machine: its kernel's own counters, which a figure beside the CPU is made of."""

from __future__ import annotations

import socket

from benchmarks.machine import segments_sent


def test_segments_over_the_loopback_interface_are_counted() -> None:
    before = segments_sent()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    assert segments_sent() >= before + 3, "SYN, SYN and ACK, ACK"
