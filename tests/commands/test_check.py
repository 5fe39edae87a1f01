"""`slosh check`: every mistake at once, with nothing started."""

import errno
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from slosh import private_store
from slosh.cli import main
from tests.running import PATIENCE, SLOSH, clean_environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SLOSH_PORT", "SLOSH_URL", "SLOSH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def test_sound_settings_are_told_with_where_they_stand(folder: Path) -> None:
    assert check().output == "All is well. Set: nothing, so all defaults hold.\n"
    (folder / "slosh.toml").write_text('queue = 7\n[topics."gen/**"]\nqueue = 9\n[access]\npublic = {read = ["**"]}\n')
    done = check("--port=0")
    assert (done.exit_code, done.output) == (
        0,
        'All is well. Set: --port, queue in slosh.toml, [topics."gen/**"] in slosh.toml, [access] in slosh.toml.\n',
    )


def test_every_mistake_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slosh.toml").write_text(
        'queu = 7\nlinger = "soon"\nmax_wait = 5\n[topics."gen/**"]\nqueue = -1\nport = 3\n[access]\npublik = {}\n'
    )
    monkeypatch.setenv("SLOSH_PORT", "99999")
    done = check("--max-body=much")
    assert done.exit_code == 2
    for part in (
        "queu in slosh.toml",
        "linger='soon' in slosh.toml",
        "queue=-1 in",
        "port in",
        "publik",
        "SLOSH_PORT",
        "--max-body",
    ):
        assert part in done.output, part
    assert done.output.splitlines()[-1] == "7 mistakes found."


@pytest.mark.usefixtures("folder")
def test_a_value_behind_an_equals_sign_is_one_whatever_it_begins_with() -> None:
    done = check("--view=-1", "--open=-x")
    assert done.exit_code == 2
    for sentence in ("--view='-1': is unknown; write on or off.", "--open='-x': is unknown; write on or off."):
        assert sentence in done.output
    assert check("--view", "--open", "off").output == "All is well. Set: --open, --view.\n"
    assert re.search("No such option:? '?-1", check("--view", "-1").output)  # as each click has it


def test_contradictions_and_what_only_the_server_sees_are_told(folder: Path) -> None:
    assert "uds" in check("--uds=x.sock", "--port=9000").output
    for words in (("--origins=nonsense",), ("--hosts=a/b",), ("--trusted-proxies=x",), ("--engine=redsi://x",)):
        done = check(*words)
        assert done.exit_code == 2, words
        assert "1 mistake found." in done.output


def test_a_place_that_cannot_be_listened_on_is_told(folder: Path) -> None:
    """As far as that shows without listening: a port may be taken meanwhile, and one that is taken may be free then."""
    away = folder / "away"
    for words, told in (
        ((f"--uds={away / 'x.sock'}",), f"uds: {away / 'x.sock'} cannot be listened on: there is no folder {away}."),
        ((f"--takeover={away / 't'}",), f"takeover: {away / 't'} cannot be listened on: there is no folder {away}."),
        (("--host=10MiB/s",), "host: 10MiB/s is no address of this machine"),
        (("--host=nosuch.invalid",), "host: nosuch.invalid is no address of this machine"),
        (("--host=192.0.2.1",), "192.0.2.1 is no address of this machine"),  # RFC 5737: of no machine
    ):
        done = check(*words)
        assert (done.exit_code, done.output.splitlines()[-1]) == (2, "1 mistake found."), done.output
        assert told in done.output
    both = check("--host=nosuch.invalid", f"--takeover={away / 't'}")
    assert both.output.splitlines()[-1] == "2 mistakes found."
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for word in (f"--uds={folder / 'x.sock'}", "--host=::", f"--port={taken.getsockname()[1]}"):
            assert check(word, "--open").exit_code == 0, word
    assert not list(folder.iterdir())


def test_what_serve_refuses_by_its_settings_check_refuses_with_the_same_sentence(folder: Path) -> None:
    """It said that all was well of `--host 0.0.0.0` without rules, and of a socket at the path of a file."""
    (folder / "file").write_text("")
    (folder / "rules.toml").write_text('[access]\npublic = {read = ["**"]}\n')
    (folder / "clients.toml").write_text('[[access.clients]]\nname = "x"\nread = ["**"]\n')
    long = str(folder / ("x" * 120))
    cases: tuple[tuple[tuple[str, ...], str], ...] = (
        (("--host=0.0.0.0",), "http://0.0.0.0:.* other machines reach this server"),
        (("--host=::",), "http://0.0.0.0:.* other machines reach this server"),
        (("--host=0.0.0.0", "--workers=2", f"--engine=unix://{folder}/none"), "other machines reach this server"),
        ((f"--uds={folder / 'file'}",), "uds: .*file is there already and is no socket"),
        ((f"--uds={folder}",), "uds: .* is there already and is no socket"),
        ((f"--uds={folder / 'file' / 'x'}",), "uds: .*x cannot be listened on: there is no folder .*file"),
        ((f"--uds={folder / 'away' / 'x'}",), "uds: .*x cannot be listened on: there is no folder .*away"),
        ((f"--uds={long}",), "is too long for a socket's path"),
        ((f"--takeover={long}",), "is too long for a socket's path"),
        ((f"--takeover={folder / 'file'}",), "takeover: .*file is there already and is no socket"),
        ((f"--takeover={folder / 's'}", f"--uds={folder / 's'}"), "are one path, and each needs a socket of its own"),
        ((f"--takeover={folder / 's'}", "--workers=2"), "takeover .* is for one process"),
        (("--host=nosuch.invalid",), "nosuch.invalid is no address of this machine"),
        (("--host=192.0.2.1",), "192.0.2.1 is no address of this machine"),
        (("--root=gone",), "gone"),
        (("--engine=redsi://x",), "engine"),
        (("--tls-cert=file",), "file"),
        (("--config=clients.toml",), r"\[\[access.clients\]\] names clients by their certificates"),
        (("--origins=nonsense",), "origins: nonsense is no origin"),
        (("--hosts=a/b",), "hosts: "),
        (("--trusted-proxies=x",), "trusted_proxies: x is no address"),
    )
    for words, sentence in cases:
        tried = subprocess.run(
            [*SLOSH, "serve", *(() if any("uds" in word for word in words) else ("--port=0",)), *words],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert tried.returncode in (1, 2), (words, tried.stderr)
        done = check(*words)
        assert done.exit_code == 2, (words, done.output)
        for told in (tried.stderr, done.output):
            assert re.search(sentence, told), (words, told)
            assert "Traceback" not in told
        assert done.output.splitlines()[-1] == "1 mistake found.", (words, done.output)
    for word in ("--open", "--config=rules.toml"):
        assert check("--host=0.0.0.0", word).exit_code == 0, word
    assert {each.name for each in folder.iterdir()} == {"file", "rules.toml", "clients.toml"}


def test_a_port_that_this_user_may_not_have_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said that all was well of port 80, which serve was refused. One that somebody listens on may be free later."""
    bind = socket.socket.bind

    def bind_as_no_root(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and 0 < address[1] < 1024:
            raise OSError(errno.EACCES if address[1] == 80 else errno.EADDRINUSE, "no")
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", bind_as_no_root)
    done = check("--port=80")
    assert (done.exit_code, done.output.splitlines()[-1]) == (2, "1 mistake found."), done.output
    assert "127.0.0.1:80 may not be listened on by this user. Ports below 1024 need rights" in done.output
    assert check("--port=443").exit_code == check("--port=8080").exit_code == 0
    assert not list(folder.iterdir())


def test_a_socket_that_was_opened_for_the_server_needs_rules_too() -> None:
    for host, code in (("0.0.0.0", 2), ("127.0.0.1", 0)):
        with socket.create_server((host, 0)) as given:
            done = check(f"--fd={given.fileno()}")
            assert done.exit_code == code, done.output
            assert ("other machines reach this server" in done.output) == bool(code)
            assert check(f"--fd={given.fileno()}", "--open").exit_code == 0
            assert given.getsockname()  # which is as it was
    assert check("--fd=99").exit_code == 0  # it may be opened by the time that a server starts


def test_the_limit_on_open_files_is_told_as_serve_tells_it(folder: Path) -> None:
    """It is raised as far as the system lets: a low soft limit hinders no start, and a low hard one is warned of."""
    for limit, code, told in (
        ("-S -n 24", 0, "All is well"),
        ("-n 100", 0, "Warning: this process may open 100 files"),
        ("-n 24", 2, "The system lets this process open 24 files"),
    ):
        command = f'ulimit {limit}; exec "$@"'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *SLOSH, "check"],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, told in done.stdout + done.stderr) == (code, True), (limit, done.stdout + done.stderr)


@pytest.mark.usefixtures("folder")
def test_what_several_workers_need_of_the_system_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ("--workers=2", "--engine=unix:///nowhere/store")
    with monkeypatch.context() as without:
        without.setattr(private_store, "PROGRAMS", ("no-such-store",))
        done = check("--workers=2")
        assert (done.exit_code, done.output.splitlines()[-1]) == (2, "1 mistake found."), done.output
        assert "workers" in done.output
        assert check(*other).exit_code == check("--workers=1").exit_code == 0
    monkeypatch.delattr(os, "fork")
    done = check(*other)
    assert (done.exit_code, done.output.splitlines()[-1]) == (2, "1 mistake found."), done.output
    assert "this system cannot have several processes on one port" in done.output
    assert check().exit_code == 0


def test_no_secret_is_repeated(folder: Path) -> None:
    (folder / "slosh.toml").write_text('engine = "redsi://user:hunter2@host"\nqueue = "x"\n')
    assert "hunter2" not in check().output


def test_a_file_that_is_none_is_a_mistake(folder: Path) -> None:
    assert check("--config=gone.toml").exit_code == 2
    (folder / "slosh.toml").write_text("queue = \n")
    assert "is not TOML" in check().output


def test_a_table_that_is_none_is_told_with_the_one_that_was_meant(folder: Path) -> None:
    for text, told in (
        ("[acess]\npublic = {}\n", "[acess] in slosh.toml: is no table of slosh. Did you mean [access]?"),
        ('[topic."a/**"]\nqueue = 1\n', "[topic] in slosh.toml: is no table of slosh. Did you mean [topics]?"),
        (
            "[server]\nport = 1\n",
            '[server] in slosh.toml: is no table of slosh. There are [access] and [topics."gen/**"].',
        ),
    ):
        (folder / "slosh.toml").write_text(text)
        assert told in check().output


def test_one_mistake_of_a_class_or_of_the_rules_hides_no_other(folder: Path) -> None:
    (folder / "slosh.toml").write_text(
        '[topics."a/**"]\nqueue = 3\n[topics."a/b"]\nqueue = 4\n[topics."a//b"]\nlinger = 1\nqeue = 2\n'
        "[access]\npublik = {}\npublic = {reed = [], read = ['a//b'], publish = 3}\n"
        "[[access.tokens]]\nname = 'x'\nsha256 = 'zz'\nreed = ['a']\nexpires = 'soon'\n"
        "[[access.tokens]]\nsha256 = 'zz'\n[[access.clients]]\nname = ''\nright = 1\n"
        "[access.jwt]\nalg = 1\nissuer = 2\n"
    )
    done = check()
    for told in (
        '[topics."a/b"] in slosh.toml: takes in no topic, because',
        '[topics."a//b"] in slosh.toml: takes in no topic.',
        "qeue in",
        "'publik' is unknown",
        "public in [access]: 'reed' is unknown",
        "read of public",
        "publish of public",
        "number 1 (x): 'reed' is unknown",
        "number 1 (x): sha256 is 64",
        "number 1 (x): expires='soon'",
        "tokens]] number 2: name is",
        "tokens]] number 2: sha256 is",
        "clients]] number 1: 'right' is unknown",
        "clients]] number 1: name is",
        "jwt]: 'alg' is unknown",
        "jwt]: issuer is a text",
    ):
        assert done.output.count(told) == 1, (told, done.output)
    assert done.output.splitlines()[-1] == "16 mistakes found."


def test_what_only_all_rules_together_show_is_told_where_each_is_sound(folder: Path) -> None:
    token = f"[[access.tokens]]\nname = 'twice'\nsha256 = '{'0' * 64}'\nread = ['a']\n"
    (folder / "slosh.toml").write_text(token + token)
    done = check()
    assert done.exit_code == 2
    assert "has two of the same name" in done.output
