"""Programs that tests start are forked from a process that has imported slosh already.

A new Python takes a quarter of a second of CPU until a server is ready, nearly all of it for imports, and the tests
start more than a thousand. `tests/forked.py` is the process that forks; this module asks it.

The rules of this file:

* What is forked is `python -m slosh ...` and `python script.py ...` of this very Python, however it is started: by
  `ProcessGroup`, `subprocess.run`, asyncio. All end in `Popen._execute_child`, the only seam that Python has there.
  Within `forked_tests`, which `make mutations` asks for, also `python -m pytest ...`, from a process that has not
  imported slosh: each run imports the slosh that its PYTHONPATH names, as it is by then.
* It is a child of this process, and has what a new process would have: its words, folder, environment, files, session,
  limits. So signals, exit codes and process groups need no care.
* What a fork cannot follow is started afresh: another LD_PRELOAD, PYTHON... or locale, another user, a function to call
  before. So is everything while coverage is measured, and where the system is not Linux.
* A test that is about the start itself says so by the fixture `fresh`.
"""

import contextlib
import ctypes
import inspect
import os
import pickle
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

import pytest

_PROGRAM: Final = Path(__file__).with_name("forked.py")
_PYTHON: Final = os.fsencode(sys.executable)
_ADOPT: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_OF_THE_START: Final = (b"PYTHON", b"LD_", b"LC_", b"LANG", b"MALLOC_", b"GLIBC_", b"OPENSSL_", b"SSL_")
"""Where the names of variables begin that a process reads when it starts."""
_READ_LATER: Final = frozenset({b"PYTHONUNBUFFERED"})
"""The variables of these names that what is forked obeys all the same."""
_LIMITS: Final = tuple(value for name, value in vars(resource).items() if name.startswith("RLIMIT_"))


class Order(TypedDict):
    """What is to be started.

    Attributes:
        words: the whole command.
        files: the numbers that the files have there which are sent with it, in their order.
        limits: the soft and the hard limit of each resource.
    """

    words: list[bytes]
    folder: bytes
    environment: dict[bytes, bytes]
    files: list[int]
    limits: dict[int, tuple[int, int]]
    umask: int
    session: bool
    group: int


class Forker:
    """The process that forks. It starts with the first command, and ends with the `close` of its user, or with it.

    Args:
        kind: which modules it imports: those of a server, those of the other commands, or those of tests.
        environment: of the process; this one's where none is given.
    """

    def __init__(self, kind: str, environment: Mapping[bytes, bytes] | None = None) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs, fresh_starts():
            words = [sys.executable, str(_PROGRAM), str(theirs.fileno()), kind]
            self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()], env=environment)
        self.environment = dict(os.environb if environment is None else environment)

    def fork(self, order: Order, files: Sequence[int]) -> int:
        """Start it as a child of this process; its number, or 0 where it could not be started."""
        text = pickle.dumps(order)
        socket.send_fds(self._ours, [len(text).to_bytes(8)], files)
        self._ours.sendall(text)
        said = self._ours.recv(8, socket.MSG_WAITALL)
        return int.from_bytes(said) if len(said) == 8 else 0

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def close(self) -> None:
        """End it. What it has forked runs on."""
        self._ours.close()
        self._process.wait()


_forkers: dict[str, Forker] = {}
_testers: dict[bytes, Forker] = {}
"""Those that fork runs of pytest, by their PYTHONPATH."""
_lock: Final = threading.Lock()
_blocks: Final[list[None]] = []
"""One for each block of `fresh_starts` that runs."""
_tests: Final[list[None]] = []
"""One for each block of `forked_tests` that runs."""
_execute: Final = subprocess.Popen._execute_child  # type: ignore[attr-defined]
_signature: Final = inspect.signature(_execute)


@contextlib.contextmanager
def fresh_starts() -> Iterator[None]:
    """Start a new Python for each command of slosh that is started within the block."""
    _blocks.append(None)
    try:
        yield
    finally:
        _blocks.pop()


@contextlib.contextmanager
def forked_tests() -> Iterator[None]:
    """Fork the runs of pytest that are started within the block."""
    former = subprocess.Popen._execute_child  # type: ignore[attr-defined]
    pytest_sessionstart()
    _tests.append(None)
    try:
        yield
    finally:
        _tests.pop()
        subprocess.Popen._execute_child = former  # type: ignore[attr-defined]
        while _testers:
            _testers.popitem()[1].close()


def _words(command: object) -> list[bytes]:
    if isinstance(command, list | tuple) and all(isinstance(word, str | bytes | os.PathLike) for word in command):
        return [os.fsencode(word) for word in command]
    return []


def _of_the_start(environment: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The variables that a process reads when it starts."""
    return {
        name: value for name, value in environment.items() if name.startswith(_OF_THE_START) and name not in _READ_LATER
    }


def _kind(words: list[bytes]) -> str:
    """What the process that forks it has imported; nothing where the command has to be started afresh."""
    if words[:1] == [_PYTHON] and words[1:3] == [b"-m", b"slosh"]:
        return "serve" if words[3:4] in ([b"serve"], [b"check"]) else "others"
    if words[:3] == [_PYTHON, b"-m", b"pytest"] and _tests:
        return "tests"
    if words[:1] == [_PYTHON] and len(words) > 1 and words[1].endswith(b".py"):
        return "others"
    return ""


def _order(words: list[bytes], said: Mapping[str, Any]) -> Order | None:
    """What is to be started, where a fork can do it."""
    usual: dict[str, object] = {
        "executable": None,
        "preexec_fn": None,
        "close_fds": True,
        "shell": False,
        "gid": None,
        "gids": None,
        "uid": None,
        "umask": -1,
        "restore_signals": True,
    }
    if any(said[name] != value for name, value in usual.items()):
        return None
    given = said["env"]
    pairs = os.environb.items() if given is None else ((os.fsencode(k), os.fsencode(v)) for k, v in given.items())
    umask = os.umask(0)
    os.umask(umask)
    return Order(
        words=words,
        folder=os.fsencode(Path(os.fsdecode(said["cwd"] or ".")).absolute()),
        environment=dict(pairs),
        files=[0, 1, 2, *said["pass_fds"]],
        limits={each: resource.getrlimit(each) for each in _LIMITS},
        umask=umask,
        session=bool(said["start_new_session"]),
        group=said["process_group"],
    )


def _forker(kind: str, environment: Mapping[bytes, bytes]) -> Forker:
    """The process that forks commands of a kind; for tests, the one that has their PYTHONPATH."""
    if kind != "tests":
        if kind not in _forkers:
            _forkers[kind] = Forker(kind)
        return _forkers[kind]
    path = environment.get(b"PYTHONPATH", b"")
    if path not in _testers:
        _testers[path] = Forker(kind, environment)
    return _testers[path]


def _fork(said: Mapping[str, Any]) -> int:
    """Fork what is to be started; 0 where it has to be started otherwise."""
    words = _words(said["args"])
    if _blocks or not (kind := _kind(words)) or (order := _order(words, said)) is None:
        return 0
    with _lock:
        forker = _forker(kind, order["environment"])
        if _of_the_start(forker.environment) != _of_the_start(order["environment"]):
            return 0
        three = zip((said["p2cread"], said["c2pwrite"], said["errwrite"]), range(3), strict=True)
        files = [standard if file == -1 else file for file, standard in three]
        prctl: Callable[..., int] = ctypes.CDLL(None).prctl
        prctl(_ADOPT, 1, 0, 0, 0)  # What loses its parent meanwhile becomes a child of this process.
        try:
            return forker.fork(order, [*files, *order["files"][3:]])
        finally:
            prctl(_ADOPT, 0, 0, 0, 0)


def _execute_child(self: subprocess.Popen[Any], *arguments: Any) -> None:
    """Start what a Popen is to start."""
    said = _signature.bind(self, *arguments).arguments
    if pid := _fork(said):
        self.pid = pid
        self._child_created = True  # type: ignore[attr-defined]
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(said[name] for name in pipes))  # type: ignore[attr-defined]
    else:
        _execute(self, *arguments)


# Hooks and a fixture; tests/conftest.py registers this module as a plugin.


@pytest.fixture
def fresh() -> Iterator[None]:
    """Fork nothing in a test that is about the start of a process, or about what it has loaded."""
    with fresh_starts():
        yield


def pytest_sessionstart() -> None:
    """Have commands forked, unless somebody counts the lines that they run."""
    if sys.platform == "linux" and "coverage" not in sys.modules:
        subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """End the processes that fork, before somebody looks for those that are left."""
    subprocess.Popen._execute_child = _execute  # type: ignore[attr-defined]
    for forker in _forkers.values():
        forker.close()
    _forkers.clear()
