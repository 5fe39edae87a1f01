"""Publishes this machine's figures, as long as somebody looks.

python measure.py [name of this machine] [seconds between two readings]
"""

import os
import platform
import sys
import time

import psutil

from slosh.client import Client

HOST = sys.argv[1] if len(sys.argv) > 1 else platform.node()
PAUSE = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0


def counters() -> dict[str, int]:
    """Bytes since the machine started."""
    network, disk = psutil.net_io_counters(), psutil.disk_io_counters()
    moved = disk.read_bytes + disk.write_bytes if disk else 0
    return {"disk": moved, "received": network.bytes_recv, "sent": network.bytes_sent}


def main() -> None:
    """Measure, publish, wait."""
    topic = f"machine/{HOST}"
    before, at = counters(), time.monotonic()
    with Client() as client:
        while True:
            time.sleep(PAUSE)
            now, taken = counters(), time.monotonic()
            rates = {f"{name}_bytes_per_second": round((now[name] - before[name]) / (taken - at)) for name in now}
            before, at = now, taken
            reading = {
                "host": HOST,
                "cpu_percent": psutil.cpu_percent(),
                "memory_percent": psutil.virtual_memory().percent,
                "load": round(os.getloadavg()[0], 2),
                **rates,
            }
            if not client.publish(topic, reading):
                print("nobody looks", flush=True)
                while not client.watchers(topic, wait=60.0):
                    pass
                print("somebody looks", flush=True)


if __name__ == "__main__":
    main()
