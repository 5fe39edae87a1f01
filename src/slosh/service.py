"""The same server as a Twisted service, for .tac files and for `twistd slosh`.

The rules of this file:

* Importing it installs nothing. A .tac calls install_reactor() in its first lines; `twistd slosh` does so by itself.
* slosh runs on asyncio, so the reactor must be the asyncio one. Any other is refused with the way out.
* Ports are bound while twistd still has its privileges (privilegedStartService), and served after it shed them.
* All that can fail at a start fails before the reactor runs, with a NotStarted: by it alone the command that waits for
  a twistd in the background learns that there is none, and the pid file is removed.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, ClassVar, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger, LogLevel
from twisted.python.usage import Options as TwistedOptions

from slosh.descriptors import raise_file_limit
from slosh.errors import SettingError, SloshError, TooFewFiles
from slosh.logs import TextFormatter
from slosh.server import Server
from slosh.settings.row import describe_default, hide_login
from slosh.settings.sources import LoadedSettings, load
from slosh.settings.table import TABLE, Settings
from slosh.signals import Again, handle, stay_up
from slosh.standard_files import hold_standard_descriptors
from slosh.startup import ready_line, spare_collector

log: Final = Logger()

WRONG_REACTOR: Final = (
    "slosh needs Twisted's asyncio reactor, and {found} is installed already. "
    "In a .tac, call slosh.service.install_reactor() before anything imports twisted.internet.reactor; "
    "on the command line, write: twistd --reactor=asyncio slosh"
)


_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class NotStarted(SystemExit, Exception):
    """A service that cannot start, with the sentence that says why and what to do.

    An `Exception`, because only for those twistd removes its pid file, and tells the command that waits for it; for
    any other that command waits for ever. A `SystemExit`, because for anything else there is a traceback.
    """


class Terminal:
    """Standard error as it was when this was made, for a process that goes into the background afterwards.

    Call `close` when the service has started: a program that reads the output of twistd waits for its end.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._copy = -1
        with contextlib.suppress(OSError, AttributeError):  # Closed, or no file.
            self._copy = os.dup(sys.__stderr__.fileno())  # type: ignore[union-attr]  # None is the AttributeError

    def tell(self, sentence: str) -> None:
        """Write a line, in the background alone: in front Python shows what a SystemExit says."""
        if self._copy >= 0 and os.getpid() != self._process:
            with contextlib.suppress(OSError):
                os.write(self._copy, f"{sentence}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """End it. Doing so again is fine."""
        copy, self._copy = self._copy, -1
        if copy >= 0:
            os.close(copy)

    def __del__(self) -> None:
        self.close()


class SloshService(Service):
    """A server that starts and stops with its Twisted parent.

    Args:
        settings: what to serve, and where. make_service() takes keywords instead.
        again: reads the settings again, on SIGHUP; None if there is nothing to read.

    Raises (in privilegedStartService and startService, which the parent calls):
        NotStarted: the address cannot be had, the store cannot be reached, or the reactor is not the asyncio one; the
            sentence says what to do. It is a SystemExit.
    """

    def __init__(self, settings: Settings, again: Again | None = None) -> None:
        self.setName("slosh")  # type: ignore[no-untyped-call]  # Twisted's
        self.settings = settings
        self._again = again or (lambda: settings)
        self.server: Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._bridge = Bridge()
        self._terminal = Terminal()

    @property
    def addresses(self) -> list[str]:
        """Where the server listens, empty before it does; with port 0 this tells the port."""
        return list(self.server.addresses) if self.server else []

    def privilegedStartService(self) -> None:  # noqa: N802 - Twisted's name
        """Bind the listening sockets."""
        with self._refusing():
            require_asyncio_reactor()
            self._bridge.open()
            if self.settings.workers > 1:
                raise SettingError(
                    "workers: twistd runs one process. Start several with ports of their own behind a proxy, or use "
                    "slosh serve --workers."
                )
            if self.settings.takeover:
                raise SettingError("takeover: that is of slosh serve alone. Leave it out under twistd.")
            server = Server(self.settings)
            server.bind()
            self.server = server

    def startService(self) -> None:  # noqa: N802 - Twisted's name
        """Serve: at once if the reactor does not run yet, as under twistd, else as soon as it comes to it."""
        from twisted.internet import reactor  # noqa: PLC0415 - importing it installs one

        if self.server is None:  # the parent started without its privileged half, as a service added later does
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        loop = getattr(reactor, "_asyncioEventloop", None)
        if self.server is not None and loop is not None and not (_methods_of(reactor).running or loop.is_running()):
            with self._refusing():
                self._start_before_reactor(self.server, loop)
        self._terminal.close()
        # callWhenRunning comes just before the asyncio loop runs, callLater just after: start() needs it running.
        _methods_of(reactor).callLater(0, self._start)

    def stopService(self) -> "Deferred[None]":  # noqa: N802 - Twisted's name
        """Drain; the Deferred fires when that is done, so that the reactor stops after it."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        server, self.server = self.server, None
        if server is None or self._starting is None:
            self._bridge.close()
            return succeed(None)
        stopped = Deferred.fromFuture(asyncio.ensure_future(self._stop(server)))
        return stopped.addBoth(self._bridge.close)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Make a NotStarted, told at the terminal, of what says in a sentence why there is no start."""
        try:
            yield
        except (SloshError, SystemExit) as error:
            why = (
                str(error.code) if isinstance(error, SystemExit) else f"slosh cannot start: {hide_login(error.detail)}"
            )
            self._terminal.tell(why)
            self._terminal.close()
            raise NotStarted(why) from error

    def _start_before_reactor(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        """Start `server` on the loop of a reactor that is to run next.

        Raises:
            SloshError: it cannot be started.
            SystemExit: SIGTERM or SIGINT came meanwhile.
        """
        self._starting = starting = loop.create_task(server.start())
        told: list[int] = []

        def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as Python calls it
            told.append(number)  # It may come too late to cancel anything.
            loop.call_soon_threadsafe(starting.cancel)

        # A signal that ended the process on the spot would leave its pid file, and the command that waits for it.
        numbers = _ENDING if threading.current_thread() is threading.main_thread() else ()
        former = {each: signal.signal(each, end) for each in numbers if signal.getsignal(each) is not signal.SIG_IGN}
        try:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(starting)
            if told:
                loop.run_until_complete(server.stop())
                raise SystemExit("slosh was told to end before it had started.")
        except SloshError:
            loop.run_until_complete(server.stop())
            raise
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        if self.server is None:
            return
        if self._starting is not None:  # before the reactor ran
            self._stay_up(self.server)
        else:
            self._starting = asyncio.ensure_future(self._serve(self.server))

    async def _serve(self, server: Server) -> None:
        try:
            await server.start()
        except SloshError as error:
            self._give_up(f"slosh cannot start: {hide_login(error.detail)}")
        except Exception:  # noqa: BLE001 - nothing above this task would show it
            log.failure("slosh cannot start")
            self._give_up("")
        else:
            self._stay_up(server)

    def _stay_up(self, server: Server) -> None:
        """Hear signals, and say where it can be asked."""
        if threading.current_thread() is threading.main_thread():  # signals come to no other
            stay_up(server, self._again)
            handle(signal.SIGQUIT, self._quit)
        log.info("{line}", line=ready_line(self.settings, server.addresses))

    async def _stop(self, server: Server) -> None:
        if self._starting is not None:
            await self._starting
        await server.stop()

    def _quit(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it installs one

        _methods_of(reactor).stop()

    def _give_up(self, why: str) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing it installs one

        if why:
            log.critical("{why}", why=why)
        with contextlib.suppress(ReactorNotRunning):  # A signal may have stopped it meanwhile.
            _methods_of(reactor).stop()


def make_service(**said: Any) -> SloshService:  # noqa: ANN401 - one keyword for each row of the table
    """A service from keywords, as a .tac file writes them.

    `make_service(port=8000, linger="5m").setServiceParent(application)` is all that a .tac needs.
    Settings that are not named come from the environment, slosh.toml and the defaults, as on the command line.

    Raises:
        SystemExit: a setting that cannot be used; the sentence names it and says what to write instead.
    """
    try:
        loaded = load(said, keywords=True)
    except SettingError as error:
        raise SystemExit(f"slosh cannot start: {hide_login(error.detail)}") from error
    _warn(loaded)
    return SloshService(loaded.settings, lambda: load(said, keywords=True).settings)


def _warn(loaded: LoadedSettings) -> None:
    """Log what is worth a word of the settings, and raise the limit on open files.

    Raises:
        SystemExit: it is too low to start.
    """
    try:
        limit = raise_file_limit(loaded.settings)
    except TooFewFiles as error:
        raise SystemExit(f"slosh cannot start: {error.detail}") from error
    for warning in (*loaded.warnings, limit):
        if warning:
            log.warn("{warning}", warning=warning)  # noqa: G010 - Twisted's logger has no other


class Options(TwistedOptions):
    """The command line of `twistd slosh`: the options of `slosh serve`, made from the same table."""

    synopsis = "[options]"
    longdesc = (
        "Serves topics at /topics/<name>, and a folder of files at every other URL. "
        "Times take ms, s, m, h, d (30s, 2m), sizes k, m, g, KiB, MiB, GiB (64k, 8MiB). Every option can also be set "
        "in the environment (SLOSH_PORT) or in slosh.toml."
    )
    optParameters: ClassVar[list[list[str | None]]] = [  # noqa: N815 - Twisted's name
        [row.option.removeprefix("--"), None, None, f"{row.about} [{describe_default(row)}]"] for row in TABLE
    ] + [["config", None, None, "Settings file, TOML [default slosh.toml here, where there is one]"]]

    def postOptions(self) -> None:  # noqa: N802 - Twisted's name
        """Read the settings.

        Raises:
            SystemExit: one cannot be used. A UsageError would show the sentence below a page of help, and older
                twistd (24.7) exits 0 after it.
        """
        said = {row.name: self[row.option.removeprefix("--")] for row in TABLE}
        try:
            self.loaded = load(said, config=self["config"])
            self.again = lambda: load(said, config=self["config"]).settings
        except SettingError as error:
            raise SystemExit(f"slosh cannot start: {hide_login(error.detail)}") from error


def makeService(options: Options) -> SloshService:  # noqa: N802 - the name that twistd asks for
    """The service for `twistd slosh`, on a reactor over uvloop if nobody has chosen one."""
    # Nothing has imported the reactor at this point, unless --reactor or a plugin of somebody else's did.
    if "twisted.internet.reactor" not in sys.modules:
        install_reactor()
    _warn(options.loaded)
    # Here and not in make_service: a .tac may run other services beside slosh, and the collector is theirs too.
    spare_collector()
    return SloshService(options.loaded.settings, options.again)


def install_reactor() -> None:
    """Install Twisted's asyncio reactor on a uvloop loop; on asyncio's own if uvloop is not to be had.

    To be called before anything imports twisted.internet.reactor, so in the first lines of a .tac.

    Raises:
        SystemExit: another reactor is installed already.
    """
    hold_standard_descriptors()
    if "twisted.internet.reactor" in sys.modules:
        require_asyncio_reactor()
        return
    from twisted.internet import asyncioreactor  # noqa: PLC0415 - only who installs it needs it

    try:
        import uvloop  # noqa: PLC0415 - not everywhere
    except ImportError:
        loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)


def require_asyncio_reactor() -> None:
    """Check that the reactor in this process runs on asyncio.

    Raises:
        SystemExit: it does not; the sentence says what to do.
    """
    reactor = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        found = "none (so Twisted would choose its own)"
        raise SystemExit(WRONG_REACTOR.format(found=found))
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor  # noqa: PLC0415 - not needed to import slosh

    if not isinstance(reactor, AsyncioSelectorReactor):
        raise SystemExit(WRONG_REACTOR.format(found=type(reactor).__name__))


def _methods_of(reactor: object) -> Any:  # noqa: ANN401 - zope's interfaces leave out self, which mypy cannot read
    return reactor


class Bridge(logging.Handler):
    """Hands what slosh logs with the standard library to Twisted's log, with its level and traceback."""

    _LEVELS: Final = (
        (logging.CRITICAL, LogLevel.critical),
        (logging.ERROR, LogLevel.error),
        (logging.WARNING, LogLevel.warn),
        (logging.INFO, LogLevel.info),
    )

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter(timed=False, named=False))  # Twisted's log has both
        self._source = logging.getLogger("slosh")
        self._level_before = logging.NOTSET

    def open(self) -> None:
        """Begin; INFO and above, unless the program has set another level for the logger "slosh"."""
        self._level_before = self._source.level
        if self._source.level == logging.NOTSET:
            self._source.setLevel(logging.INFO)
        self._source.addHandler(self)

    def close(self, result: object = None) -> Any:  # noqa: ANN401 - whatever a Deferred carries
        """End, and leave the logger as it was; gives its argument back, as a Deferred's callback does."""
        if self in self._source.handlers:
            self._source.removeHandler(self)
            self._source.setLevel(self._level_before)
        super().close()
        return result

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record on."""
        level = next((ours for theirs, ours in self._LEVELS if record.levelno >= theirs), LogLevel.debug)
        # As a field and never as the format: a message with braces in it stays what it is.
        Logger(namespace=record.name).emit(level, "{text}", text=self.format(record))
