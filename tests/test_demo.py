"""`make demo` as a user has it: it serves with feeders, and ends by Ctrl-C or a signal without an error."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from tests.conftest import need
from tests.running import Running, children, get, lives

TOP = Path(__file__).parent.parent
"""The folder with the Makefile."""
VENV = sys.prefix


def below(process: int) -> list[int]:
    """All that a process has started, and what these have."""
    return [each for child in children(process) for each in (child, *below(child))]


@pytest.mark.parametrize("how", ["Ctrl-C", "a signal to make"])
def test_it_ends_without_an_error_and_leaves_no_process(how: str) -> None:
    # What the tests run on is installed already, and a test installs nothing.
    installed = [word for stamp in (".demo", ".installed") for word in ("-o", f"{VENV}/{stamp}")]
    with Running([need("make"), *installed, "demo", f"VENV={VENV}", f"PORT={free_port()}"], TOP) as demo:
        address = demo.hear(r"is ready on (http://\S+),")[1]
        for feeder in ("machine", "replay"):
            assert json.loads(get(f"{address}/topics/{feeder}?since=earliest"))["saw"]
        started = below(demo.process.pid)
        assert len(started) >= 3, "the server and two feeders"
        if how == "Ctrl-C":
            os.killpg(os.getpgid(demo.process.pid), signal.SIGINT)  # as a terminal does
        else:
            demo.tell(signal.SIGTERM)
        assert demo.end() in (0, -signal.SIGINT, -signal.SIGTERM), demo.output
        assert not [each for each in started if lives(each)]
        assert not re.search(r"Traceback|\*\*\*|[Ee]rror", demo.output), demo.output
