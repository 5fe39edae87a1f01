"""Which Python a server ran on, and how that one was built: with PGO and LTO, without, or unknown.

Without profile-guided and link-time optimization slosh costs up to a tenth more, its own code up to a third (measured,
docs/operations.md), and a Python looks the same either way. A build remembers its flags in sysconfig. CPython's own
tests look there too (test.support, check_cflags_pgo; test.libregrtest.utils, get_build_info), and so does this, with
three answers instead of two:

1. Flags that were used, or asked of configure, prove that it is built with them.
2. configure notes the compiler's word for using a profile (PGO_PROF_USE_FLAG) whether it will be used or not. Where it
   stands there, the record is as the build left it, and what is not in the record was not used.
3. Debian takes such flags out of sysconfig again, that word too, lest extension modules inherit them ("Don't propagate
   lto flags to the _sysconfigdata module", Debian bug 934771). Then only the package tells, see `DEBIAN_OPTIMIZES`.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

ASK = """
import json, os, platform, sys, sysconfig
names = ["CONFIG_ARGS", "PGO_PROF_USE_FLAG", "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST"]
names += ["PY_CORE_LDFLAGS", "PY_LDFLAGS_NODIST"]
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "program": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "record": {name: sysconfig.get_config_var(name) for name in names},
}))
"""
"""What the Python itself is asked; `program` is the one behind its virtual environment."""
PROFILE_USED = ("-fprofile-use", "-fprofile-instr-use", "-prof-use")
"""How GCC, clang and ICC are told to use a profile."""
DEBIAN_OPTIMIZES = frozenset({"amd64", "arm64"})
"""Architectures on which packages named pythonX.Y-minimal have PGO and LTO since 3.8 (its changelog, July and August
2019; seen on amd64 in libpython3.11.a, whose sections .text.hot only a profile makes). There may be more."""


@dataclass(frozen=True)
class Facts:
    """What a Python says of itself."""

    implementation: str
    version: str
    program: str
    """Its executable, without links and virtual environments."""
    record: dict[str, str | None]
    """sysconfig's variables that tell of the build; None where it has none, as on Windows."""


@dataclass(frozen=True)
class Package:
    """The Debian package that an executable belongs to."""

    name: str
    version: str
    architecture: str


@dataclass(frozen=True)
class Interpreter:
    """A Python, and how it was built."""

    name: str
    """`CPython 3.11.2`, and the package that it is of if there is one."""
    program: str
    pgo: bool | None
    """Whether with profile-guided optimization; None where nobody knows."""
    lto: bool | None
    """Whether with link-time optimization."""

    def __str__(self) -> str:
        """For the note under a table."""
        return f"{self.name}, {self.built()}"

    def built(self) -> str:
        """How, in words; `unknown` where a guess would be needed."""
        said = {True: "with {}", False: "without {}", None: "unknown whether with {}"}
        if self.pgo == self.lto:
            return said[self.pgo].format("PGO and LTO")
        return f"{said[self.pgo].format('PGO')}, {said[self.lto].format('LTO')}"

    def plain(self) -> bool:
        """Whether it is certain that one of the two is missing."""
        return self.pgo is False or self.lto is False


def judge(facts: Facts, package: Package | None = None) -> Interpreter:
    """How a Python was built, from what it says of itself, and from the Debian package that it belongs to."""
    name = f"{facts.implementation} {facts.version}"
    untouched = False if facts.record.get("PGO_PROF_USE_FLAG") else None
    pgo = True if _asked(facts, "optimizations") or _profile_used(facts) else untouched
    lto = True if _asked(facts, "lto") or _linked_as_whole(facts) else untouched
    if package is not None:
        name += f" of {package.name} {package.version}"
        if re.fullmatch(r"python3\.\d+-minimal", package.name) and package.architecture in DEBIAN_OPTIMIZES:
            pgo, lto = (True if pgo is None else pgo), (True if lto is None else lto)
    return Interpreter(name, facts.program, pgo, lto)


def _asked(facts: Facts, feature: str) -> bool:
    """Whether configure was asked for it; the last word counts."""
    words = re.findall(
        rf"--(enable|disable|with|without)-{feature}(?:=([\w,]+))?(?![\w-])", _said(facts, "CONFIG_ARGS")
    )
    return bool(words) and words[-1][0] in {"enable", "with"} and words[-1][1] != "no"


def _profile_used(facts: Facts) -> bool:
    return any(word.startswith(PROFILE_USED) for word in _said(facts, "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST").split())


def _linked_as_whole(facts: Facts) -> bool:
    flags = _said(facts, "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST", "PY_CORE_LDFLAGS", "PY_LDFLAGS_NODIST").split()
    words = [word for word in flags if re.fullmatch(r"-flto(=.*)?|-fno-lto", word)]
    return bool(words) and words[-1] != "-fno-lto"


def _said(facts: Facts, *names: str) -> str:
    return " ".join(facts.record.get(name) or "" for name in names)


def ask(python: str) -> Facts:
    """What this Python says; raises OSError or CalledProcessError when it cannot be run."""
    told = subprocess.run([python, "-I", "-c", ASK], capture_output=True, text=True, check=True).stdout
    return Facts(**json.loads(told))


def package_of(program: str) -> Package | None:
    """The Debian package that this file belongs to, or None; there is none where dpkg is not."""
    if shutil.which("dpkg-query") is None:
        return None
    owner = subprocess.run(["dpkg-query", "--search", program], capture_output=True, text=True, check=False)
    if owner.returncode != 0:
        return None
    name = owner.stdout.partition(":")[0]
    words = ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\n", name]
    told = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()
    return Package(*told[:3]) if len(told) >= 3 else None


@functools.cache
def interpreter(python: str = sys.executable) -> Interpreter:
    """This Python and how it was built; raises OSError or CalledProcessError when it cannot be run."""
    facts = ask(python)
    return judge(facts, package_of(facts.program))
