"""The public names are exported once, and importing slosh changes nothing in the process."""

import subprocess
import sys

import pytest

import slosh
from tests.cases import each_of


def test_all_names_exactly_what_the_docstring_tells() -> None:
    assert slosh.__doc__ is not None
    told = {line.split()[0] for line in slosh.__doc__.splitlines() if line.startswith("    ")}
    assert told == set(slosh.__all__) - {"__version__"}


@each_of("name", slosh.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(slosh, name) is not None
    assert name in dir(slosh)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"slosh.*'nothing'"):
        slosh.nothing  # noqa: B018  # asking is the point


PROBE = """
import asyncio, logging, signal, sys
before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT),
          asyncio.get_event_loop_policy(), logging.getLogger().handlers[:])
import slosh
for name in slosh.__all__:
    getattr(slosh, name)
import slosh.cli, slosh.service
after = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT),
         asyncio.get_event_loop_policy(), logging.getLogger().handlers[:])
assert before == after, (before, after)
assert "twisted.internet.reactor" not in sys.modules, "a reactor was installed"
"""


def test_importing_slosh_changes_nothing_in_the_process() -> None:
    """No reactor, loop policy, signal handler or log handler (daphne installed a reactor at import)."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
