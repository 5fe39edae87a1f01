"""Replays a month of earthquakes, again and again, as long as somebody looks.

python replay_quakes.py [seconds of the month that pass in one second]
"""

import contextlib
import csv
import sys
import time
from pathlib import Path

from slosh.client import Client, Unreachable

SPEED = float(sys.argv[1]) if len(sys.argv) > 1 else 6 * 3600.0


def read() -> list[dict[str, float | str]]:
    """The earthquakes of quakes.csv, in their order."""
    with Path(__file__).with_name("quakes.csv").open(encoding="utf-8") as file:
        return [
            {name: text if name == "place" else float(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def publish(client: Client, quake: dict[str, float | str]) -> None:
    """Publish one as soon as somebody looks. A server that is away is waited for."""
    while True:
        try:
            if client.publish("quakes", quake):
                return
            client.watchers("quakes", wait=60.0)
        except Unreachable as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(1)


def main() -> None:
    """Publish each when it is due; rest while nobody looks."""
    with Client() as client:
        while True:
            before = 0.0
            for quake in read():
                time.sleep((float(quake["seconds"]) - before) / SPEED)
                before = float(quake["seconds"])
                publish(client, quake)
            with contextlib.suppress(Unreachable):
                client.publish("quakes", {"over": True})
            print("a month is over", flush=True)


if __name__ == "__main__":
    main()
