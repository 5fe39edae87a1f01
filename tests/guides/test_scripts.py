"""The guides for notebooks, training loops and cron jobs, by the programs that stand in them."""

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.processes import run_group
from slosh.client import Client, Item
from slosh.testing.server import TestingServer
from tests.conftest import need
from tests.guides.guide import copy, programs
from tests.running import PATIENCE, clean_environment

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode


@pytest.mark.long
@pytest.mark.slosh(linger=60)
def test_a_notebook_publishes_watches_and_computes(slosh: TestingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell is run by a real kernel; the one that watches is stopped as by the stop button, and run again."""
    need("module:ipykernel")
    need("module:pandas")
    need("module:nbclient")
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    cells = programs("jupyter")
    assert list(cells) == [f"cell {number}" for number in range(1, 7)]
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]  # it carries no types
    client = NotebookClient(notebook, timeout=int(PATIENCE), kernel_name="python3")
    with client.setup_kernel():
        said: dict[str, str] = {}
        for title, text in cells.items():
            patient = text.replace("deadline=1", "deadline=5")  # on a machine that is busy
            cell = nbformat.v4.new_code_cell(patient)  # type: ignore[no-untyped-call]  # as above
            notebook.cells = [cell]
            if title == "cell 3":
                said[title] = watch_twice(client, cell, slosh)
            else:
                client.execute_cell(cell, 0)
                said[title] = output_of(cell)
    assert said["cell 3"] == "0 1.0\n1 0.5\n2 0.3333333333333333\nagain\n3 0.25\n"
    assert said["cell 4"] in ("1.0", "np.float64(1.0)")
    assert re.search(r"loss +4\.0", said["cell 5"])
    assert said["cell 6"] == "newest 3\n"


def watch_twice(client: "NotebookClient", cell: "NotebookNode", slosh: TestingServer) -> str:
    """Run the cell until it has given what there is, stop it, publish, and run it until it has given that."""
    import nbformat
    from nbclient.exceptions import CellExecutionError

    text = cell.source
    given = ""
    for last in ("2 0.3333333333333333", "3 0.25"):
        stopped = f"\n    if item.message['step'] == {last[0]}: import _thread; _thread.interrupt_main()"
        cell = nbformat.v4.new_code_cell(text.rstrip() + stopped)  # type: ignore[no-untyped-call]  # it carries no types
        client.nb.cells = [cell]
        with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
            client.execute_cell(cell, 0)
        given += output_of(cell)
        if last[0] == "2":
            given += "again\n"
            slosh.client.publish("notebook/loss", {"step": 3, "loss": 0.25})
    return given


def output_of(cell: "NotebookNode") -> str:
    return "".join(
        each.get("text", "") or each.get("data", {}).get("text/plain", "")
        for each in cell.outputs
        if each.output_type != "error"
    )


@pytest.mark.slosh(topics={"runs/**": {"unwatched": "keep", "linger": 86400.0}})
def test_a_training_loop_is_a_run_that_ends(slosh: TestingServer, tmp_path: Path) -> None:
    copy("training", tmp_path)
    done = run_group([sys.executable, "train.py"], cwd=tmp_path, env=clean_environment(SLOSH_URL=slosh.url))
    assert (done.returncode, done.stderr) == (0, "")
    with slosh.client.watch("runs/line", since="earliest", deadline=PATIENCE) as watch:
        config, *steps = [item.message for item in watch]
    assert config == {"config": "lr=0.05, epochs=40"}
    assert [step["step"] for step in steps if isinstance(step, dict)] == list(range(40))
    assert isinstance(steps[-1], dict)
    assert abs(steps[-1]["slope"] - 3) < 0.5


@pytest.mark.long  # it waits for its server for as long as it may
def test_a_training_loop_goes_on_without_a_server(tmp_path: Path) -> None:
    copy("training", tmp_path)
    environment = clean_environment(SLOSH_URL="http://127.0.0.1:1")
    done = run_group([sys.executable, "train.py"], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "RuntimeWarning: " in done.stderr
    assert "were not stored: No slosh server answered at http://127.0.0.1:1" in done.stderr


def test_its_class_is_one_that_a_server_takes(tmp_path: Path) -> None:
    copy("training", tmp_path)
    done = run_group([sys.executable, "-m", "slosh", "check"], cwd=tmp_path, env=clean_environment())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "without a server"])
def test_a_cron_job_tells_how_far_it_is_and_that_it_ended(
    slosh: TestingServer, tmp_path: Path, *, watched: bool
) -> None:
    """The line of the crontab, in cron's environment, with the paths of this test."""
    line = copy("cron", tmp_path)["crontab"].strip().split(maxsplit=5)[5]
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        (data / name).write_text(name)
    for documented, here in (
        ("http://127.0.0.1:8000", slosh.url if watched else "http://127.0.0.1:1"),
        ("/srv/venv/bin/python", shlex.quote(sys.executable)),
        ("/srv/backup.py", str(tmp_path / "backup.py")),
        ("/srv/data", str(data)),
        (" /backup", f" {tmp_path / 'target'}"),
    ):
        assert documented in line
        line = line.replace(documented, here, 1)
    if not watched:  # it waits for as long as it may
        script = tmp_path / "backup.py"
        script.write_text(
            script.read_text()
            .replace("timeout=5", "timeout=0.2")
            .replace("Publisher(server)", "Publisher(server, timeout=0.2)")
        )
    done = run_group(["/bin/sh", "-c", line], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    told = [] if watched else ["No slosh server answered at", "3 messages were not published: No"]
    assert [line[: len(start)] for line, start in zip(done.stderr.splitlines(), told, strict=True)] == told
    assert done.returncode == 0
    assert (tmp_path / "target" / "deep" / "c").read_text() == "deep/c"
    if watched:
        with Client(slosh.url) as client, client.watch("jobs/backup", since="earliest", deadline=PATIENCE) as watch:
            items: list[Item] = list(watch)
        assert [item.message for item in items] == [
            *({"done": number, "of": 3, "file": name} for number, name in enumerate("abc", 1)),
            {"state": "done", "files": 3},
        ]
        assert watch.ended


def test_a_cron_job_without_its_folder_fails(tmp_path: Path) -> None:
    copy("cron", tmp_path)
    script = tmp_path / "backup.py"
    script.write_text(script.read_text().replace("timeout=5", "timeout=0.2"))
    environment = clean_environment(SLOSH_URL="http://127.0.0.1:1")
    done = run_group([sys.executable, str(script), "nosuchdir", "bk"], cwd=tmp_path, env=environment)
    assert (done.returncode, "NotADirectoryError: nosuchdir is no folder" in done.stderr) == (1, True)
