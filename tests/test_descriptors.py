"""How many files this process may open: what fits, what is told, and where it is too few."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.descriptors import (
    FEWEST_FILES,
    OWN_FILES,
    check_file_limit,
    enough_files,
    open_files,
    raise_file_limit,
    share_files,
)
from slosh.errors import TooFewFiles
from slosh.settings import Settings


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
    downloads = Settings().max_downloads
    assert f"room for {4096 - OWN_FILES - downloads} of the 10000 connections of max_connections" in warning
    assert f"{downloads} for max_downloads" in warning
    assert raise_file_limit(Settings(max_connections=4096 - OWN_FILES - downloads)) == ""


@pytest.mark.parametrize("limit", [32, 64, 100, 256, 1024, 4095])
def test_what_is_told_to_fit_is_what_the_server_takes(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    Limits(monkeypatch, limit, limit)
    shares = share_files(Settings(), limit)
    warning = raise_file_limit(Settings())
    assert f"room for {shares.connections} of the 100000 connections" in warning
    assert f"{shares.downloads} for max_downloads" in warning


@given(st.integers(2, 200_000), st.integers(1, 100_000))
def test_the_limit_that_is_asked_for_is_the_least_with_which_all_connections_fit(wanted: int, downloads: int) -> None:
    settings = Settings(max_connections=wanted, max_downloads=downloads)
    needed = enough_files(settings)
    assert share_files(settings, needed).connections == wanted
    assert share_files(settings, needed - 1).connections < wanted


@pytest.mark.parametrize("limit", [0, 10, FEWEST_FILES - 1])
def test_a_limit_with_which_nothing_works_is_an_error_that_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Without it the event loop itself fails, with a traceback."""
    Limits(monkeypatch, limit, limit)
    for check in (check_file_limit, lambda: raise_file_limit(Settings())):
        with pytest.raises(TooFewFiles) as caught:
            check()
        assert f"open {limit} files (ulimit -n)" in caught.value.detail
        assert "ulimit -n 4096" in caught.value.detail


def test_without_a_hard_limit_it_asks_for_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 256, resource.RLIM_INFINITY)
    assert raise_file_limit(Settings(max_connections=1000)) == ""
    assert limits.now == (1000 + Settings().max_downloads + OWN_FILES, resource.RLIM_INFINITY)


def test_a_system_that_refuses_is_a_warning_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, 256, 100_000, refuses=True)
    assert "may open 256 files" in raise_file_limit(Settings())


def test_who_has_set_nothing_is_not_bothered_where_thousands_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    Limits(monkeypatch, 1024, 20_000)
    assert raise_file_limit(Settings()) == ""
    assert open_files() == 20_000
