"""What the event loop alone takes for a connection is measured on connections that are there."""

import re
import subprocess
import sys


def test_a_connection_of_the_loop_alone_takes_some_bytes() -> None:
    """In a process of its own: memory that something else has freed would serve."""
    command = [sys.executable, "-m", "benchmarks.bare", "uvloop"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.fullmatch(r"uvloop: ([\d,]+) bytes for each of [\d,]+ connections\n", told)
    assert found is not None, told
    assert 500 < int(found[1].replace(",", "")) < 10_000
