"""What is said and done around a start, whichever door it was."""

import subprocess
import sys
from pathlib import Path

import pytest

from slosh import __version__
from slosh.compiled import describe_build
from slosh.settings import Settings
from slosh.startup import first_hint, reachable, ready_line


@pytest.mark.parametrize(
    ("root", "shown"),
    [
        ("", "example/"),
        ("example", "example/"),
        ("none", "no files"),
        ("site", "site/"),
        (".", "./"),
        ("/srv/www", "/srv/www/"),
        ("/", "/"),
    ],
)
def test_the_ready_line_names_every_address_and_the_folder(
    root: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ready_line(Settings(root=root), ["http://127.0.0.1:8000", "unix:/run/s.sock"])
    where = "http://127.0.0.1:8000 and unix:/run/s.sock"
    assert line == f"slosh {__version__} is ready on {where}, serving {shown} ({describe_build()})"


def test_the_hint_can_be_typed_in_as_it_stands() -> None:
    hint = first_hint(Settings(), ["unix:/run/s.sock", "http://[::1]:9000"])
    assert "curl http://[::1]:9000/topics/test" in hint
    assert 'curl -d \'{"hello":"world"}\' http://[::1]:9000/topics/test' in hint
    assert first_hint(Settings(), ["unix:/run/s.sock"]) == ""


def test_no_page_is_offered_where_no_files_are_served() -> None:
    assert "open " not in first_hint(Settings(root="none"), ["http://127.0.0.1:8000"])
    assert "open " in first_hint(Settings(), ["http://127.0.0.1:8000"])


def test_no_chart_is_offered_where_there_is_no_viewer() -> None:
    assert "/view/" not in first_hint(Settings(view="off"), ["http://127.0.0.1:8000"])


@pytest.mark.parametrize("address", ["http://0.0.0.0:8000", "http://[::]:8000"])
def test_an_address_is_told_that_the_phone_beside_can_open(address: str) -> None:
    for told in reachable([address]):
        assert "0.0.0.0" not in told
        assert "[::]" not in told or reachable([address]) == [address]  # a machine without IPv6
    assert reachable(["http://127.0.0.1:1", "unix:/s"]) == ["http://127.0.0.1:1", "unix:/s"]


def test_the_folder_in_which_it_was_started_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, site = tmp_path / "gone", tmp_path / "site"
    gone.mkdir()
    site.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert f"serving {site}/" in ready_line(Settings(root=str(site)), ["http://127.0.0.1:8000"])
    monkeypatch.chdir(tmp_path)


def test_a_server_that_has_the_process_to_itself_lets_the_collector_look_rarely() -> None:
    shown = (
        "import gc, slosh.startup as s; s.spare_collector();"
        "print(gc.get_threshold() == s.COLLECT_AFTER, gc.get_freeze_count() > 10_000, gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_importing_slosh_or_making_a_service_leaves_the_collector_to_whoever_runs_the_process() -> None:
    shown = (
        "import gc; before = gc.get_threshold(); import slosh.server, slosh.service;"
        "slosh.service.make_service(port=0); print(gc.get_threshold() == before, gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0"]
