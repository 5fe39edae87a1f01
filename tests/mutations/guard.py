"""A pytest plugin: what is tested is the broken copy, and not the slosh that is installed.

And an example by which a property fails is not made smaller: that it fails is enough.
"""

import os
from pathlib import Path

import hypothesis
import pytest
from hypothesis import Phase

import slosh

COPY = "MUTATED_COPY"
"""The variable that says where the copy is."""
NOT_THE_COPY = 90
"""The exit code when something else would be tested."""

# tests/conftest.py is read later, and its profile and all settings of tests begin with this one.
hypothesis.settings.register_profile(
    "unshrunk",
    hypothesis.settings.default,
    phases=[each for each in Phase if each not in {Phase.shrink, Phase.explain}],
)
hypothesis.settings.load_profile("unshrunk")


def pytest_configure() -> None:
    """Refuse to run on another slosh."""
    if not Path(slosh.__file__).is_relative_to(os.environ[COPY]):
        pytest.exit(f"{slosh.__file__} would be tested, which is not in {os.environ[COPY]}", NOT_THE_COPY)
