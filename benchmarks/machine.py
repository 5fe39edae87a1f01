"""This machine: its cores, its limits, and what /proc says of a process and its children."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core for the server and the core for the load; the same one twice where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def put_first(pid: int) -> None:
    """Gives a process the highest usual priority, so that others on this machine disturb it little; root may.

    Where the kernel shares the cores between sessions first (autogroups), that is its session's priority too.
    """
    os.setpriority(os.PRIO_PROCESS, pid, -20)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("-20")


def raise_file_limit() -> int:
    """Raises the soft limit of open files to the hard one, for this process and its children; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def family(pid: int) -> list[int]:
    """The process and all its living descendants: a master and its workers."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _ticks_cpu(pid: int) -> float:
    """Seconds of utime + stime, which the kernel tells in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _fine_cpu(pid: int) -> float:
    """The same clock in nanoseconds, from each thread's schedstat; 0.0 where the kernel does not keep it."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def cpu_seconds(pid: int) -> float:
    """CPU (user and system) that a process and its children have used so far, in seconds.

    A thread that ended is missing from schedstat, so the finer figure is taken only while it agrees with utime + stime.
    """
    total = 0.0
    for member in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            coarse, fine = _ticks_cpu(member), _fine_cpu(member)
            total += fine if abs(fine - coarse) < 0.05 else coarse
    return total


def waited_seconds(pid: int) -> float:
    """Time that a process and its children were ready to run and had no core: other processes were in the way."""
    total = 0.0
    for member in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{member}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[1]) / 1e9
    return total


def memory_bytes(pid: int) -> int:
    """PSS of a process and its children: private pages in full, shared ones by the share of each."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def segments_sent() -> int:
    """TCP segments that this machine has sent so far, over the loopback interface too (RFC 1213, tcpOutSegs)."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:")
    )
    return int(values[names.index("OutSegs")])


def settled_cpu(pid: int, quiet: float = 0.3, limit: float = 60.0) -> float:
    """CPU of the process once it has not moved by more than 1 ms for `quiet` seconds, or after `limit`."""
    start = since = time.monotonic()
    used = cpu_seconds(pid)
    while time.monotonic() - since < quiet and time.monotonic() - start < limit:
        time.sleep(0.05)
        newer = cpu_seconds(pid)
        if newer - used > 0.001:
            used, since = newer, time.monotonic()
    return cpu_seconds(pid)


def description() -> str:
    """One line: processor, cores, kernel. Which Python a server ran on stands with its version."""
    model = platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
