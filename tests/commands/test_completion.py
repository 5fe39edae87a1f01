"""Completion in real shells, on a terminal: a person types a few letters and Tab."""

import os
import sys
from pathlib import Path

import pytest

from slosh.client import Client
from tests.commands.terminal import Terminal
from tests.conftest import need
from tests.e2e.server import Serving

START = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(slosh completion bash)"'),
    "zsh": (("-f", "-i"), 'autoload -Uz compinit && compinit -u -D && eval "$(slosh completion zsh)"'),
    "fish": (("--no-config", "-i"), "slosh completion fish | source"),
}


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
                terminal.press(f"{typed}\t")
                terminal.until(completed)
                terminal.press("\x15")  # Ctrl-U empties the line
