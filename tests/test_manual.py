"""The pages of the manual: made of the commands as they are, and sound for the programs that show them."""

import subprocess
from pathlib import Path

import pytest

from slosh.cli import Commands, main
from slosh.manual import _plain, pages, write
from tests.conftest import need

FOLDER = Path(__file__).parents[1] / "docs" / "man"
FILES = sorted(FOLDER.glob("*.1"))


def test_the_pages_are_those_of_the_commands() -> None:
    assert isinstance(main, Commands)
    kept = {file.name: file.read_text(encoding="ascii") for file in FILES}
    assert kept == dict(pages(main)), "run `make docs`"


def test_a_page_of_a_command_that_is_no_more_goes(tmp_path: Path) -> None:
    assert isinstance(main, Commands)
    (tmp_path / "slosh-gone.1").write_text("")
    write(main, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [file.name for file in FILES]


def test_mandoc_has_nothing_to_say_of_them() -> None:
    done = subprocess.run([need("mandoc"), "-Tlint", "-Wwarning", *FILES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_text_is_taken_for_a_request() -> None:
    assert _plain(".TH is no request") == "\\&.TH is no request"
    assert _plain("'a' \\ -") == "\\&\\(aqa\\(aq \\e \\-"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_man_shows_each(file: Path) -> None:
    done = subprocess.run(
        [need("man"), "--warnings=w", "-l", file],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "MANWIDTH": "100",
            "MANPAGER": "cat",
            "MAN_KEEP_FORMATTING": "",
        },
    )
    assert done.stderr == ""
    shown = " ".join(done.stdout.split())
    for part in ("NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "SEE ALSO", file.stem.replace("-", " ", 1)):
        assert part in shown
    assert "\\" not in shown.replace("\\d", "")
