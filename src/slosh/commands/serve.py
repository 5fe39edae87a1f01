"""`slosh serve`: the settings become a server, which runs until a signal.

Exit codes: 0 stopped cleanly; 1 could not start or failed; 2 the command line or a setting is wrong;
128 + the signal's number when a second signal cut the drain short.
"""

import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final

import click

from slosh.commands.teaching import FILE, SettingsCommand
from slosh.errors import CannotListen, SettingError, SloshError
from slosh.logs import event, write_logs
from slosh.settings.row import SWITCH, Group, Setting, describe_default, hide_login
from slosh.settings.sources import load
from slosh.settings.table import TABLE, Settings
from slosh.startup import loop_factory
from slosh.supervisor import READY, STOPPING, keep_watchdog, notify
from slosh.version import __version__

if TYPE_CHECKING:
    import socket

    from slosh.private_store import PrivateStore
    from slosh.server import Server
    from slosh.signals import Again
    from slosh.takeover import Handover, Predecessor

log: Final = logging.getLogger("slosh.serve")

EXIT_NOT_STARTED: Final = 1
EXIT_SETTING: Final = 2

EXAMPLES: Final = (
    ("slosh serve", "on http://127.0.0.1:8000, with the example pages"),
    ("slosh serve --host 0.0.0.0", "for other machines too; needs [access] in slosh.toml"),
    ("slosh serve --root site --host 0.0.0.0 --open", "your own pages; everybody may read and publish all"),
    ("slosh serve --port 0", "on a free port; the ready line says which"),
    ("slosh serve --queue 1000 --linger 5m", "topics keep more, and stay active for longer"),
    ("slosh serve --uds /run/slosh.sock --max-wait 50s", "behind nginx"),
    ("SLOSH_PORT=9000 slosh serve", "a setting from the environment"),
    ("slosh serve --workers 4", "four processes on one port"),
)


class Refused(click.ClickException):
    """An error that a person can mend, shown as one sentence and never as a traceback."""

    def __init__(self, error: SloshError, advice: str = "") -> None:
        super().__init__(hide_login(f"{error.detail}\n{advice}" if advice else error.detail))
        self.exit_code = EXIT_SETTING if isinstance(error, SettingError) else EXIT_NOT_STARTED  # type: ignore[misc]  # click reads it from the instance


class ServeCommand(SettingsCommand):
    """`slosh serve`, whose help is grouped as the table of settings is."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the headings of their groups, and the examples after them."""
        rows = {row.name: row for row in TABLE}
        for group in Group:
            lines = [
                record
                for param in self.get_params(ctx)
                if param.name in rows and rows[param.name].group is group and (record := param.get_help_record(ctx))
            ]
            with formatter.section(group.value):
                formatter.write_dl(lines)
        others = [param.get_help_record(ctx) for param in self.get_params(ctx) if param.name not in rows]
        with formatter.section("Other options"):
            formatter.write_dl([record for record in others if record])
        with formatter.section("Times and sizes"):
            formatter.write_text(
                "A time is a number of seconds, or a number with ms, s, m, h or d: 500ms, 30s, 2m. "
                "A size is a number of bytes, or a number with k, m, g or KiB, MiB, GiB (1024) or kB, MB, GB (1000): "
                "64k, 8MiB."
            )
        with formatter.section("Examples"):
            formatter.write_dl(EXAMPLES)


def option_of(row: Setting) -> click.Option:
    """The command line's option for a setting. It takes text; sources.py reads it, as for every other source."""
    about = f"{row.about}  [{describe_default(row)}]"
    metavar = "|".join(row.choices) or row.kind.value.upper()
    if row.is_switch:  # --open alone is --open on
        return click.Option(
            [row.option], metavar=metavar, help=about, default=None, is_flag=False, flag_value=SWITCH[0]
        )
    return click.Option([row.option], metavar=metavar, help=about, default=None)


@click.command(cls=ServeCommand, params=[option_of(row) for row in TABLE])
@click.option("--config", type=FILE, help="Settings file, TOML.  [default: slosh.toml here, where there is one]")
def serve(config: str | None, **said: Any) -> None:  # noqa: ANN401 - one keyword for each row of the table
    """Serve topics at /topics/<name>, and a folder of files at every other URL.

    Every option is also an environment variable (--max-body is SLOSH_MAX_BODY) and a line in slosh.toml
    (max_body = "16MiB"). The command line wins over the environment, the environment over slosh.toml.
    """
    from slosh.descriptors import raise_file_limit

    try:
        loaded = load(said, config=config)
    except SloshError as error:
        raise Refused(error) from error
    write_logs(sys.stderr, loaded.settings.log_format, loaded.settings.log_level)
    try:
        limit = raise_file_limit(loaded.settings)
    except SloshError as error:
        raise Refused(error) from error
    for warning in (*loaded.warnings, limit):
        if warning:
            log.warning("%s", warning, extra=event("warning"))
    sys.exit(run(loaded.settings, lambda: load(said, config=config).settings))


def run(settings: Settings, again: "Again") -> int:
    """Serve until a signal; return the exit code.

    Args:
        again: reads the settings again, on SIGHUP.

    Raises:
        Refused: the server could not start.
    """
    if settings.workers > 1:
        return run_workers(settings, again)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings, again))


def run_workers(settings: Settings, again: "Again") -> int:
    """The same with several processes on one port.

    Raises:
        Refused: the addresses could not be had, or no store that they share.
    """
    from slosh.private_store import PrivateStore

    try:
        check_system(settings)
        if settings.engine != "memory":
            return _run_workers(settings, again, None)
        store = PrivateStore(settings)
    except SloshError as error:
        raise Refused(error) from error

    def with_store(settings: Settings) -> Settings:
        return replace(settings, engine=store.address) if settings.engine == "memory" else settings

    try:
        return _run_workers(with_store(settings), lambda: with_store(again()), store)
    finally:
        store.remove()


def check_system(settings: Settings) -> None:
    """Check that this system can have as many processes as the settings ask for.

    Raises:
        SettingError: it cannot.
    """
    if settings.workers > 1 and not hasattr(os, "fork"):
        raise SettingError("workers: this system cannot have several processes on one port; start several servers.")


def _run_workers(settings: Settings, again: "Again", store: "PrivateStore | None") -> int:
    from slosh.listening import describe, listen_for_workers, release
    from slosh.workers import Workers

    try:
        places = listen_for_workers(settings, alone=store is not None)
    except SloshError as error:
        raise Refused(error, advice_for(settings, error)) from error
    addresses = [describe(each, has_tls=bool(settings.tls_cert)) for each in places[0]]

    def serve(sockets: "list[socket.socket]", ready: Callable[[], None]) -> int:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            try:
                return runner.run(_work(settings, again, sockets, ready, workers.life))
            except Refused as refused:
                refused.show()
                return refused.exit_code

    workers = Workers(places, serve, lambda: _say_ready(settings, addresses), lambda: _say_stopping(settings), store)
    try:
        code = workers.run()
    finally:
        release([each for place in places for each in place], settings)
    if not code:
        log.info("stopped", extra=event("stopped"))
    return code


async def _serve(settings: Settings, again: "Again") -> int:
    """One server in one process, from its start to its end. Returns the exit code."""
    from slosh.signals import ENDING, handle, stay_up

    server, predecessor = await _take_place(settings)
    await _start(server, predecessor)
    handover = _hear_successors(server, predecessor)
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in ENDING:
        handle(number, partial(signals.put_nowait, number))
    stay_up(server, again)
    # The process that systemd watches from now on, if both are of one unit.
    _say_ready(settings, server.addresses, *([f"MAINPID={os.getpid()}"] if predecessor is not None else []))
    keep_watchdog(asyncio.get_running_loop())
    await _until_stopped(signals, handover)
    if handover is not None and handover.done.is_set():
        log.info(
            "another server has taken over; stopping within %g seconds",
            settings.drain,
            extra=event("taken_over", drain=settings.drain),
        )
    else:
        _say_stopping(settings)
    if handover is not None:
        handover.close()
    return await _shut_down(server, signals)


async def _take_place(settings: Settings) -> "tuple[Server, Predecessor | None]":
    """A server that has its listening sockets, and the one that it has them from, if there is one.

    Raises:
        Refused: a setting is wrong, or an address cannot be had.
    """
    from slosh.server import Server

    predecessor = None
    try:
        server = Server(settings)
        if settings.takeover:
            predecessor = await _find_predecessor(server)
        if predecessor is None:
            server.bind()
    except SloshError as error:
        raise Refused(error, advice_for(settings, error)) from error
    return server, predecessor


def _hear_successors(server: "Server", predecessor: "Predecessor | None") -> "Handover | None":
    """What hands over to the next server, if the settings name a path for that.

    Raises:
        Refused: the path cannot be had.
    """
    from slosh.takeover import Handover

    path = server.settings.takeover
    if not path:
        return None
    try:
        return Handover(server, path, predecessor.listener if predecessor is not None else None)
    except SloshError as error:
        raise Refused(error) from error


async def _shut_down(server: "Server", signals: "asyncio.Queue[int]") -> int:
    """Stop `server`, unless another signal comes meanwhile. Returns the exit code."""
    stopping = asyncio.ensure_future(server.stop())
    second = asyncio.ensure_future(signals.get())
    await asyncio.wait({stopping, second}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done():
        second.cancel()
        stopping.result()
        log.info("stopped", extra=event("stopped"))
        return 0
    stopping.cancel()
    return 128 + second.result()


async def _find_predecessor(server: "Server") -> "Predecessor | None":
    """The server that runs and hands over to `server`, which has its sockets then; None if there is none.

    Raises:
        CannotListen, SettingError: it cannot be taken over.
    """
    from slosh.takeover import find_predecessor

    predecessor = await find_predecessor(server.settings.takeover)
    if predecessor is not None:
        server.take_over(predecessor.sockets)
    return predecessor


async def _until_stopped(signals: "asyncio.Queue[int]", handover: "Handover | None") -> None:
    """Wait for a signal, or for a successor that serves."""
    signal = asyncio.ensure_future(signals.get())
    if handover is None:
        await signal
        return
    done = asyncio.ensure_future(handover.done.wait())
    await asyncio.wait({signal, done}, return_when=asyncio.FIRST_COMPLETED)
    signal.cancel()
    done.cancel()


async def _work(
    settings: Settings, again: "Again", sockets: "list[socket.socket]", ready: Callable[[], None], life: int
) -> int:
    """What one of several workers does."""
    from slosh.server import Server
    from slosh.signals import handle, stay_up
    from slosh.workers import when_parent_goes

    try:
        server = Server(settings)
    except SloshError as error:
        raise Refused(error) from error
    server.use(sockets)
    await _start(server)
    stop = asyncio.Event()
    handle(signal.SIGTERM, stop.set)
    stay_up(server, again)
    when_parent_goes(life, stop.set)
    ready()
    await stop.wait()
    await server.stop()
    return 0


async def _start(server: "Server", predecessor: "Predecessor | None" = None) -> None:
    from slosh.startup import spare_collector
    from slosh.takeover import HandoverBroken

    try:
        await server.start(accepting=predecessor is None)
        spare_collector()
        if predecessor is not None:
            await predecessor.take_topics(server)
            await server.accept()
    except SloshError as error:
        raise Refused(error) from error
    except HandoverBroken as error:
        refusal = CannotListen(f"takeover: the server that runs has not handed over: {error}. It goes on if it can.")
        raise Refused(refusal) from error


def _say_ready(settings: Settings, addresses: list[str], *facts: str) -> None:
    from slosh.startup import first_hint, ready_line

    say(ready_line(settings, addresses), sys.stdout)
    notify(READY, f"STATUS=serving on {', '.join(addresses)}", *facts)
    log.log(
        logging.INFO if settings.log_format == "json" else logging.DEBUG,  # else the ready line says it
        "slosh %s serves on %s",
        __version__,
        ", ".join(addresses),
        extra=event("started", version=__version__, addresses=addresses, workers=settings.workers, pid=os.getpid()),
    )
    if not settings.root and settings.log_format == "text":
        say(first_hint(settings, addresses), sys.stderr)


def _say_stopping(settings: Settings) -> None:
    notify(STOPPING)
    log.info(
        "stopping within %g seconds; once more quits at once",
        settings.drain,
        extra=event("stopping", drain=settings.drain),
    )


def advice_for(settings: Settings, error: SloshError) -> str:
    """What to type instead when a TCP port could not be had; empty when it was something else."""
    if not error.detail.startswith(f"{settings.host}:{settings.port} ") or "is no address" in error.detail:
        return ""
    free = settings.port + 1 if settings.port < 65_535 else 0
    if os.environ.get("MAKE_RUN"):  # the Makefile says so
        return f"Try another port: make run PORT={free}"
    return f"Try another port: slosh serve --port {free}   (0: any free one)"


def say(text: str, stream: IO[str]) -> None:
    """Print a line at once, with its addresses in bold on a terminal (NO_COLOR and TERM=dumb are obeyed)."""
    if stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        text = " ".join(
            click.style(word, bold=True) if word.startswith(("http://", "https://", "unix:")) else word
            for word in text.split(" ")
        )
    # A reader that closed our output does not want to read it; the server serves all the same.
    try:
        print(text, file=stream, flush=True)  # this is the place that prints
    except ValueError:
        pass
    except OSError as error:
        if error.errno in (errno.EBADF, errno.EPIPE):  # What is left in its buffer would fail again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
