"""A process without a descriptor for the next client says so: no loop tells its clients or its operator."""

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Any

import pytest

from slosh.http1.shortage import _REPORT, Shortage, silence_reports


class Clock:
    """As much of an event loop as looks need; time goes on by `pass_time` alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        self.calls.append((when, call))

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [each for each in self.calls if each[0] <= until]:
            self.calls.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = until


class Files:
    """The system's files, which may run out."""

    def __init__(self) -> None:
        self.error = 0

    def open(self, *_: object) -> int:
        if self.error:
            raise OSError(self.error, "no file")
        return 1000

    def close(self, number: int) -> None:
        assert number == 1000


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    files = Files()
    monkeypatch.setattr("slosh.http1.shortage.os.open", files.open)
    monkeypatch.setattr("slosh.http1.shortage.os.close", files.close)
    return files


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE])
def test_each_second_without_a_descriptor_is_counted_and_a_line_is_logged_for_ten(
    files: Files, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    clock: Any = Clock()
    shortage = Shortage(clock)
    files.error = error
    shortage.look_soon()
    assert shortage.is_due
    clock.pass_time(9.5)
    assert shortage.found == 10
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "(ulimit -n)" in caplog.text
    assert "max_connections" in caplog.text
    clock.pass_time(2)
    assert (shortage.found, len(caplog.records)) == (12, 2)
    files.error = 0
    clock.pass_time(5)
    assert (shortage.found, len(caplog.records), shortage.is_due, clock.calls) == (12, 2, False, [])


def test_one_look_is_taken_for_all_that_are_accepted_together_and_none_without_clients(files: Files) -> None:
    clock: Any = Clock()
    shortage = Shortage(clock)
    for _ in range(3):
        if not shortage.is_due:
            shortage.look_soon()
    assert len(clock.calls) == 1
    clock.pass_time(1)
    assert (shortage.found, shortage.is_due, clock.calls) == (0, False, [])


def test_another_error_is_no_shortage(files: Files) -> None:
    clock: Any = Clock()
    shortage = Shortage(clock)
    files.error = errno.EACCES
    shortage.look_soon()
    clock.pass_time(5)
    assert (shortage.found, shortage.is_due) == (0, False)


@pytest.mark.parametrize("has_its_own", [False, True])
def test_a_loop_reports_all_but_what_is_noticed_here(has_its_own: bool) -> None:
    loop = asyncio.new_event_loop()
    told: list[str] = []
    own = (lambda _, context: told.append(context["message"])) if has_its_own else None
    loop.set_exception_handler(own)
    loop.default_exception_handler = lambda context: told.append(context["message"])  # type: ignore[method-assign]
    undo = silence_reports(loop)
    loop.call_exception_handler({"message": _REPORT})
    loop.call_exception_handler({"message": "something else"})
    assert told == ["something else"]
    undo()
    assert loop.get_exception_handler() is own
    loop.close()
