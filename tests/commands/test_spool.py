"""Lines on disk: none is lost or stored twice, whenever the publisher is ended."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from slosh.client import Client
from slosh.client.errors import BadUse
from slosh.commands.shared import EXIT_FOUND, EXIT_UNREACHABLE
from slosh.commands.spool import Spool
from tests.e2e.server import Serving, until
from tests.properties import PROPERTY
from tests.running import SLOSH, clean_environment


def at_most(number: int) -> Callable[[Sequence[bytes]], int]:
    return lambda waiting: min(number, len(waiting))


def drained(spool: Spool) -> list[bytes]:
    got: list[bytes] = []
    while spool.waiting:
        _, lines = spool.next_batch(at_most(3))
        spool.sent()
        got += lines
    return got


def test_what_was_put_is_putin_its_order(tmp_path: Path) -> None:
    with Spool(str(tmp_path / "s")) as spool:
        spool.put([b"1", b"2"])
        key, lines = spool.next_batch(at_most(1))
        assert (lines, spool.next_batch(at_most(1))) == ([b"1"], (key, [b"1"]))
        spool.sent()
        spool.put([b"3", b"4", b"5"])
        assert spool.next_batch(at_most(1))[0] != key
        assert drained(spool) == [b"2", b"3", b"4", b"5"]
    assert list(tmp_path.iterdir()) == []


def test_a_message_longer_than_a_batch_goes_alone(tmp_path: Path) -> None:
    with Spool(str(tmp_path / "s")) as spool:
        long = b"x" * 1_000_000
        spool.put([long, b"2"])
        assert drained(spool) == [long, b"2"]


def test_another_process_goes_on_under_the_same_key(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "s"))
    spool.put([b"1", b"2", b"3"])
    spool.next_batch(at_most(1))
    spool.sent()
    key, _ = spool.next_batch(at_most(1))
    spool.close()
    with (tmp_path / "s").open("ab") as file:
        file.write(b"cut sho")  # by a crash in the middle of a line
    with Spool(str(tmp_path / "s")) as again:
        assert again.next_batch(at_most(5)) == (key, [b"2"])  # the batch that may have been stored under this key
        assert drained(again) == [b"2", b"3"]


def test_a_crash_between_emptying_and_remembering_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "s"))
    spool.put([b"1", b"2"])
    spool.next_batch(at_most(1))
    spool.sent()
    spool.close()
    (tmp_path / "s").write_bytes(b"")
    with Spool(str(tmp_path / "s")) as again:
        again.put([b"3"])
        assert drained(again) == [b"3"]


def test_files_that_do_not_belong_together_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"1\n")
    name = "0123456789abcdef"
    for told in (
        f"{name} 99 99\n",
        f"{name} 0 99\n",
        f"{name} 1 2\n",
        f"{name} 0 1\n",
        f"{name} 1 0",
        "nonsense",
        f"{name} x 1\n",
        "",
        "\xff",
    ):
        (tmp_path / "s.place").write_text(told)
        with pytest.raises(BadUse):
            Spool(str(tmp_path / "s"))
    assert (tmp_path / "s").read_bytes() == b"1\n"


def test_what_is_no_spool_is_left_as_it_is(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_bytes(b"my notes\nand half a line")
    with pytest.raises(BadUse, match="is no spool"):
        Spool(str(notes))
    with pytest.raises(BadUse, match="is no file"):
        Spool("/dev/null")
    assert notes.read_bytes() == b"my notes\nand half a line"
    assert list(tmp_path.iterdir()) == [notes]
    with publisher(free_port(), notes) as group:
        _, error = group.communicate(b"1\n", timeout=60)
        assert (group.returncode, b"is no spool" in error) == (2, True), error


@pytest.mark.parametrize("beside", ["s.place", "s.place.new"])
@pytest.mark.parametrize("lines", [None, b""], ids=["no file", "an empty file"])
def test_what_no_spool_has_written_is_not_written_over(beside: str, lines: bytes | None, tmp_path: Path) -> None:
    """Such as the place of a relay, which its help calls `r.place`, and of which a spool `r` would know nothing."""
    file, other = tmp_path / "s", tmp_path / beside
    if lines is not None:
        file.write_bytes(lines)
    for foreign in (b"*,a=abcd1234.5\n", b"\n", b"\xff\n", b"0123456789abcdef 1 1 \n", b"x" * 200):
        other.write_bytes(foreign)
        with pytest.raises(BadUse, match=rf"{beside} is there, and no spool has written it"):
            Spool(str(file))
        assert (other.read_bytes(), file.exists()) == (foreign, lines is not None)


@pytest.mark.parametrize("cut", ["", "0123", "0123456789abcdef 1", "0123456789abcdef 12 3", "0123456789abcdef 12 34\n"])
def test_a_place_that_was_cut_short_by_a_crash_is_written_again(cut: str, tmp_path: Path) -> None:
    (tmp_path / "s.place.new").write_text(cut)
    with Spool(str(tmp_path / "s")) as spool:
        spool.put([b"1"])
        assert drained(spool) == [b"1"]
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_the_last_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on another publisher may make it again, and its place beside it."""
    removed: list[str] = []
    unlink = Path.unlink

    def remove(path: Path, **more: Any) -> None:
        removed.append(path.name)
        unlink(path, **more)

    monkeypatch.setattr(Path, "unlink", remove)
    Spool(str(tmp_path / "s")).close()
    assert removed == ["s.place", "s"]


def test_what_was_answered_for_is_noted_before_the_next_batch(tmp_path: Path) -> None:
    """With `--rate` the next one may be due in minutes: killed meanwhile, the line before it was sent again."""
    with Spool(str(tmp_path / "s")) as spool:
        spool.put([b"1", b"2"])
        spool.next_batch(at_most(1))
        spool.sent()
        assert (tmp_path / "s.place").read_text().split()[1:] == ["2", "2"]
        assert drained(spool) == [b"2"]


def remove(file: Path) -> None:
    file.unlink()


def replace(file: Path) -> None:
    """By the spool of another publisher."""
    file.unlink()
    with Spool(str(file)) as other:
        other.put([b"11", b"12"])
        other.next_batch(at_most(1))


def cut(file: Path) -> None:
    file.write_bytes(b"")


def lengthen(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"7\n")


@pytest.mark.parametrize("change", [remove, replace, cut, lengthen])
@pytest.mark.parametrize("what", ["put", "next_batch", "sent", "close"])
def test_a_spool_that_something_else_has_changed_is_left_as_it_is(
    change: Callable[[Path], None], what: str, tmp_path: Path
) -> None:
    """The next publisher began in the middle of a line, or left lines of its own out."""
    spool = Spool(str(tmp_path / "s"))
    spool.put([b"1", b"2"])
    spool.next_batch(at_most(1))
    change(tmp_path / "s")
    then = {each: each.read_bytes() for each in tmp_path.iterdir()}
    doing = {
        "put": lambda: spool.put([b"3"]),
        "next_batch": lambda: spool.next_batch(at_most(1)),
        "sent": spool.sent,
        "close": spool.close,
    }
    with pytest.raises(OSError, match=f"removed or changed it; {2 if what == 'sent' else 4} bytes"):
        doing[what]()
    if what != "close":
        with pytest.raises(OSError, match="removed or changed it"):
            spool.close()
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == then


def test_a_spool_is_of_no_matter_where_nothing_waits_in_it(tmp_path: Path) -> None:
    with Spool(str(tmp_path / "s")):
        replace(tmp_path / "s")
        then = {each: each.read_bytes() for each in tmp_path.iterdir()}
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == then
    assert len(then) == 2


def test_one_publisher_has_a_spool_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with Spool(path) as spool:
        spool.put([b"1"])
        with pytest.raises(BadUse, match="Another slosh pub"):
            Spool(path)
        assert drained(spool) == [b"1"]
    with Spool(path) as spool:
        spool.put([b"2"])
        assert drained(spool) == [b"2"]


def test_a_file_that_is_removed_while_it_is_opened_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publisher before ended between the opening and the locking: lines in that file would be in no file."""
    path = tmp_path / "s"
    lock = fcntl.flock

    def remove_then_lock(file: Any, how: int) -> None:
        monkeypatch.undo()
        path.unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_then_lock)
    with Spool(str(path)) as spool:
        spool.put([b"1"])
        assert path.read_bytes() == b"1\n"
        spool.next_batch(at_most(1))
        spool.sent()


def publisher(port: int, file: Path, *more: str) -> "ProcessGroup[bytes]":
    return ProcessGroup(
        [*SLOSH, "pub", "spooled", f"--spool={file}", *more],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(SLOSH_URL=f"http://127.0.0.1:{port}"),
    )


@PROPERTY
@example([980] * 8 + ["batch"] + [980] * 20 + ["batch", 980, "sent"], 100)
@given(
    st.lists(st.one_of(st.integers(1, 3000), st.sampled_from(["batch", "sent", "again"])), max_size=60),
    st.integers(1, 9),
)
def test_messages_come_out_as_they_went_in_whatever_is_done_in_between(steps: list[int | str], most: int) -> None:
    """A message of so many bytes is put, a batch is asked for, counts as sent, or another process goes on."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(f"{folder}/s")
        put: list[bytes] = []
        got: list[bytes] = []
        batch: list[bytes] = []
        for step in [*steps, "again"]:
            if isinstance(step, int):
                put.append(b"%d-" % len(put) + b"x" * step)
                spool.put(put[-1:])
            elif step == "again":
                spool.close()
                spool, batch = Spool(f"{folder}/s"), []
            elif step == "sent" and batch:
                spool.sent()
                got += batch
                batch = []
            elif spool.waiting:
                _, batch = spool.next_batch(at_most(most))
        assert got + drained(spool) == put
        spool.close()


def test_a_spool_that_has_filled_its_disk_is_emptied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s"
    spool = Spool(str(file))
    spool.put([b"%d" % number for number in range(100)])
    spool.next_batch(at_most(30))
    spool.sent()

    def no_room(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", no_room)
    key, _ = spool.next_batch(at_most(60))
    spool._file.close()  # as if it were killed there
    with Spool(str(file)) as again:
        assert again.next_batch(at_most(1))[0] == key
        assert drained(again) == [b"%d" % number for number in range(30, 100)]
    assert list(tmp_path.iterdir()) == []


def test_lines_for_which_the_disk_has_room_are_kept_and_none_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(str(tmp_path / "s"))
    spool.put([b"1"])
    write = os.write

    def write_half(number: int, data: memoryview) -> int:
        if len(data) <= 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(number, data[:7])

    monkeypatch.setattr(os, "write", write_half)
    with pytest.raises(OSError, match="No space"):
        spool.put([b"2222", b"3333"])
    monkeypatch.undo()
    spool.put([b"4"])
    assert drained(spool) == [b"1", b"2222", b"4"]
    assert spool.kept == 3
    spool.close()


def test_lines_outlive_the_publisher_and_the_server(tmp_path: Path) -> None:
    """The publisher is killed while no server is there, and once more in the middle of sending."""
    port, file = free_port(), tmp_path / "s"
    with publisher(port, file) as first:
        assert first.stdin is not None
        first.stdin.write(b"".join(b"%d\n" % number for number in range(1000)))
        first.stdin.flush()
        until(lambda: file.exists() and file.read_bytes().count(b"\n"), lambda lines: lines == 1000)
        first.send_signal(signal.SIGKILL)
        first.wait()
    options = ("--unwatched=keep", "--linger=10m", "--queue=5000")
    with Serving(tmp_path, *options, port=port) as serving, Client(serving.url) as client:
        with publisher(port, file, "--batch=5") as second:
            assert second.stdin is not None
            second.stdin.write(b"1000\n")
            second.stdin.flush()
            until(client.topics, bool)
            second.send_signal(signal.SIGKILL)
            second.wait()
        with publisher(port, file) as third:
            _, said = third.communicate(b"", timeout=60)
        assert (third.returncode, said) == (0, b"")
        answer = client.connect().get(f"{serving.url}/topics/spooled?since=earliest&wait=0")
        assert json.loads(answer.content)["res"] in (list(range(1000)), list(range(1001)))
    assert not file.exists()


def test_a_spool_that_was_removed_is_told_and_not_promised_to_the_next(tmp_path: Path) -> None:
    file = tmp_path / "s"
    with publisher(free_port(), file, "--timeout=300ms") as away:
        assert away.stdin is not None
        away.stdin.write(b"1\n2\n")
        away.stdin.flush()
        until(lambda: file.exists() and file.read_bytes(), lambda lines: lines == b"1\n2\n")
        file.unlink()
        _, said = away.communicate(timeout=60)
    assert (away.returncode, b"4 bytes of messages that waited in it are not published" in said) == (EXIT_FOUND, True)
    assert b"wait in" not in said
    assert not file.exists()


def test_what_waits_at_the_end_is_told(tmp_path: Path) -> None:
    with publisher(free_port(), tmp_path / "s", "--timeout=300ms") as away:
        _, said = away.communicate(b"1\n2\n", timeout=60)
    assert away.returncode == EXIT_UNREACHABLE
    assert b"4 bytes of messages wait in" in said
