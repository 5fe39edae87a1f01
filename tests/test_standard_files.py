"""Standard input, output and error of a process that was started without them."""

import subprocess
import sys
from pathlib import Path


def test_descriptors_that_are_closed_are_held_open(tmp_path: Path) -> None:
    """In a process of its own, started with every choice of them closed."""
    probe = """
import os, sys
from slosh.standard_files import hold_standard_descriptors
hold_standard_descriptors()
for number in range(3):
    os.fstat(number)
open(sys.argv[1], "w").write("fine")
"""
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        told = tmp_path / "told"
        command = ["/bin/sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, probe, str(told)]
        assert subprocess.run(command, check=False).returncode == 0, closed
        assert told.read_text() == "fine"
        told.unlink()
