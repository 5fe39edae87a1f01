"""Two processes that run at the same time never get the same port."""

import sys
from pathlib import Path

from benchmarks.ports import claim, free_port
from benchmarks.processes import run_group

CHECKOUT = Path(__file__).parents[2]
OTHER = """
import sys
from benchmarks.ports import claim
print(claim(int(sys.argv[1])), flush=True)
"""


def test_what_one_process_has_no_other_gets() -> None:
    port = free_port()
    assert not claim(port)
    assert free_port() != port
    assert run_group([sys.executable, "-c", OTHER, str(port)], cwd=CHECKOUT).stdout == "False\n"


def test_a_claim_ends_with_its_process() -> None:
    port = free_port()
    done = run_group([sys.executable, "-c", OTHER, str(port + 10_000)], cwd=CHECKOUT)
    assert done.stdout == "True\n"
    assert claim(port + 10_000)
