"""What is measured runs on the Python that was named, else on the distribution's; and what that lacks is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import installing
from benchmarks.servers.base import ROOT
from tests.conftest import need

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def plan(*words: str) -> str:
    """What `make bench` would do, as it says."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [need("make"), "--dry-run", "bench", "ARGS=--list", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """Where the virtual environment of the tests is: one of this Python."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    program(tmp_path / "venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    return tmp_path / "venv"


def test_measured_is_what_the_tests_use_where_that_is_the_same_python(venv: Path) -> None:
    told = plan(f"VENV={venv}", f"PYTHON={sys.executable}")
    assert f"measuring on {sys.executable}" in told
    assert f"COMPILED={venv}-compiled {venv}/bin/python -m benchmarks --list" in told


def test_another_python_gets_a_place_and_a_compiled_wheel_of_its_own(venv: Path, tmp_path: Path) -> None:
    other = program(tmp_path / "python", "echo another Python")
    told = plan(f"VENV={venv}", f"PYTHON={sys.executable}", f"BENCH_PYTHON={other}")
    assert f"measuring on {other}" in told
    assert f"COMPILED={venv}-bench-compiled {venv}-bench/bin/python -m benchmarks --list" in told
    assert "--wheel-dir build/benchmarks/dist" in told


def test_without_a_name_it_is_the_distributions_python_if_that_fits(venv: Path, tmp_path: Path) -> None:
    fitting = program(tmp_path / "fitting", "echo the distribution")
    old = program(tmp_path / "old", "exit 1")
    assert f"measuring on {fitting}" in plan(f"VENV={venv}", f"DISTRIBUTIONS={fitting}")
    assert "measuring on python3" in plan(f"VENV={venv}", f"DISTRIBUTIONS={old}")


@pytest.mark.parametrize(
    ("says", "lacks"),
    [("echo True; exit 1", True), ("echo True", False), ("echo False; exit 1", False), ("exit 1", False)],
    ids=["new, without venv", "new, with venv", "old", "no Python at all"],
)
def test_the_distributions_python_is_given_venv_where_it_lacks_that_alone(
    says: str, lacks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing, "DISTRIBUTIONS_PYTHON", str(program(tmp_path / "python3", says)))
    assert ("python3-venv" in installing.lacking_packages()) == lacks


def test_where_the_distribution_has_no_python_nothing_is_installed_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "DISTRIBUTIONS_PYTHON", "/nowhere/python3")
    assert not installing.lacks_venv()
