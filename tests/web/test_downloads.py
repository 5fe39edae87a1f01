"""Parts of files, and large files to slow clients."""

import errno
import itertools
import os
from pathlib import Path

import pytest

from tests.cases import each_of
from tests.web.conftest import CONTENT, MakeSite
from tests.web.harness import Client, Response, Site, open_files, request

SIZE = len(CONTENT)


@each_of(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=1-3", 1, 3),
        ("bytes=1000-", 1000, SIZE - 1),
        ("bytes=1000-99999999", 1000, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-5000", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("BYTES=0-1", 0, 1),
    ],
)
def test_a_range_is_given(files: Site, wanted: str, first: int, last: int) -> None:
    answer = files.get("/folder/file.bin", Range=wanted)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_that_has_no_byte_is_refused_with_the_size(files: Site, wanted: str) -> None:
    answer = files.get("/folder/file.bin", Range=wanted)
    assert (answer.status, answer.code) == (416, "range_not_satisfiable")
    assert answer["Content-Range"] == f"bytes */{SIZE}"
    assert files.get("/empty.txt", Range="bytes=0-").status == 416


@each_of(
    "wanted",
    [
        *("bytes=0-0,2-3", "bytes=0-0, -1", "bytes=" + ",".join(["0-"] * 2000)),
        *("bytes=3-1", "bytes=", "bytes=-", "bytes=x-y", "bytes=1_0-", "bytes=+1-2", "lines=0-1", "0-1", "bytes 0-1"),
        *("bytes=" + "9" * 5000 + "-", "bytes=0-" + "9" * 16, "bytes=\xb2-\xb3"),
    ],
)
def test_what_is_not_one_range_gets_the_whole(files: Site, wanted: str) -> None:
    """Several ranges too, as RFC 9110 §14.2 allows: no list of ranges to be clever about (CVE-2025-62727)."""
    answer = files.get("/folder/file.bin", Range=wanted)
    assert (answer.status, answer.body) == (200, CONTENT)


@pytest.mark.parametrize(
    ("condition", "status"), [("{tag}", 206), ("{date}", 206), ('"x"', 200), ("W/{tag}", 200), ("nonsense", 200)]
)
def test_if_range_gives_the_part_of_the_file_that_is_meant_or_the_whole(
    files: Site, condition: str, status: int
) -> None:
    whole = files.get("/folder/file.bin")
    named = condition.format(tag=whole["ETag"], date=whole["Last-Modified"])
    assert files.get("/folder/file.bin", Range="bytes=0-0", If_Range=named).status == status


def test_ranges_are_offered(files: Site) -> None:
    assert files.get("/folder/file.bin")["Accept-Ranges"] == "bytes"
    assert files.ask("HEAD", "/folder/file.bin", Range="bytes=0-0").status == 200  # RFC 9110 §14.2: only for GET


# Large files.

LARGE = os.urandom(1024 * 1024) * 4


def large(root: Path) -> bytes:
    (root / "large").write_bytes(LARGE)
    return LARGE


def test_a_large_file_is_sent_as_fast_as_it_is_taken(files: Site, root: Path) -> None:
    """Never more of it waits in memory than a piece, however slow the client."""
    content, before = large(root), open_files()
    client = files.connect().take_nothing().send(request("GET", "/large") + request("GET", "/empty.txt"))
    most = 0
    while client.wire.get_write_buffer_size():
        most = max(most, client.wire.get_write_buffer_size())
        assert open_files() == before + 1 or len(client.wire.arrived) > SIZE
        client.take(100_000)
    assert most < 400_000
    client.take()
    assert client.next().body == content
    assert client.next().body == b""
    assert open_files() == before


def test_who_takes_a_large_file_fast_does_not_keep_the_others_waiting(files: Site, root: Path) -> None:
    """Between two pieces of it everybody has a turn."""
    large(root)
    fast, seen = files.connect(), [0]

    def somebody_else() -> None:
        seen.append(len(fast.wire.arrived))
        if seen[-1] < len(LARGE):
            files.loop.call_soon(somebody_else)

    files.loop.call_soon(somebody_else)
    fast.get("/large")
    assert max(after - before for before, after in itertools.pairwise(seen)) < 600_000
    assert fast.next().body == LARGE


def test_a_range_of_a_large_file(files: Site, root: Path) -> None:
    content = large(root)
    answer = files.get("/large", Range="bytes=1000000-3000000")
    assert (answer.status, answer.body) == (206, content[1_000_000:3_000_001])


def test_a_client_that_half_closes_gets_the_whole_file(files: Site, root: Path) -> None:
    content = large(root)
    client = files.connect().take_nothing().get("/large").half_close()
    client.take()
    assert client.next().body == content
    assert client.wire.has_ended()


def test_a_client_that_goes_leaves_no_open_file(files: Site, root: Path) -> None:
    large(root)
    before = open_files()
    for _ in range(5):
        files.connect().take_nothing().get("/large").reset()
    assert open_files() == before
    files.connect().take_nothing().get("/large")
    files.advance(70)
    assert files.closed("write_timeout") == 1
    assert open_files() == before


def cut(root: Path, size: int) -> None:
    os.truncate(root / "large", size)


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_a_file_that_is_cut_short_while_it_is_sent_ends_with_a_cut_connection(
    files: Site, root: Path, size: int
) -> None:
    """Its length was told, and what is missing must not look like an end, nor be filled by the next answer."""
    large(root)
    before = open_files()
    client = files.connect().take_nothing().send(request("GET", "/large") + request("GET", "/empty.txt"))
    cut(root, size)
    client.take()
    assert client.wire.was_cut()
    assert client.wire.arrived.count(b"HTTP/1.1") == 1
    assert open_files() == before
    assert files.metrics().get('slosh_refused_total{code="internal"}', 0) == 0


def test_a_file_that_is_cut_short_in_the_same_turn_is_no_500(
    files: Site, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the client takes everything at once, so that all of it happens inside the request."""
    large(root)
    real, reads = os.read, []

    def read(handle: int, size: int) -> bytes:
        reads.append(size)
        return real(handle, size) if len(reads) == 1 else b""

    monkeypatch.setattr("slosh.web.pages.files.os.read", read)
    client = files.connect().send(request("GET", "/large") + request("GET", "/empty.txt"))
    assert client.wire.was_cut()
    assert client.wire.arrived.count(b"HTTP/1.1") == 1
    assert client.wire.wasted == 0
    assert files.server.refused["internal"] == 0


def test_a_file_that_grows_while_it_is_sent_ends_where_its_length_said(files: Site, root: Path) -> None:
    content = large(root)
    client = files.connect().take_nothing().send(request("GET", "/large") + request("GET", "/empty.txt"))
    with (root / "large").open("ab") as more:
        more.write(b"more")
    client.take()
    assert client.next().body == content
    assert client.next().status == 200


def test_a_file_is_taken_in_pieces_by_ranges_and_is_whole(files: Site, root: Path) -> None:
    """As a browser resumes a download, with If-Range."""
    content = large(root)
    answer: Response = files.ask("HEAD", "/large")
    got = b""
    while len(got) < len(content):
        part = files.get("/large", Range=f"bytes={len(got)}-{len(got) + 999_999}", If_Range=answer["ETag"])
        assert part.status == 206
        got += part.body
    assert got == content


def test_nothing_more_is_read_for_a_socket_that_broke(files: Site, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that finds the socket broken closes it; the rest of a large file would be read for nobody."""
    large(root)
    before = open_files()
    client = files.connect()
    real, reads = os.read, []

    def read(handle: int, size: int) -> bytes:
        reads.append(size)
        if len(reads) == 2:
            client.wire.abort()
        return real(handle, size)

    monkeypatch.setattr("slosh.web.pages.files.os.read", read)
    client.get("/large")
    assert len(reads) <= 3
    assert open_files() == before


# A client that sends all that it has to ask and then closes its half, as `printf … | nc -N` does.


def pipelined(files: Site, *requests: bytes) -> Client:
    """Several requests and the end, while nothing is taken yet."""
    return files.connect().take_nothing().send(b"".join(requests)).half_close()


GET_LARGE, GET_HOME, GET_EMPTY = (request("GET", path) for path in ("/large", "/", "/empty.txt"))


def test_a_client_that_half_closes_gets_all_that_it_asked_for_in_order(files: Site, root: Path) -> None:
    content, before = large(root), open_files()
    client = pipelined(files, GET_LARGE, GET_HOME, GET_LARGE, GET_EMPTY)
    assert client.wire.is_open()
    client.take()
    assert [client.next().body for _ in range(4)] == [content, b"<p>home", content, b""]
    assert client.silent()
    assert client.wire.has_ended()
    assert open_files() == before


def test_also_where_its_end_comes_between_two_answers(files: Site) -> None:
    """Very many small answers stall it too; what it asked behind them has not been looked at yet."""
    files.connect().get("/topics/a")
    message = b'"' + b"x" * 60_000 + b'"'
    assert files.post("/topics/a", message).status == 200
    polls = [request("GET", "/topics/a?since=earliest&wait=0")] * 5
    client = pipelined(files, *polls, GET_HOME)
    client.take()
    assert [len(client.next().json["res"]) for _ in polls] == [1] * 5
    assert client.next().body == b"<p>home"
    assert client.wire.has_ended()


def test_a_message_that_it_posted_before_its_end_is_taken(files: Site, root: Path) -> None:
    large(root)
    reader = files.connect().get("/topics/a")
    client = pipelined(files, GET_LARGE, request("POST", "/topics/a", b"7"))
    client.take()
    client.next()
    assert client.next().json["max"] == 1
    assert reader.next().json["res"] == [7]
    assert client.wire.has_ended()


@pytest.mark.parametrize("news", ["/topics/a", "/topics/a?format=sse", "/topics?watch"])
@pytest.mark.parametrize("window", [None, len(LARGE) + 300, len(LARGE) + 500])
def test_a_poll_or_a_stream_behind_them_waits_for_nobody(files: Site, root: Path, news: str, window: int) -> None:
    """A client that waits for news and sends no more is taken to be gone, as without anything before it."""
    large(root)
    client = pipelined(files, GET_LARGE, request("GET", news), GET_HOME)
    client.take(window)
    assert files.watchers("a") == 0
    assert not files.engine._listeners
    client.take()
    assert client.next().body == LARGE
    assert client.wire.has_ended()
    assert not files.server.connections


@pytest.mark.parametrize(
    "part", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", request("POST", "/topics/a", b"12")[:-1]]
)
def test_a_part_of_a_request_behind_them_is_none(files: Site, root: Path, part: bytes) -> None:
    content = large(root)
    client = pipelined(files, GET_LARGE, part)
    client.take()
    assert client.next().body == content
    assert client.silent()
    assert client.wire.has_ended()
    files.advance(3)
    assert not files.server.connections


def test_who_half_closes_and_takes_nothing_does_not_stay(files: Site, root: Path) -> None:
    large(root)
    before = open_files()
    pipelined(files, GET_LARGE, GET_HOME)
    files.advance(130)
    assert not files.server.connections
    assert files.closed("write_timeout") == 1
    assert open_files() == before


def test_files_that_slow_clients_keep_open_are_bounded(make_site: MakeSite, tmp_path: Path) -> None:
    """One more is told to come back, and not that the file is not there; small files are open for a moment only."""
    (tmp_path / "large").write_bytes(bytes(2 * 1024 * 1024))
    (tmp_path / "small").write_bytes(b"small")
    site = make_site(tmp_path, max_downloads=2)
    slow = [site.connect() for _ in range(2)]
    before = open_files()
    for client in slow:
        client.take_nothing()
        client.send(request("GET", "/large"))
    assert site.server.downloads == 2
    refused = site.get("/large")
    assert (refused.status, refused.code, refused["Retry-After"]) == (503, "too_many_downloads", "5")
    assert site.server.refused["too_many_downloads"] == 1
    assert site.get("/small").body == b"small"
    assert site.ask("HEAD", "/large").status == 200
    slow[0].reset()
    assert site.server.downloads == 1
    slow[1].reset()
    assert site.server.downloads == 0
    assert open_files() <= before


def test_a_file_that_would_keep_one_of_the_last_descriptors_is_refused(make_site: MakeSite, tmp_path: Path) -> None:
    """It would stay open for as long as its client takes, and the next clients need one each to be accepted."""
    (tmp_path / "large").write_bytes(bytes(2 * 1024 * 1024))
    (tmp_path / "small").write_bytes(b"small")
    site, before = make_site(tmp_path), open_files()
    site.server.first_spare = 0
    refused = site.get("/large")
    assert (refused.status, refused.code) == (503, "too_many_downloads")
    assert site.get("/small").body == b"small"
    assert (site.server.downloads, open_files()) == (0, before)


def test_a_system_without_descriptors_is_not_a_file_that_is_missing(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page").write_bytes(b"here")
    site = make_site(tmp_path)

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("slosh.web.pages.files.os.open", refuse)
    answer = site.get("/page")
    assert (answer.status, answer.code) == (503, "too_many_downloads")
