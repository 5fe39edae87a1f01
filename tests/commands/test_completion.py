"""Completion in real shells, on a terminal: a person types a few letters and Tab."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from slosh.client import Client
from tests.commands.terminal import Terminal
from tests.conftest import need
from tests.e2e.server import Serving
from tests.running import PATIENCE

START = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(slosh completion bash)"'),
    "zsh": (("-f", "-i"), 'autoload -Uz compinit && compinit -u -D && eval "$(slosh completion zsh)"'),
    "fish": (("--no-config", "-i"), "slosh completion fish | source"),
}


def complete(terminal: Terminal, typed: str, completed: str) -> None:
    """Type, and press Tab, again where nothing comes: on a busy machine a server may tell its topics too late."""
    terminal.press(typed)
    for _ in range(10):
        terminal.press("\t")
        with contextlib.suppress(AssertionError):
            terminal.until(completed, PATIENCE / 10)
            return
    terminal.until(completed)


@pytest.mark.parametrize("shell", START)
def test_tab_completes_commands_options_and_topics(shell: str, tmp_path: Path) -> None:
    options, start = START[shell]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    home = {"PATH": path, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "PS1": "$ "}
    with Serving(tmp_path, "--unwatched=keep", "--linger=10m") as serving, Client(serving.url) as client:
        client.publish("kitchen-window", 1)
        command = (need(shell), *options)
        with Terminal(url=serving.url, command=command, environment=home) as terminal:
            terminal.press(f"{start}; echo re''ady\r")
            terminal.until("ready")
            for typed, completed in (
                ("slosh rec", "slosh record"),
                ("slosh sub --enve", "slosh sub --envelope"),
                ("slosh sub kitc", "slosh sub kitchen-window"),
            ):
                complete(terminal, typed, completed)
                terminal.press("\x15")  # Ctrl-U empties the line
