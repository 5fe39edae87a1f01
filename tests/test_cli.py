"""`slosh serve` as a person meets it: the ready line, the hint, signals, exit codes, and never a traceback."""

import os
import pty
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup, run_group
from slosh import __version__
from slosh.cli import main
from slosh.compiled import describe_version
from slosh.settings.row import Group
from slosh.settings.table import TABLE
from tests.cases import each_of
from tests.conftest import need
from tests.running import (
    PATIENCE,
    SLOSH,
    Running,
    clean_environment,
    get,
    hear_from,
    hold_poll,
    hold_publisher,
    rest_of,
    without_uvloop,
)

READY = r"^slosh (\S+) is ready on (http://127\.0\.0\.1:(\d+)), serving (\S+) \((?:compiled|plain Python; .*)\)$"


@pytest.fixture(autouse=True)
def new_python(request: pytest.FixtureRequest) -> None:
    """Start a new Python for each command, but for many mistakes, which are told long after the start."""
    if not request.node.name.startswith(MISTAKES):
        request.getfixturevalue("fresh")


MISTAKES = (
    "test_what_cannot_be_used_is_exit_2_in_one_sentence",
    "test_an_address_in_the_wrong_place_is_refused_without_its_password",
)


def slosh(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of the command that ends by itself."""
    return run_group([*SLOSH, *words], cwd=cwd, env=clean_environment(**environment))


@pytest.mark.parametrize("words", [("--version",), ("version",)])
def test_the_version_is_told(words: tuple[str, ...], tmp_path: Path) -> None:
    done = slosh(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"slosh {describe_version()}\n")


def test_help_names_every_setting_with_its_default_under_its_group(tmp_path: Path) -> None:
    done = slosh("serve", "--help", cwd=tmp_path)
    assert done.returncode == 0
    for group in Group:
        assert f"{group.value}:" in done.stdout
    for row in TABLE:
        assert f"{row.option} " in done.stdout
    assert "[default 30s; 0:" in done.stdout
    assert "slosh serve --port 0" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 110


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "slosh"
    if not script.exists():
        pytest.skip("slosh is not installed here, only importable")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout == f"slosh {describe_version()}\n"


def test_what_a_command_needs_is_imported_in_that_command() -> None:
    """So `slosh --version` is quick: of slosh it loads a handful, and of Python what click does."""
    probe = """
import sys, click, click.shell_completion
before = set(sys.modules)
import slosh.cli
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert len(loaded) < 15, loaded
    assert not {"asyncio", "httpx2", "msgspec", "slosh.client", "slosh.settings", "ssl"} & set(loaded)


@pytest.mark.cpu
@pytest.mark.parametrize("word", ["--version", "--help"])
def test_the_version_and_the_help_cost_little_beside_the_library_that_reads_commands(word: str) -> None:
    """Some 80 ms of CPU each. By turns: a machine may be slow for seconds, and then both are."""
    beside = [sys.executable, "-c", "import click, click.shell_completion"]

    def cost(command: Sequence[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    took, least = [], []
    for _ in range(10):
        took.append(cost([*SLOSH, word]))
        least.append(cost(beside))
        if min(took) < 2 * min(least):
            break
    assert min(took) < 2 * min(least), (took, least)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_on_a_free_port_says_which_and_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with Running([*SLOSH, "serve", "--port", "0"], tmp_path) as server:
        ready = server.hear(READY)
        assert ready[1] == __version__
        assert ready[4] == "example/"
        assert get(f"{ready[2]}/")
        server.tell(number)
        assert server.end() == 0
        assert "Traceback" not in server.output


def test_a_held_reader_is_answered_before_the_end(tmp_path: Path) -> None:
    with Running([*SLOSH, "serve", "--port", "0", "--drain", "500ms"], tmp_path) as server:
        with hold_poll(server.hear(READY)[2]) as reader:
            server.tell(signal.SIGTERM)
            answer = rest_of(reader)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"timeout":true' in answer
        assert server.end() == 0


def test_without_uvloop_it_serves_on_plain_asyncio(tmp_path: Path) -> None:
    with Running([*without_uvloop("slosh"), "serve", "--port", "0"], tmp_path) as server:
        assert get(server.hear(READY)[2] + "/")
        assert "uvloop" not in Path(f"/proc/{server.process.pid}/maps").read_text()
        server.tell(signal.SIGTERM)
        assert server.end() == 0


def test_the_ready_line_is_all_that_stdout_gets(tmp_path: Path) -> None:
    """A program that starts slosh reads one line; the hint and the log go to stderr, and a pipe gets no colours."""
    with ProcessGroup[str](
        [*SLOSH, "serve", "--port", "0"],
        cwd=tmp_path,
        env=clean_environment(NO_COLOR=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            server.send_signal(signal.SIGTERM)
            rest, others = server.communicate(timeout=PATIENCE)
        finally:
            server.kill()
    assert line.startswith("slosh ")
    assert rest == ""
    assert 'curl -d \'{"hello":"world"}\' http://127.0.0.1:' in others
    assert "\x1b" not in line + others


def test_with_pages_of_ones_own_the_first_hint_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    with Running([*SLOSH, "serve", "--port", "0", "--root", "site"], tmp_path) as server:
        assert server.hear(READY)[4] == "site/"
        server.tell(signal.SIGTERM)
        assert server.end() == 0
        assert "curl" not in server.output


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    with Running([*SLOSH, "serve", "--uds", "s.sock"], tmp_path) as server:
        server.hear(r"is ready on unix:\S*s\.sock, serving no files")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(tmp_path / "s.sock"))
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            hear_from(client, b"HTTP/1.1 200 ")
        server.tell(signal.SIGTERM)
        assert server.end() == 0


def test_it_serves_a_listening_socket_that_it_was_handed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        with ProcessGroup[str](
            [*SLOSH, "serve", "--fd", str(listener.fileno())],
            cwd=tmp_path,
            env=clean_environment(),
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server:
            try:
                assert server.stdout is not None
                assert f":{listener.getsockname()[1]}" in server.stdout.readline()
                server.send_signal(signal.SIGTERM)
                assert server.wait(PATIENCE) == 0
            finally:
                server.kill()


def test_it_serves_the_sockets_that_systemd_hands_over(tmp_path: Path) -> None:
    """Systemd's own program listens on two, and starts the server when somebody comes."""
    program = need("systemd-socket-activate")
    port = free_port()
    keep = ("-E", "PYTHONPATH") if "PYTHONPATH" in os.environ else ()  # else it clears the environment
    command = [program, *keep, "-l", str(tmp_path / "s.sock"), "-l", f"127.0.0.1:{port}", *SLOSH, "serve"]
    with Running(command, tmp_path) as server:
        server.hear("Listening on 127")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            server.hear(rf"is ready on unix:\S*s\.sock and http://127\.0\.0\.1:{port}, serving")
            client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            hear_from(client, b"HTTP/1.1 200 ")
        server.tell(signal.SIGTERM)
        assert server.end() == 0
    assert (tmp_path / "s.sock").exists(), "it is systemd's"


def test_a_port_in_use_is_exit_1_and_says_what_to_type_instead(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = slosh("serve", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(port) in done.stderr
    assert "slosh serve --port " in done.stderr
    assert "Traceback" not in done.stderr


@each_of(
    ("words", "environment", "sentence"),
    [
        (("serve", "--linger", "soon"), {}, "--linger='soon': is not a time; write seconds"),
        (("serve", "--max-message", "9m"), {}, "may not be larger than max_body"),
        (("serve", "--prot", "1"), {}, "--port"),
        (("serve", "--root", "nowhere"), {}, "--root='nowhere': is not a folder"),
        (("serve", "--config", "no.toml"), {}, "no.toml cannot be read"),
        (("serve",), {"SLOSH_QUEUE": "0"}, "SLOSH_QUEUE='0': is out of bounds; queue goes from 1 to 1000000"),
        (("serve", "more"), {}, "unexpected extra argument"),
        (("server",), {}, "No such command"),
    ],
)
def test_what_cannot_be_used_is_exit_2_in_one_sentence(
    words: tuple[str, ...], environment: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    done = slosh(*words, cwd=tmp_path, **environment)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_name_in_the_environment_is_a_warning(tmp_path: Path) -> None:
    with Running([*SLOSH, "serve", "--port", "0"], tmp_path, clean_environment(SLOSH_QEUE="3")) as server:
        server.hear("WARNING: SLOSH_QEUE in the environment is no setting of slosh. Did you mean SLOSH_QUEUE?")
        server.hear(READY)
        server.tell(signal.SIGTERM)
        assert server.end() == 0


def test_a_second_signal_quits_at_once_with_its_own_exit_code(tmp_path: Path) -> None:
    """A held reader keeps the first stop waiting for up to `drain`; the second signal does not wait for it."""
    with (
        Running([*SLOSH, "serve", "--port", "0", "--drain", "1h"], tmp_path) as server,
        hold_publisher(server.hear(READY)[2]),
    ):
        server.tell(signal.SIGTERM)
        server.hear("once more quits at once")
        server.tell(signal.SIGINT)
        assert server.end() == 128 + signal.SIGINT


def test_the_addresses_are_bold_on_a_terminal_unless_no_color_is_set(tmp_path: Path) -> None:
    for environment, bold in (({"TERM": "xterm", "NO_COLOR": ""}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        assert ("\x1b[1m" in first_line_on_a_terminal(tmp_path, environment)) is bold


def first_line_on_a_terminal(cwd: Path, environment: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    with ProcessGroup[str](
        [*SLOSH, "serve", "--port", "0"],
        cwd=cwd,
        env=clean_environment(**environment),
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(theirs)
        try:
            with os.fdopen(ours, "r", encoding="utf-8") as terminal:
                line = terminal.readline()
                server.send_signal(signal.SIGTERM)
                assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
    return line


@each_of(
    "words",
    [
        ["serve", "redis://:hunter2@h"],
        ["redis://:hunter2@h"],
        ["--redis://:hunter2@h"],
        ["serve", "--redis://:hunter2@h"],
        ["serve", "--engine", "redis://:my", "hunter2@h"],
        ["serve", "--engine", "redis://:12?hunter2@h"],
        ["serve", "--config", "redis://:hunter2@h"],
        ["serve", "--host", "redis://:p@hunter2@h"],
        ["serve", "--uds", "redis://:p@hunter2@h/no/such/folder"],
        ["version", "redis://:hunter2@h"],
    ],
)
def test_an_address_in_the_wrong_place_is_refused_without_its_password(words: list[str], tmp_path: Path) -> None:
    """Shells cut a password with a space or an & into words, and hands slip."""
    ended = slosh(*words, cwd=tmp_path)
    assert ended.returncode in (1, 2)
    assert "Error: " in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_serving_spares_the_garbage_collector(tmp_path: Path) -> None:
    """In a process of its own, for it holds for the whole process."""
    script = """
import asyncio, gc
from slosh.commands.serve import _start
class Server:
    async def start(self, *, accepting):
        assert accepting
asyncio.run(_start(Server()))
print(gc.get_freeze_count() > 0)
"""
    assert run_group([sys.executable, "-c", script], cwd=tmp_path, check=True).stdout == "True\n"


def test_alone_it_tells_its_commands_and_one_that_is_misspelt_the_one_that_is_near() -> None:
    alone = CliRunner().invoke(main, [])
    assert (alone.exit_code, alone.output) == (0, CliRunner().invoke(main, ["--help"]).output)
    assert CliRunner().invoke(main, ["serv"]).stderr.endswith("No such command 'serv'. Did you mean 'serve'?\n")
    assert "Did you mean" not in CliRunner().invoke(main, ["xyzzy"]).stderr
