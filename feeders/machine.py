"""Feed this machine's own figures to a topic: processor, memory and network, twice a second.

    python feeders/machine.py --url http://127.0.0.1:8000

One message, in per cent, bytes, and bytes a second:

    {"time": 1763962372.5, "host": "kitchen", "cpu": 12.5, "cores": [20.0, 5.0],
     "memory": {"used": 2147483648, "total": 8589934592, "percent": 25.0},
     "network": {"received": 18432, "sent": 2048, "loopback": 96000}}

It works only while somebody looks at the topic: see feeding.py.
"""

import platform
import sys
import time

from feeding import Feeder, Publisher, arguments, main, say, seconds

try:
    import psutil
except ModuleNotFoundError:
    sys.exit("machine.py reads its figures with psutil, which is not installed: pip install psutil, or `make demo`")


class Machine:
    """A source of this machine's figures. Rates are means since the reading before."""

    def __init__(self) -> None:
        self._host = platform.node()
        self._traffic = _traffic()
        self._at = time.monotonic()
        psutil.cpu_percent(percpu=True)  # The first call only marks where the next one measures from.

    def reading(self) -> dict[str, object]:
        """The figures of the time since the last call."""
        cores = psutil.cpu_percent(percpu=True)
        memory = psutil.virtual_memory()
        return {
            "time": round(time.time(), 3),
            "host": self._host,
            "cpu": round(sum(cores) / len(cores), 1),
            "cores": cores,
            "memory": {"used": memory.total - memory.available, "total": memory.total, "percent": memory.percent},
            "network": self._rates(),
        }

    def taken(self, watchers: int) -> None:
        """Nothing to do: the next reading is measured, not kept."""

    def _rates(self) -> dict[str, int]:
        """Bytes a second since the last call."""
        now, traffic = time.monotonic(), _traffic()
        # Counters start again when an interface does, and the clock may not have moved: neither is a negative rate.
        span = max(now - self._at, 0.001)
        rates = {name: max(0, round((traffic[name] - self._traffic[name]) / span)) for name in traffic}
        self._at, self._traffic = now, traffic
        return rates


def _traffic() -> dict[str, int]:
    """Bytes since the machine started. Loopback stands apart: what it sends it receives, and it leaves no machine."""
    sums = {"received": 0, "sent": 0, "loopback": 0}
    for name, counters in psutil.net_io_counters(pernic=True).items():
        if name in ("lo", "lo0") or "Loopback" in name:
            sums["loopback"] += counters.bytes_recv
        else:
            sums["received"] += counters.bytes_recv
            sums["sent"] += counters.bytes_sent
    return sums


def run() -> None:
    """Read the command line and feed until interrupted."""
    parser = arguments("Feed this machine's processor, memory and network figures to a slosh topic.", "machine")
    parser.add_argument(
        "--interval", type=seconds, default=0.5, help="seconds between two readings (default: %(default)s)"
    )
    options = parser.parse_args()
    publisher = Publisher(options.url, options.topic)
    say(f"machine.py: {options.topic} on {options.url}, each {options.interval:g} s")
    Feeder(publisher, Machine(), options.interval, say=say).run()


if __name__ == "__main__":
    sys.exit(main(run))
