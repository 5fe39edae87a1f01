"""Instructions are counted for each kind of message, and two runs count the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmarks import inprocess, instructions
from benchmarks.instructions import COUNTED, WORKS, CountError, Counts, annotated, count, listed, run, table
from slosh.core.hub import Hub
from slosh.http1.accepting import Accepting
from slosh.http1.protocol import HttpConnection
from tests.conftest import lacking, need

if TYPE_CHECKING:
    from pathlib import Path

LISTING = """
--------------------------------------------------------------------------------
Ir
--------------------------------------------------------------------------------
12,345 (100.0%)  PROGRAM TOTALS

--------------------------------------------------------------------------------
Ir             file:function
--------------------------------------------------------------------------------
 2,000 (16.20%)  ???:CPyDef_hub___Hub___flush [/opt/lib/slosh__mypyc.cpython-311-x86_64-linux-gnu.so]
 1,000 ( 8.10%)  /build/Objects/object.c:_Py_Dealloc [/usr/bin/python3.11]
   500 ( 4.05%)  /build/Objects/dict.c:_Py_Dealloc [/usr/bin/python3.11]
"""


@pytest.mark.parametrize("name", WORKS)
def test_every_work_delivers(name: str) -> None:
    """Its clients stop it where an answer is no 200."""
    inprocess.work(name, 2)
    assert WORKS[name].messages == (inprocess.READERS[name] or inprocess.PUBLISHES)


def test_a_work_needs_nothing_but_slosh() -> None:
    """The virtual environment of the compiled slosh has no package `benchmarks`."""
    words = [sys.executable, "-P", str(instructions.PROGRAM), "fan", "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("src"))}
    subprocess.run(words, check=True, env=environment, cwd="/")


def test_a_refused_message_stops_the_count() -> None:
    client = inprocess.Client(*inprocess.make_server(inprocess.Loop()))
    client.connection.data_received(client.publication(b"unwatched"))
    with pytest.raises(SystemExit, match="404"):
        client.answer()


def test_a_listing_is_read_without_the_folders_of_whoever_built_it() -> None:
    assert listed(LISTING) == {
        "TOTAL": 12_345,
        "CPyDef_hub___Hub___flush [slosh__mypyc.cpython-311-x86_64-linux-gnu.so]": 2_000,
        "_Py_Dealloc [python3.11]": 1_500,
    }


def test_what_is_counted_is_named_as_the_compiler_names_it() -> None:
    """A method that has moved to another class would not be counted, and all would look cheaper."""
    accepting = (Accepting._accept_more, Accepting._end_beginning, HttpConnection.connection_made)
    for method in (HttpConnection.data_received, Hub.flush, *accepting):
        _, _, module = method.__module__.rpartition(".")
        assert f"CPyPy_{module}___{method.__qualname__.replace('.', '___')}" in COUNTED


def test_the_table_tells_instructions_of_a_message() -> None:
    counts = Counts(Counter({"TOTAL": 40_000, "a": 30_000, "b": 10_000}), Counter({"a": 40_000, "b": 10_000}))
    lines = table("publish", counts, rounds=(1, 2), functions=1).splitlines()
    assert lines[0] == "publish: 200 instructions for a publish that nobody reads"
    assert [line.split() for line in lines[1:]] == [["own", "whole", "function"], ["150.0", "200.0", "a"]]


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(instructions, "missing", lambda: "valgrind")
    assert instructions.main(["fan"]) == 1
    assert "nothing can be counted without valgrind" in capsys.readouterr().err


def test_two_runs_of_the_compiled_build_are_the_same(tmp_path: Path) -> None:
    need("valgrind")
    need("callgrind_annotate")
    absent = instructions.missing()
    if absent is not None:
        lacking(f"it needs {absent}")
    runs = []
    for place in (tmp_path / "first", tmp_path / "second"):
        place.mkdir()
        runs.append(annotated(run("publish", 2, place), inclusive=False))
    first, second = runs
    assert first["TOTAL"] > 400 * 1_000, "a publish takes some thousand instructions"
    assert abs(first["TOTAL"] - second["TOTAL"]) < first["TOTAL"] / 1_000
    assert any("slosh__mypyc" in function for function in first)


def test_what_the_shorter_run_did_too_is_no_part_of_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Counter({"TOTAL": 1_500, "start": 1_000, "a": 500})
    told = {5: short, 15: short + Counter({"TOTAL": 1_000, "a": 1_000})}
    monkeypatch.setattr(instructions, "run", lambda _name, rounds, _folder: rounds)
    monkeypatch.setattr(instructions, "annotated", lambda out, **_options: told[out])
    assert count("publish").own == Counter({"TOTAL": 1_000, "start": 0, "a": 1_000})


def test_where_nothing_was_counted_no_table_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that is counted may have another name by now."""
    monkeypatch.setattr(instructions, "run", lambda _name, rounds, _folder: rounds)
    monkeypatch.setattr(instructions, "annotated", lambda _out, **_options: Counter())
    with pytest.raises(CountError, match="still named so"):
        count("publish")


def test_an_unknown_work_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        instructions.main(["nonsense"])
    assert "nonsense" in capsys.readouterr().err
