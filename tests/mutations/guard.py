"""A pytest plugin: what is tested is the broken copy, and not the slosh that is installed."""

import os
from pathlib import Path

import pytest

import slosh

COPY = "MUTATED_COPY"
"""The variable that says where the copy is."""
NOT_THE_COPY = 90
"""The exit code when something else would be tested."""


def pytest_configure() -> None:
    """Refuse to run on another slosh."""
    if not Path(slosh.__file__).is_relative_to(os.environ[COPY]):
        pytest.exit(f"{slosh.__file__} would be tested, which is not in {os.environ[COPY]}", NOT_THE_COPY)
