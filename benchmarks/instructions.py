"""`python -m benchmarks.instructions`: how many instructions the compiled slosh executes for a message, by function.

Instructions do not mind what else the machine does, so a change of one per cent shows, where CPU time of a whole run
does not show three. They are no time: a cache miss counts like an addition, and nothing of the kernel is in them.

The work of `benchmarks/inprocess.py` runs twice under valgrind's callgrind, once longer, and what the longer run did
more is divided by its messages; so what is done once, start and first answers, drops out. Counted is what happens in
`COUNTED`, where all that a server does for bytes or for readers to be woken goes through.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.servers.slosh import COMPILED

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = Path(__file__).with_name("inprocess.py")
ROUNDS = (5, 15)
COUNTED = (
    "CPyPy_protocol___HttpConnection___data_received",
    "CPyPy_waking___Waking___flush",
    "CPyPy_protocol___HttpConnection___connection_made",
    "CPyPy_accepting___Accepting____accept_more",
    "CPyPy_accepting___Accepting____end_beginning",
)
"""As mypyc names what Python calls: `module___Class___method`. None calls another, which would end the count."""


class Work(NamedTuple):
    """One kind of message."""

    messages: int
    """In a round of it."""
    title: str


WORKS = {
    "topics": Work(500, "a message through one of 500 topics with one reader each (publish, delivery, next poll)"),
    "fan": Work(200, "a delivery to one of 200 readers of a topic, and its next poll"),
    "fan-2000": Work(2_000, "the same to one of 2,000 readers"),
    "fan-20000": Work(20_000, "the same to one of 20,000 readers"),
    "publish": Work(200, "a publish that nobody reads"),
    "publish-ids": Work(200, "the same behind a proxy that numbers requests, so that no head comes twice"),
    "publish-lengths": Work(200, "the same with bodies of 20 to 320 bytes"),
    "publish-keys": Work(200, "the same with an Idempotency-Key on each"),
    "publish-keys-full": Work(200, "the same where there are as many keys as are kept"),
    "publish-mix": Work(200, "the same by chance: bodies to 3,000 bytes, a token, often a key and a proxy's fields"),
    "topics-ids": Work(500, "the same behind a proxy that numbers requests"),
    "topics-among": Work(500, "a message through one of 500 topics, with places among parameters that differ"),
    "topics-mix": Work(500, "a message through one of 500 topics, with such publishes, and places named in four ways"),
    "accept": Work(100, "a client that is accepted with its poll, which is held; with what the event loop does for it"),
    "browser": Work(200, "a delivery to one of 200 readers with a browser's header fields, and its next poll"),
}


class CountError(Exception):
    """Nothing could be counted; the text says why."""


class Counts(NamedTuple):
    """Function -> instructions."""

    own: Counter[str]
    """In the function itself."""
    whole: Counter[str]
    """With what it calls. Where functions call each other in a circle callgrind counts some twice."""


def missing() -> str | None:
    """What has to be installed first, or None."""
    for tool in ("valgrind", "callgrind_annotate"):
        if shutil.which(tool) is None:
            return f"{tool} (Debian: apt-get install valgrind)"
    return None if COMPILED.exists() else f"the compiled slosh in {COMPILED.parents[1]} (make peers installs it)"


def run(name: str, rounds: int, folder: Path) -> Path:
    """The file that callgrind wrote of one run; raises CountError."""
    out = folder / f"{name}.{rounds}"
    words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no"]
    words += [f"--toggle-collect={function}" for function in COUNTED]
    # The environment of a shell may name a slosh that is not the compiled one, and the order of a set is a lottery.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [*words, str(COMPILED), "-P", str(PROGRAM), name, str(rounds)],
        capture_output=True, text=True, check=False, env={**environment, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    if done.returncode != 0 or not out.exists():
        raise CountError(done.stderr.strip()[-2000:])
    return out


def annotated(out: Path, *, inclusive: bool) -> Counter[str]:
    """Function -> instructions, as callgrind_annotate tells them; `TOTAL` is all of them."""
    words = ["callgrind_annotate", "--threshold=100", f"--inclusive={'yes' if inclusive else 'no'}", str(out)]
    return listed(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def listed(text: str) -> Counter[str]:
    """The lines `12,345 (6.7%) file:function [object]` of a listing, without the folders that stand in them."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+)(?: \(\s*[\d.]+%\))?\s+(\S.*)", line)
        if match is None:
            continue
        name = "TOTAL" if match[2].startswith("PROGRAM TOTALS") else re.sub(r"^.*?:(?=\S)", "", match[2], count=1)
        found[re.sub(r" \[(?:.*/)?([^/\]]*)\]$", r" [\1]", name)] += int(match[1].replace(",", ""))
    return found


def count(name: str, rounds: tuple[int, int] = ROUNDS) -> Counts:
    """What the longer run did more than the shorter one; raises CountError."""
    with tempfile.TemporaryDirectory(prefix="slosh-instructions-") as folder:
        short, long = (run(name, each, Path(folder)) for each in rounds)
        own, whole = (
            Counter(
                {
                    function: told - before[function]
                    for before in [annotated(short, inclusive=inclusive)]
                    for function, told in annotated(long, inclusive=inclusive).items()
                }
            )
            for inclusive in (False, True)
        )
    if own["TOTAL"] <= 0:
        raise CountError(f"nothing went through {' or '.join(COUNTED)}; are they still named so?")
    return Counts(own, whole)


def table(name: str, counts: Counts, rounds: tuple[int, int] = ROUNDS, functions: int = 40) -> str:
    """Per message, the dearest functions first."""
    work = WORKS[name]
    messages = work.messages * (rounds[1] - rounds[0])
    lines = [f"{name}: {counts.own['TOTAL'] / messages:,.0f} instructions for {work.title}",
             "      own     whole  function"]  # fmt: skip
    for function, own in counts.own.most_common(functions + 1):
        if function != "TOTAL":
            lines.append(f"{own / messages:9,.1f} {counts.whole[function] / messages:9,.1f}  {function}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Count and print; exit status 1 where nothing could be counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(WORKS)}; usually all")
    parser.add_argument("--functions", "-n", type=int, default=40, metavar="N", help="how many to list (usually 40)")
    chosen = parser.parse_args(words)
    unknown = [name for name in chosen.works if name not in WORKS]
    if unknown:
        parser.error(f"nothing is named {', '.join(unknown)}; there are {', '.join(WORKS)}")
    lacking = missing()
    if lacking is not None:
        print(f"nothing can be counted without {lacking}", file=sys.stderr)
        return 1
    for name in chosen.works or WORKS:
        try:
            print(table(name, count(name), functions=chosen.functions), end="\n\n", flush=True)
        except CountError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
