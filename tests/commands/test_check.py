"""`slosh check`: every mistake at once, with nothing started."""

import re
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slosh.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SLOSH_PORT", "SLOSH_URL", "SLOSH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def test_sound_settings_are_told_with_where_they_stand(folder: Path) -> None:
    assert check().output == "All is well. Set: no slosh.toml, and no option.\n"
    (folder / "slosh.toml").write_text('queue = 7\n[topics."gen/**"]\nqueue = 9\n[access]\npublic = {read = ["**"]}\n')
    done = check("--port=0")
    assert (done.exit_code, done.output) == (0, "All is well. Set: --port, queue in slosh.toml.\n")


def test_every_mistake_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slosh.toml").write_text(
        'queu = 7\nlinger = "soon"\nmax_wait = 5\n[topics."gen/**"]\nqueue = -1\nport = 3\n[access]\npublik = {}\n'
    )
    monkeypatch.setenv("SLOSH_PORT", "99999")
    done = check("--max-body=much")
    assert done.exit_code == 2
    for part in (
        "queu in slosh.toml",
        "linger in slosh.toml",
        "queue in",
        "port in",
        "publik",
        "SLOSH_PORT",
        "--max-body",
    ):
        assert part in done.output, part
    assert done.output.splitlines()[-1] == "7 to mend."


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
        assert "1 to mend." in done.output


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
        assert (done.exit_code, done.output.splitlines()[-1]) == (2, "1 to mend."), done.output
        assert told in done.output
    both = check("--host=nosuch.invalid", f"--takeover={away / 't'}")
    assert both.output.splitlines()[-1] == "2 to mend."
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for words in ((f"--uds={folder / 'x.sock'}",), ("--host=::",), (f"--port={taken.getsockname()[1]}",)):
            assert check(*words).exit_code == 0, words
    assert not list(folder.iterdir())


def test_no_secret_is_repeated(folder: Path) -> None:
    (folder / "slosh.toml").write_text('engine = "redsi://user:hunter2@host"\nqueue = "x"\n')
    assert "hunter2" not in check().output


def test_a_file_that_is_none_is_a_mistake(folder: Path) -> None:
    assert check("--config=gone.toml").exit_code == 2
    (folder / "slosh.toml").write_text("queue = \n")
    assert "is not TOML" in check().output
