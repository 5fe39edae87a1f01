"""slosh under real twistd: in front, in the background, with another service beside it, and through the plugin."""

import asyncio
import contextlib
import logging
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from benchmarks.ports import free_port
from slosh.service import Bridge, SloshService, make_service
from slosh.settings import Settings
from tests.conftest import need
from tests.properties import QUICK
from tests.running import PATIENCE, Running, clean_environment, get, hear_from, hold_poll, rest_of, without_uvloop
from tests.stores.server import Store, until

if TYPE_CHECKING:
    from slosh.server import Server

# The script `twistd` as a module, so that it is the one of this Python whatever the PATH says.
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
SAMPLE = Path(__file__).parent.parent / "slosh.tac.sample"
READY = r"slosh \S+ is ready on (http://127\.0\.0\.1:\d+), serving (\S+)"


def tac(folder: Path, *, more: str = "", **values: object) -> Path:
    """The sample with the named values at its top changed, as a person does, and lines added at its end."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    for name, value in ({"PORT": 0} | values).items():
        (place,) = (at for at, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[place] = f"{name} = {value!r}"
    file = folder / "slosh.tac"
    file.write_text("\n".join(lines) + "\n" + more, encoding="utf-8")
    return file


def stopped_by(number: signal.Signals) -> int:
    """How twistd ends after it shut down cleanly: by the signal itself, so that its parent sees what stopped it."""
    return -number


@contextmanager
def in_background(folder: Path, *words: str) -> Iterator[int]:
    """Twistd as a daemon: the process number it wrote down; whatever happens it is gone at the end."""
    done = subprocess.run(
        [*TWISTD, *words],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    number = int((folder / "twistd.pid").read_text())  # written before the command returns
    try:
        yield number
    finally:
        if alive(number):
            os.kill(number, signal.SIGKILL)


def stop(number: int) -> None:
    """Tell a process, which need not be a child of ours, to end, and wait for that: its descriptor can be read then."""
    descriptor = os.pidfd_open(number)  # before it is told: it may be gone at once
    try:
        os.kill(number, signal.SIGTERM)
        ended, _, _ = select.select([descriptor], [], [], PATIENCE)
    finally:
        os.close(descriptor)
    assert ended, "it did not end"


def hear_address(folder: Path) -> str:
    """The address that the log of a daemon says, as soon as it is there."""
    with Running([need("tail"), "-n", "+1", "-F", "twistd.log"], folder) as log:
        return log.hear(" is ready on ([^,]+),")[1]


def alive(number: int) -> bool:
    """Whether the process is there and is no zombie that waits for its parent."""
    try:
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    except FileNotFoundError:
        return False


def log_of(folder: Path) -> str:
    file = folder / "twistd.log"
    return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sample_serves_in_the_foreground_on_uvloop_and_stops_cleanly(
    number: signal.Signals, tmp_path: Path
) -> None:
    tac(tmp_path, more="import asyncio\nprint('the loop is', type(asyncio.get_event_loop()))\n")
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
        server.hear("the loop is .*uvloop")
        ready = server.hear(READY)
        assert ready[2] == "example/"
        assert get(ready[1] + "/")
        server.tell(number)
        server.hear("Server Shut Down")
        assert server.end() == stopped_by(number)
        assert "Traceback" not in server.output


def test_the_values_at_the_top_of_the_sample_are_obeyed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("our own page")
    port = free_port()
    tac(
        tmp_path,
        PORT=port,
        ROOT="site",
        LINGER="2m",
        QUEUE=7,
        more="(one,) = application.getComponent(__import__('twisted').application.service.IServiceCollection)\n"
        "print('settings:', one.settings.linger, one.settings.queue)\n",
    )
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
        server.hear("settings: 120.0 7")
        ready = server.hear(READY)
        assert ready[1].endswith(f":{port}")
        assert get(ready[1] + "/") == b"our own page"


def test_in_the_background_it_has_a_pid_file_and_a_log_and_sigterm_stops_it(tmp_path: Path) -> None:
    tac(tmp_path)
    with in_background(tmp_path, "-y", "slosh.tac") as number:
        address = hear_address(tmp_path)
        assert get(address + "/")
        stop(number)
        assert "Server Shut Down" in log_of(tmp_path)
        assert "Traceback" not in log_of(tmp_path)
        assert not (tmp_path / "twistd.pid").exists()


def test_the_reactor_stops_only_after_held_readers_have_their_answer(tmp_path: Path) -> None:
    tac(tmp_path)
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path, clean_environment(SLOSH_DRAIN="500ms")) as server:
        with hold_poll(server.hear(READY)[1]) as reader:
            server.tell(signal.SIGTERM)
            answer = rest_of(reader)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"timeout":true' in answer
        assert server.end() == stopped_by(signal.SIGTERM)
        assert "Traceback" not in server.output


def test_without_uvloop_the_sample_serves_on_plain_asyncio(tmp_path: Path) -> None:
    tac(tmp_path, more="import asyncio\nprint('the loop is', type(asyncio.get_event_loop()))\n")
    (tmp_path / "twistd.py").write_text("from twisted.scripts.twistd import run; run()")
    with Running([*without_uvloop("twistd"), "-ny", "slosh.tac"], tmp_path) as server:
        server.hear("the loop is .*asyncio")
        assert get(server.hear(READY)[1] + "/")
        server.tell(signal.SIGTERM)
        assert server.end() == stopped_by(signal.SIGTERM)


def test_another_twisted_service_stands_in_the_same_tac(tmp_path: Path) -> None:
    """A line server of Twisted's own, in the same process, on the same loop."""
    tac(
        tmp_path,
        more="""
from twisted.application.internet import StreamServerEndpointService
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

class Port(TCP4ServerEndpoint):
    def listen(self, factory):
        return super().listen(factory).addCallback(self.tell)

    def tell(self, port):
        print("echo is on", port.getHost().port)
        return port

endpoint = Port(reactor, 0, interface="127.0.0.1")
StreamServerEndpointService(endpoint, Factory.forProtocol(Echo)).setServiceParent(application)
""",
    )
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
        port = int(server.hear(r"echo is on (\d+)")[1])
        address = server.hear(READY)[1]
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"hello")
            hear_from(client, b"hello")
            assert get(address + "/")
        server.tell(signal.SIGTERM)
        assert server.end() == stopped_by(signal.SIGTERM)
        assert "Traceback" not in server.output


@pytest.fixture
def _plugin() -> None:
    """The plugin must be importable; from a checkout on the path it is, from an installed wheel it is."""
    done = subprocess.run([*TWISTD, "--help"], capture_output=True, text=True, env=clean_environment(), check=False)
    assert "Live topics over plain HTTP" in done.stdout


@pytest.mark.usefixtures("_plugin")
def test_twistd_slosh_serves_on_uvloop_with_options_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("from the plugin")
    with Running([*TWISTD, "-n", "slosh", "--port", "0", "--root", "site", "--linger", "1m"], tmp_path) as server:
        server.hear("reactor class: .*AsyncioSelectorReactor")
        ready = server.hear(READY)
        assert ready[2] == "site/"
        assert get(ready[1] + "/") == b"from the plugin"
        assert "uvloop" in Path(f"/proc/{server.process.pid}/maps").read_text()
        server.tell(signal.SIGTERM)
        assert server.end() == stopped_by(signal.SIGTERM)
        assert "Traceback" not in server.output


@pytest.mark.usefixtures("_plugin")
def test_twistd_slosh_in_the_background(tmp_path: Path) -> None:
    with in_background(tmp_path, "slosh", "--port", "0") as number:
        hear_address(tmp_path)
        stop(number)
        assert "Traceback" not in log_of(tmp_path)


@pytest.mark.usefixtures("_plugin")
def test_twistd_slosh_on_a_reactor_that_was_asked_for(tmp_path: Path) -> None:
    with Running([*TWISTD, "-n", "--reactor=asyncio", "slosh", "--port", "0"], tmp_path) as server:
        address = server.hear(READY)[1]
        assert get(address + "/")
        server.tell(signal.SIGTERM)
        assert server.end() == stopped_by(signal.SIGTERM)


@pytest.mark.usefixtures("_plugin")
def test_another_reactor_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with Running([*TWISTD, "-n", "--reactor=poll", "slosh", "--port", "0"], tmp_path) as server:
        server.hear(
            "slosh needs Twisted's asyncio reactor, and PollReactor is installed already.*--reactor=asyncio slosh"
        )
        assert server.end() == 1
        assert "Traceback" not in server.output


@pytest.mark.usefixtures("_plugin")
def test_twistd_slosh_tells_a_wrong_setting_in_one_sentence_and_exit_1(tmp_path: Path) -> None:
    with Running([*TWISTD, "-n", "slosh", "--linger", "soon"], tmp_path) as server:
        server.hear("^slosh cannot start: --linger='soon': is not a time; write seconds")
        assert server.end() == 1
        assert "Traceback" not in server.output


def test_a_tac_that_installs_no_reactor_is_told_what_to_do(tmp_path: Path) -> None:
    file = tac(tmp_path)
    file.write_text(file.read_text().replace("\ninstall_reactor()\n", "\n"))
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
        server.hear(r"In a \.tac, call slosh\.service\.install_reactor\(\)")
        assert server.end() == 1
        assert "Traceback" not in server.output


def test_a_port_in_use_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        tac(tmp_path, PORT=taken.getsockname()[1])
        with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
            server.hear("slosh cannot start: .*")
            assert server.end() == 1
            assert "Traceback" not in server.output


@pytest.mark.usefixtures("_plugin")
def test_a_start_that_fails_is_told_to_the_command_that_went_into_the_background(tmp_path: Path) -> None:
    """It waited for ever, with the sentence in twistd.log alone, and twistd.pid stayed, also in front."""
    free = ("--port", "0")
    folder = tmp_path / "here"
    folder.mkdir()
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        Store(tmp_path / "store", password="right") as store,
    ):
        port = taken.getsockname()[1]
        tac(folder, PORT=port)
        engine = ("--engine", store.url.replace("right", "wrong"))
        cases = (
            (("slosh", "--port", str(port)), f"slosh cannot start: 127.0.0.1:{port} cannot be listened on: .*free one"),
            (("-y", "slosh.tac"), f"slosh cannot start: 127.0.0.1:{port} cannot be listened on: .*free one"),
            (("slosh", *free, "--host", "0.0.0.0"), "slosh cannot start: .*other machines reach this server.*--open"),
            (("slosh", *free, "--root", "gone"), "slosh cannot start: .*gone"),
            (("slosh", *free, "--linger", "soon"), "slosh cannot start: --linger='soon': is not a time"),
            (("slosh", *free, "--takeover", "t"), "slosh cannot start: takeover: .*Leave it out under twistd"),
            (("slosh", *free, *engine), "slosh cannot start: engine: .* cannot be used"),  # seen after it listens
            (("slosh", "--uds", "x", *engine), "slosh cannot start: engine: .* cannot be used"),
            (
                ("--reactor=poll", "slosh", *free),
                "slosh needs Twisted's asyncio reactor, and .*--reactor=asyncio slosh",
            ),
        )
        for words, sentence in cases[:: 3 if QUICK else 1]:
            for where in ((), ("-n",)) if words[0] == "-y" or engine[1] in words else ((),):
                done = subprocess.run(
                    [*TWISTD, *where, *words],
                    cwd=folder,
                    env=clean_environment(),
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
                told = done.stdout + done.stderr
                assert done.returncode == 1, (where, words, told)
                assert re.search(sentence, told), (where, words, told)
                # Twisted removes the pid file just after the command that waits was told.
                until(
                    lambda: {each.name for each in folder.iterdir()} <= {"slosh.tac", "twistd.log"}, "nothing is left"
                )
                assert "Traceback" not in told + log_of(folder), (where, words, told)


@pytest.mark.parametrize("where", [(), ("-n",)], ids=["background", "front"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_start_leaves_nothing_behind(
    where: tuple[str, ...], number: signal.Signals, tmp_path: Path
) -> None:
    """The command waited for ever for a process that had ended, whose pid file stayed."""
    with socket.create_server(("127.0.0.1", 0)) as store:  # which accepts, and is silent
        engine = f"redis://127.0.0.1:{store.getsockname()[1]}/0"
        with Running([*TWISTD, *where, "slosh", "--port=0", "--engine", engine], tmp_path) as command:
            store.settimeout(PATIENCE)
            silent, _ = store.accept()
            with silent:
                os.kill(int((tmp_path / "twistd.pid").read_text()), number)
                command.hear("slosh was told to end before it had started")
                assert command.end() == 1
        until(lambda: not (tmp_path / "twistd.pid").exists(), "the pid file is gone")
        assert "Traceback" not in command.output + log_of(tmp_path)


class LateSignal:
    """Stands in for a server whose start is over as the signal comes."""

    has_stopped = False

    async def start(self) -> None:
        signal.raise_signal(signal.SIGTERM)

    async def stop(self) -> None:
        self.has_stopped = True


@pytest.mark.parametrize("takes_handlers", [True, False])
def test_a_signal_at_the_end_of_a_start_is_not_lost_on_any_loop(
    takes_handlers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No loop takes handlers on Windows."""
    if not takes_handlers:
        none = asyncio.AbstractEventLoop.add_signal_handler
        monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", none)
    before = signal.getsignal(signal.SIGTERM)
    loop, server = asyncio.SelectorEventLoop(), LateSignal()
    with contextlib.closing(loop), pytest.raises(SystemExit, match="before it had started"):
        SloshService(Settings(root=str(tmp_path)), Settings)._start_before_reactor(cast("Server", server), loop)
    assert server.has_stopped
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_wrong_setting_in_a_tac_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    tac(tmp_path, LINGER="soon")
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
        server.hear("slosh cannot start: linger='soon': is not a time")
        assert server.end() == 1


def test_what_slosh_logs_comes_out_in_the_log_of_twisted_with_its_braces_and_traceback(tmp_path: Path) -> None:
    tac(
        tmp_path,
        more="""
import logging
from twisted.internet import reactor

def speak():
    log = logging.getLogger("slosh.test")
    log.warning("a {strange} %s", "word {0}")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("it went wrong")
    log.debug("a whisper")

reactor.callLater(0, speak)
""",
    )
    with Running([*TWISTD, "-ny", "slosh.tac"], tmp_path) as server:
        server.hear(r"\[slosh\.test#warn\] a \{strange\} word \{0\}")
        server.hear(r"\[slosh\.test#error\] it went wrong")
        server.hear("ZeroDivisionError")
        server.hear(READY)
        server.tell(signal.SIGTERM)
        assert server.end() == stopped_by(signal.SIGTERM)
        assert "whisper" not in server.output


def test_the_bridge_leaves_the_logger_as_it_was() -> None:
    logger = logging.getLogger("slosh")
    before = (logger.level, list(logger.handlers))
    bridge = Bridge()
    bridge.open()
    assert bridge in logger.handlers
    assert logger.isEnabledFor(logging.INFO)
    assert bridge.close("what the Deferred carries") == "what the Deferred carries"
    assert (logger.level, list(logger.handlers)) == before


def test_a_service_that_never_started_stops_at_once() -> None:
    service = make_service(port=0)
    assert service.addresses == []
    assert service.stopService().called


def test_the_sample_is_what_the_package_ships() -> None:
    """The lines that a person edits stand at the top, before any import."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    first_import = next(at for at, line in enumerate(lines) if line.startswith("from "))
    for name in ("PORT", "ROOT", "LINGER", "QUEUE"):
        assert any(line.startswith(f"{name} = ") for line in lines[:first_import])
    assert shutil.which("twistd", path=str(Path(sys.executable).parent))


@pytest.mark.usefixtures("_plugin")
def test_twistd_says_that_a_takeover_is_of_slosh_serve_alone(tmp_path: Path) -> None:
    with Running((*TWISTD, "-n", "slosh", "--takeover", "t", "--port", "0"), tmp_path) as server:
        server.hear("slosh cannot start: takeover: that is of slosh serve alone")
        assert server.end() == 1


@pytest.mark.usefixtures("_plugin")
def test_twistd_refuses_several_workers_with_the_way_out(tmp_path: Path) -> None:
    options = ("--workers", "2", "--engine", "redis://127.0.0.1:1/0", "--port", "0")
    with Running([*TWISTD, "-n", "slosh", *options], tmp_path) as server:
        server.hear("slosh cannot start: workers: twistd runs one process. Start several with ports of their own")
        assert server.end() == 1
        assert "Traceback" not in server.output
