"""What is said and done around a start, whichever door it was."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from slosh import __version__
from slosh.settings import Settings
from slosh.startup import OWN_FILES, first_hint, open_files, raise_file_limit, reachable, ready_line


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
    assert line == f"slosh {__version__} is ready on http://127.0.0.1:8000 and unix:/run/s.sock, serving {shown}"


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


def test_descriptors_that_are_closed_are_held_open(tmp_path: Path) -> None:
    """In a process of its own, started with every choice of them closed."""
    probe = """
import os, sys
from slosh.startup import hold_standard_descriptors
hold_standard_descriptors()
for number in range(3):
    os.fstat(number)
os.write(1, b"")
open(sys.argv[1], "w").write("fine")
"""
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        told = tmp_path / "told"
        command = ["/bin/sh", "-c", f'exec "$0" -c "$1" "$2" {closed}', sys.executable, probe, str(told)]
        assert subprocess.run(command, check=False).returncode == 0, closed
        assert told.read_text() == "fine"
        told.unlink()


class Limits:
    """The system's limit on open files, as a process sees it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.now = (soft, hard)
        self.refuses = refuses
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.now = limits


def test_the_limit_on_open_files_is_raised_as_far_as_the_system_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 1024, 1_048_576)
    assert raise_file_limit(Settings()) == ""
    assert limits.now == (1_048_576, 1_048_576)


def test_too_low_a_limit_is_told_with_what_fits_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, 1024, 4096)
    warning = raise_file_limit(Settings(max_connections=10_000))
    assert "4096 files" in warning
    assert f"about {4096 - OWN_FILES} connections" in warning
    assert "10000 of max_connections" in warning
    assert raise_file_limit(Settings(max_connections=4096 - OWN_FILES)) == ""


def test_without_a_hard_limit_it_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 256, resource.RLIM_INFINITY)
    assert raise_file_limit(Settings(max_connections=1000)) == ""
    assert limits.now == (1000 + OWN_FILES, resource.RLIM_INFINITY)


def test_a_system_that_refuses_is_a_warning_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, 256, 100_000, refuses=True)
    assert "may open 256 files" in raise_file_limit(Settings())


def test_who_has_set_nothing_is_not_bothered_where_thousands_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, 1024, 20_000)
    assert raise_file_limit(Settings()) == ""
    assert open_files() == 20_000


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
