"""What the commands have in common."""

import subprocess
import sys

import click
import pytest

from slosh.commands.shared import parse_duration, printable
from tests.running import SLOSH, clean_environment

OPTION = click.Option(["--timeout"])


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1.5", 1.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(click.Context(click.Command("x")), OPTION, text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-1s", "1w", "1e3", "٣s", "m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90s"):
        parse_duration(click.Context(click.Command("x")), OPTION, text)


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    assert printable("a\x1b[2J\x07\u202e\U000e0001") == "a\\x1b[2J\\x07\\u202e\\U000e0001"
    assert printable("Zürich 日本") == "Zürich 日本"


@pytest.mark.parametrize("command", ["pub", "sub", "topics"])
def test_help_teaches(command: str) -> None:
    done = subprocess.run(
        [*SLOSH, command, "--help"], capture_output=True, text=True, check=True, env=clean_environment()
    )
    assert all(part in done.stdout for part in ("Usage:", "Examples:", "Environment:", "Exit codes:", "SLOSH_URL"))


def test_the_command_line_loads_no_client_before_it_is_asked_for() -> None:
    """`slosh --version` is quick, because what a command needs is imported in that command."""
    probe = "import sys, slosh.cli; print([each for each in ('httpx2', 'slosh.client') if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
