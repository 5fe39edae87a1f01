"""Break the code, line by line, and see that the tests notice: `make mutations`.

Each break is made in a copy of the source, of which there is one for each job, and the tests that the row names are run
on that copy. A row is killed when one of them fails. It survives when all pass, which fails the run, and so does a row
whose line does not stand in its file exactly once. Before that all named tests are run on an unbroken copy, because a
test that fails there proves nothing.

With words (`make mutations ARGS='hub.py topic.py'`) only rows are tried whose file or line has one of them, and the
result is not written down.
"""

import argparse
import compileall
import datetime as dt
import os
import py_compile
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import run_group
from tests.forking import forked_tests
from tests.mutations.guard import COPY
from tests.mutations.row import SOURCE, Row, StaleRowError
from tests.mutations.table import ROWS

CHECKOUT = SOURCE.parents[1]
RESULT = Path(__file__).with_name("RESULT.md")
LONGEST = 180.0
"""Seconds for one row. A break that makes a test hang is noticed too."""
ALL_TOGETHER = 1800.0
"""Seconds for all named tests on an unbroken copy."""
FAILED = 1
"""pytest's exit code where tests ran and some failed. Any other but 0 is a mistake in the row."""


class Outcome(NamedTuple):
    """What became of a row.

    Attributes:
        word: `killed`, `survived`, or `error`.
        told: what there is to say of it.
    """

    row: Row
    word: str
    seconds: float
    told: str = ""


class Copy:
    """The package as it is installed, in a folder of its own, compiled ahead so that tests start quickly."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._package = folder / "slosh"
        shutil.copytree(SOURCE, self._package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(CHECKOUT / "example", self._package / "example")
        # By their contents and not by their times: two breaks of one file may come within a second.
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(self._package, quiet=1, invalidation_mode=mode)

    def test(self, tests: Sequence[str], timeout: float) -> tuple[int, str]:
        """Run these tests on the copy; pytest's exit code, and what it said."""
        environment = os.environ | {
            "PYTHONPATH": str(self._folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # which would cost most runs more than their test
            "CI": "true",  # a tool that is missing fails the test, and so the run on the unbroken copy
            COPY: str(self._folder),
        }
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--tb=line",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_timeout",
            "-p",
            "slosh.testing.plugin",  # the fixture `slosh`, of the copy
        ]
        try:
            done = run_group(
                [*words, "-p", "tests.mutations.guard", *tests], cwd=CHECKOUT, env=environment, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return FAILED, "it took too long"
        return done.returncode, done.stdout[-2000:] + done.stderr[-1000:]

    def try_out(self, row: Row) -> Outcome:
        """Break the copy by a row, run the row's tests, and mend it."""
        start = time.monotonic()
        file = self._package / row.file
        whole = file.read_text(encoding="utf-8")
        try:
            file.write_text(row.apply(whole), encoding="utf-8")
            code, told = self.test(row.tests, LONGEST)
        except StaleRowError as error:
            code, told = -1, str(error)
        finally:
            file.write_text(whole, encoding="utf-8")
        word = {0: "survived", FAILED: "killed"}.get(code, "error")
        return Outcome(row, word, time.monotonic() - start, "" if word == "killed" else told)


def try_all(rows: Sequence[Row], jobs: int) -> list[Outcome]:
    """Try rows, several at a time, and say what became of each."""
    with tempfile.TemporaryDirectory(prefix="slosh-mutations-") as scratch:
        copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
        for number in range(jobs):
            copies.put(Copy(Path(scratch, str(number))))
        first = copies.get()
        code, told = first.test(sorted({test for row in rows for test in row.tests}), ALL_TOGETHER)
        if code:
            raise SystemExit(f"the named tests fail on unbroken code already:\n{told}")
        copies.put(first)

        def take(row: Row) -> Outcome:
            copy = copies.get()
            try:
                outcome = copy.try_out(row)
            finally:
                copies.put(copy)
            print(f"{outcome.word:8} {outcome.seconds:5.1f} s  {row}", flush=True)
            if outcome.told:
                print(outcome.told, flush=True)
            return outcome

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(take, rows))


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """One line."""
    words = Counter(outcome.word for outcome in outcomes)
    told = ", ".join(
        f"{words[word]} {word}" for word in ("killed", "survived", "error") if words[word] or word != "error"
    )
    return f"{len(outcomes)} breaks: {told}; {seconds:.0f} s"


def page(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The result, as it is kept beside the rows."""
    today = dt.datetime.now(dt.UTC).date()
    parts = Counter(outcome.row.file for outcome in outcomes)
    lines = [
        "# The last run of `make mutations`",
        "",
        f"{today.isoformat()}: {summary(outcomes, seconds)}.",
        "",
        "| file | breaks | killed |",
        "| --- | ---: | ---: |",
    ]
    for file, count in sorted(parts.items()):
        killed = sum(outcome.word == "killed" for outcome in outcomes if outcome.row.file == file)
        lines.append(f"| `{file}` | {count} | {killed} |")
    lines += [f"\n{outcome.word}: {outcome.row}" for outcome in outcomes if outcome.word != "killed"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Try the rows; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only rows whose file or line has one of these")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (usually 2)")
    given = parser.parse_args()
    rows = [row for row in ROWS if not given.words or any(word in f"{row.file} {row.line}" for word in given.words)]
    start = time.monotonic()
    with forked_tests():
        outcomes = try_all(rows, given.jobs)
    seconds = time.monotonic() - start
    print(summary(outcomes, seconds))
    for outcome in outcomes:
        if outcome.word != "killed":
            print(f"{outcome.word}: {outcome.row}")
    if not given.words:
        RESULT.write_text(page(outcomes, seconds), encoding="utf-8")
    return 0 if all(outcome.word == "killed" for outcome in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
