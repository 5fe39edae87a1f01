"""Which Python a server ran on is told with how it was built, and never as a guess."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from benchmarks import results, turns
from benchmarks.interpreter import Facts, Interpreter, Package, ask, interpreter, judge, package_of
from benchmarks.servers import SERVERS
from tests.conftest import need

# What builds record of themselves, as it was read there, shortened.
GCC = "-fprofile-use -fprofile-correction"
NO_FLAGS = "-Wsign-compare -DNDEBUG -g -fwrapv -O3 -Wall -std=c11 -fvisibility=hidden"
DEBIAN = {
    "CONFIG_ARGS": "'--enable-shared' '--prefix=/usr' '--with-dtrace' '--with-system-ffi' 'CC=x86_64-linux-gnu-gcc'",
    "PGO_PROF_USE_FLAG": "",
    "PY_CORE_CFLAGS": NO_FLAGS,
    "PY_LDFLAGS_NODIST": "",
}
PYENV = {
    "CONFIG_ARGS": "'--prefix=/home/me/.pyenv/versions/3.11.7' '--enable-shared' 'LDFLAGS=-L/home/me/lib'",
    "PGO_PROF_USE_FLAG": GCC,
    "PY_CORE_CFLAGS": NO_FLAGS,
    "PY_LDFLAGS_NODIST": "",
}
STANDALONE = {  # python-build-standalone, which is what uv installs
    "CONFIG_ARGS": "'--enable-shared' '--enable-optimizations' '--enable-bolt' '--with-lto' 'CC=clang'",
    "PGO_PROF_USE_FLAG": "-fprofile-instr-use=code.profclangd",
    "PY_CORE_CFLAGS": NO_FLAGS,
}
STANDALONE_CROSS = {**STANDALONE, "CONFIG_ARGS": "'--host=aarch64-unknown-linux-gnu' '--enable-shared' '--with-lto'"}
CONTAINER = {  # the official image
    "CONFIG_ARGS": "'--enable-loadable-sqlite-extensions' '--enable-optimizations' '--enable-shared' '--with-lto'",
    "PGO_PROF_USE_FLAG": GCC,
    "PY_CORE_CFLAGS": f"{NO_FLAGS} -fno-semantic-interposition -flto -fuse-linker-plugin -g {GCC} -I./Include/internal",
}
MAKE_PROFILE_OPT = {**PYENV, "CONFIG_ARGS": "", "PY_CORE_CFLAGS": f"{NO_FLAGS} {GCC}"}
CHANGED_MIND = {**PYENV, "CONFIG_ARGS": "'--enable-optimizations' '--disable-optimizations' '--with-lto=no'"}
WINDOWS: dict[str, str | None] = dict.fromkeys(DEBIAN)


def facts(record: dict[str, str | None] | dict[str, str]) -> Facts:
    return Facts("CPython", "3.11.7", "/usr/bin/python3.11", dict(record))


def package(architecture: str, name: str = "python3.11-minimal") -> Package:
    return Package(name, "3.11.2-6", architecture)


@pytest.mark.parametrize(
    ("record", "owner", "pgo", "lto"),
    [
        (PYENV, None, False, False),
        (STANDALONE, None, True, True),
        (STANDALONE_CROSS, None, False, True),
        (CONTAINER, None, True, True),
        (MAKE_PROFILE_OPT, None, True, False),
        (CHANGED_MIND, None, False, False),
        (DEBIAN, package("amd64"), True, True),
        (DEBIAN, package("riscv64"), None, None),
        (DEBIAN, package("amd64", "somebody-s-python"), None, None),
        (DEBIAN, None, None, None),
        (PYENV, package("amd64"), False, False),
        (WINDOWS, None, None, None),
    ],
    ids=[
        "pyenv",
        "standalone",
        "standalone cross-compiled",
        "container",
        "make profile-opt",
        "last word counts",
        "Debian",
        "Debian on a machine whose builds we do not know",
        "another package, flags taken out",
        "flags taken out",
        "a package that still says what it was built without",
        "no record",
    ],
)
def test_how_a_python_was_built(
    record: dict[str, str], owner: Package | None, pgo: bool | None, lto: bool | None
) -> None:
    found = judge(facts(record), owner)
    assert (found.pgo, found.lto) == (pgo, lto)


def test_it_is_told_in_words_and_what_is_not_known_is_called_unknown() -> None:
    assert str(judge(facts(PYENV))) == "CPython 3.11.7, without PGO and LTO"
    assert (
        str(judge(facts(DEBIAN), package("amd64"))) == "CPython 3.11.7 of python3.11-minimal 3.11.2-6, with PGO and LTO"
    )
    assert str(judge(facts(DEBIAN))) == "CPython 3.11.7, unknown whether with PGO and LTO"
    assert str(judge(facts(STANDALONE_CROSS))) == "CPython 3.11.7, without PGO, with LTO"


def test_a_python_in_a_virtual_environment_is_the_one_behind_it() -> None:
    told = ask(sys.executable)
    assert told.version == ".".join(map(str, sys.version_info[:3]))
    assert not Path(told.program).is_symlink()
    assert str(Path(told.program)).startswith(str(Path(sys.base_prefix).resolve()))


def test_debians_own_python_is_recognised() -> None:
    need("dpkg-query")
    owner = package_of(str(Path("/usr/bin/python3").resolve()))
    if owner is None:
        pytest.skip("no python3 of Debian's is installed here")
    assert owner.name.endswith("-minimal")
    if owner.architecture in {"amd64", "arm64"}:
        assert interpreter("/usr/bin/python3").built() == "with PGO and LTO"


def test_each_server_on_python_is_recorded_with_its_python() -> None:
    on_python = [server for server in SERVERS.values() if server.python is not None]
    assert {"slosh", "slosh-compiled", "slosh-redis", "starlette", "twisted-web", "pushpin"} <= {
        s.name for s in on_python
    }
    begun = results.begun([SERVERS["slosh"], SERVERS["floor"]], 1)
    assert begun.versions["slosh"].endswith(f" on {interpreter(sys.executable)}")
    assert " on " not in begun.versions["floor"]


def test_a_python_without_pgo_is_warned_of_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = {
        "slow": Interpreter("CPython 3.11.7", "/opt/python3.11", pgo=False, lto=False),
        "quick": Interpreter("CPython 3.11.2", "/usr/bin/python3.11", pgo=True, lto=True),
        "odd": Interpreter("PyPy 3.11.2", "/usr/bin/pypy", pgo=None, lto=None),
    }
    monkeypatch.setattr(turns, "interpreter", builds.__getitem__)
    servers = [dataclasses.replace(SERVERS["slosh"], title=python, python=python) for python in builds]
    turns.tell_plain_pythons([SERVERS["floor"], *servers])
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(
        "slow: MEASURED ON CPython 3.11.7, without PGO and LTO (/opt/python3.11), WHICH COSTS MORE"
    )
