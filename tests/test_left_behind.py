"""A test that leaves a process behind fails its session, in one process and where several run tests."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.processes import run_group

CHECKOUT = Path(__file__).parents[1]
CONFTEST = """
from tests import left_behind

left_behind.PATIENCE = 0.2
"""
ENDS = """
import subprocess, sys

def start(name, **options):
    waits = f"import os, time\\nwhile not os.path.exists(os.environ['END']): time.sleep(0.01) # {name}"
    child = [sys.executable, "-c", waits]
    return subprocess.Popen(child, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

def test_that_ends_what_it_starts():
    with start("ended") as process:
        process.kill()
"""
LEAVES = """
def test_that_leaves_a_child():
    start("the child").returncode = 0 # Python says nothing of it

def test_that_leaves_the_child_of_a_process_that_has_ended():
    parent = "from test_it import start; import os; start('the orphan'); os._exit(0)"
    subprocess.run([sys.executable, "-c", parent], check=True, cwd=os.path.dirname(__file__))
"""


@pytest.mark.parametrize(
    ("does", "workers"),
    [(ENDS, 1), (ENDS + "import os\n" + LEAVES, 0), (ENDS + "import os\n" + LEAVES, 1)],
    ids=["nothing", "alone", "worker"],
)
def test_what_a_test_leaves_running_fails_the_session_and_is_named(tmp_path: Path, does: str, workers: int) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(does)
    end = tmp_path / "end"
    words = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "xdist",
        "-p",
        "tests.left_behind",
        "-n",
        str(workers),
        "--rootdir",
        str(tmp_path),
        "-c",
        os.devnull,
    ]
    done = run_group(
        [sys.executable, "-m", "pytest", *words, str(tmp_path)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "END": str(end), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    end.touch()
    leaves = LEAVES in does
    assert done.returncode == int(leaves), done.stdout
    named = {name: f"# the {name}" in done.stdout.partition("left behind")[2] for name in ("child", "orphan")}
    assert named == {"child": leaves, "orphan": leaves}, done.stdout
    assert ("3 passed" if leaves else "1 passed") in done.stdout
