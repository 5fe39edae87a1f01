"""The document root: files as they are, and nothing outside of it."""

import os
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from slosh.web.pages.files import DocumentRoot
from tests.cases import each_of
from tests.web.conftest import CONTENT, MakeSite
from tests.web.harness import Site, open_files, request

# What is shown, and what is not.


@each_of(
    ("path", "body"),
    [
        ("/", b"<p>home"),
        ("/index.html", b"<p>home"),
        ("/?query", b"<p>home"),
        ("/folder/", b"<p>folder"),
        ("/folder/file.bin", CONTENT),
        ("/empty.txt", b""),
        ("/a%20b+c%25d.txt", b"odd"),
        ("/%C3%A9.txt", b"accent"),
        ("/%66older/file.bin", CONTENT),
        ("/inside.bin", CONTENT),
        ("/link/file.bin", CONTENT),
    ],
)
def test_a_file_is_served_as_it_is(files: Site, path: str, body: bytes) -> None:
    answer = files.get(path)
    assert (answer.status, answer.body) == (200, body)
    head = files.ask("HEAD", path)
    assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(body)))


@each_of(
    "path",
    [
        *("/nothing", "/folder/nothing", "/index.html/", "/folder/file.bin/x", "/empty%20folder/", "/INDEX.HTML"),
        *("/../secret.txt", "/folder/../../secret.txt", "/..", "/../", "/folder/..", "/./index.html", "/."),
        *("/%2e%2e/secret.txt", "/folder/%2e%2e/%2E%2E/secret.txt", "/.%2e/secret.txt"),
        *("/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/folder%2ffile.bin", "/..%5csecret.txt", "/folder%5cfile.bin"),
        *("//secret.txt", "//folder/file.bin", "/folder//file.bin", "/%2fetc/passwd", "//etc/passwd", "/folder//"),
        *("/.env", "/.git/config", "/.git/", "/.git", "/folder/.env", "/%2eenv", "/hidden.txt", "/hidden/config"),
        *("/out.txt", "/absolute.txt", "/outside/secret.txt", "/sideways/file.txt"),
        *("/outside", "/sideways", "/hidden", "/loop", "/dangling", "/../root-secret/file.txt"),
        *(
            "/index.html%00",
            "/index.html%00.txt",
            "/%00",
            "/folder/%00/../index.html",
            "/C:/index.html",
            "/index.html::$DATA",
        ),
        *("/" + "x" * 300, "/" + "x/" * 3000, "/%0d%0aX:y", "/%0a"),
    ],
)
def test_whatever_may_not_be_seen_is_not_found_and_nothing_more(files: Site, path: str) -> None:
    """One answer for all reasons, so that it tells nothing of what exists outside (CVE-2025-69226)."""
    answer = files.get(path)
    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.body == files.get("/nothing").body
    assert "secret" not in answer.body.decode()


def test_a_path_that_is_not_utf_8_is_a_bad_request(files: Site) -> None:
    assert files.get("/%ff.txt").code == "bad_request"
    assert files.get("/%C3%28").code == "bad_request"


def test_what_is_no_file_is_not_found_and_stops_nobody(files: Site, root: Path) -> None:
    """To open a pipe that nobody writes to would stop the whole server."""
    os.mkfifo(root / "pipe")
    (root / "pipes").mkdir()
    os.mkfifo(root / "pipes" / "index.html")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root)  # a socket's path is short
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        (root / "device").symlink_to("/dev/zero")
        before = open_files()
        began = time.monotonic()
        for path in ("/pipe", "/pipes/", "/socket", "/device"):
            assert files.get(path).code == "not_found"
        assert time.monotonic() - began < 5
        assert open_files() == before


def test_a_file_that_may_not_be_read_is_not_found(files: Site, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr("slosh.web.pages.files.os.open", refuse)
    assert files.get("/index.html").code == "not_found"


def test_the_root_may_itself_be_a_link(root: Path, make_site: MakeSite, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    site = make_site(tmp_path / "alias")
    assert site.get("/folder/file.bin").body == CONTENT
    assert site.get("/out.txt").status == 404


def test_a_root_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DocumentRoot(tmp_path / "nothing")


# Folders.


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/folder", "/folder/"),
        ("/folder?a=b&c=//d", "/folder/?a=b&c=//d"),
        ("/%66older", "/folder/"),
        ("/link", "/link/"),
        ("/empty%20folder", "/empty%20folder/"),
        ("/folder/deep", "/folder/deep/"),
    ],
)
def test_a_folder_is_redirected_to_its_slash(files: Site, path: str, location: str) -> None:
    answer = files.get(path)
    assert (answer.status, answer["Location"]) == (301, location)
    assert files.ask("HEAD", path)["Location"] == location


def test_a_folder_below_a_prefix_that_a_proxy_cut_off_is_redirected_to_below_it(files: Site) -> None:
    for peer, location in (
        (("127.0.0.1", 1), "/slosh/folder/"),
        (("192.0.2.66", 1), "/folder/"),
        ("", "/slosh/folder/"),
    ):
        assert files.connect(peer).get("/folder", X_Forwarded_Prefix="/slosh").next()["Location"] == location
    assert (
        files.connect(("127.0.0.1", 1)).get("/folder", X_Forwarded_Prefix="//evil.example").next()["Location"]
        == "/folder/"
    )


@pytest.mark.parametrize(
    "path",
    ["//folder", "//evil.test/folder", "/%2ffolder", "/%5cfolder", "/%5c%5cevil.test", "//evil.test/%2e%2e/folder"],
)
def test_no_redirect_leads_to_another_host(files: Site, root: Path, path: str) -> None:
    """CVE-2021-21330: `//host` in a Location is another host, and browsers take a backslash for a slash."""
    (root / "evil.test" / "folder").mkdir(parents=True)
    answer = files.get(path)
    assert answer.status == 404
    assert "Location" not in answer


# Types, and what browsers keep.


@each_of(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.ico", "image/vnd.microsoft.icon"),
        ("a.webp", "image/webp"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("A.HTML", "text/html; charset=utf-8"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.nonsense", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_type_is_told_by_the_ending(files: Site, root: Path, name: str, kind: str) -> None:
    (root / name).write_bytes(b"x")
    answer = files.get(f"/{name}")
    assert answer["Content-Type"] == kind
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_changed_file_shows_at_once(files: Site, root: Path) -> None:
    before = files.get("/index.html")
    assert before["Cache-Control"] == "no-cache"
    (root / "index.html").write_bytes(b"<p>HOME")
    os.utime(root / "index.html", ns=(1, 1))
    after = files.get("/index.html", If_None_Match=before["ETag"])
    assert (after.status, after.body) == (200, b"<p>HOME")
    assert after["ETag"] != before["ETag"]


def test_last_modified_is_the_time_of_the_file(files: Site, root: Path) -> None:
    os.utime(root / "index.html", (784_111_777.9, 784_111_777.9))
    assert files.get("/index.html")["Last-Modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"


@each_of(
    ("form", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ('W/"x", "y,z" ,W/{tag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("{bare}", 200),
        ('"{bare}', 200),
        ("nonsense", 200),
        ('"",,"', 200),
    ],
)
def test_if_none_match(files: Site, form: str, status: int) -> None:
    tag = files.get("/folder/file.bin")["ETag"]
    answer = files.get("/folder/file.bin", If_None_Match=form.format(tag=tag, bare=tag.strip('"')))
    assert answer.status == status
    if status == 304:
        assert answer["ETag"] == tag
        assert "Last-Modified" in answer
        assert "Content-Length" not in answer
        assert answer.body == b""


def test_if_none_match_may_come_in_several_lines(files: Site) -> None:
    """A list may be spread over fields of the same name (RFC 9110 §5.3)."""
    tag = files.get("/index.html")["ETag"]
    lines = request("GET", "/index.html").replace(
        b"\r\n\r\n", f'\r\nIf-None-Match: "a"\r\nIf-None-Match: {tag}\r\n\r\n'.encode()
    )
    assert files.connect().send(lines).next().status == 304


@pytest.mark.parametrize(
    ("since", "status"),
    [
        (0, 304),
        (3600, 304),
        (-3600, 200),
        ("nonsense", 200),
        ("Sun, 31 Feb 2099 00:00:00 GMT", 200),
        ("Sun, 06 Nov 99999999 08:49:37 GMT", 200),
    ],
)
def test_if_modified_since(files: Site, root: Path, since: int | str, status: int) -> None:
    changed = (root / "index.html").stat().st_mtime
    date = since if isinstance(since, str) else formatdate(changed + since, usegmt=True)
    assert files.get("/index.html", If_Modified_Since=date).status == status


def test_if_none_match_is_stronger_than_if_modified_since(files: Site) -> None:
    """RFC 9110 §13.2.2."""
    answer = files.get("/index.html")
    assert files.get("/index.html", If_None_Match='"x"', If_Modified_Since=answer["Last-Modified"]).status == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("{tag}", 200),
        ('"other", {tag}', 200),
        ("*", 200),
        ("W/{tag}", 412),  # the comparison is the strong one (RFC 9110 §13.1.1)
        ('"other"', 412),
        ('"x", W/{tag}', 412),
        ("{bare}", 412),
        ("nonsense", 412),
    ],
)
def test_if_match_gives_the_file_that_is_meant_or_none(files: Site, form: str, status: int) -> None:
    tag = files.get("/folder/file.bin")["ETag"]
    condition = form.format(tag=tag, bare=tag.strip('"'))
    for method, fields in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
        answer = files.ask(method, "/folder/file.bin", If_Match=condition, **fields)
        assert answer.status == (206 if fields and status == 200 else status)
        if status == 412 and method == "GET":
            assert answer.code == "precondition_failed"


@pytest.mark.parametrize(("until", "status"), [(0, 200), (3600, 200), (-3600, 412), ("nonsense", 200)])
def test_if_unmodified_since(files: Site, root: Path, until: int | str, status: int) -> None:
    changed = (root / "index.html").stat().st_mtime
    date = until if isinstance(until, str) else formatdate(changed + until, usegmt=True)
    assert files.get("/index.html", If_Unmodified_Since=date).status == status


def test_the_conditions_are_looked_at_in_the_order_of_the_standard(files: Site) -> None:
    """RFC 9110 §13.2.2: what is not meant is 412, whether or not the client has it; a date counts where no tag does."""
    tag = files.get("/index.html")["ETag"]
    old = formatdate(0, usegmt=True)
    assert files.get("/index.html", If_Match='"x"', If_None_Match=tag).status == 412
    assert files.get("/index.html", If_Match=tag, If_None_Match=tag).status == 304
    assert files.get("/index.html", If_Match=tag, If_Unmodified_Since=old).status == 200
    assert files.get("/index.html", If_Unmodified_Since=old, If_None_Match=tag).status == 412
    assert files.get("/nothing", If_Match="*").status == 404
    client = files.connect().get("/index.html", If_Match='"x"')
    assert client.next().status == 412
    assert client.get("/index.html").next().status == 200


# What a validator promises.


def test_content_that_changed_under_the_same_time_and_length_is_sent(files: Site, root: Path) -> None:
    """A deploy that keeps times (tar, rsync -t) and a second write within one tick must not be hidden by a 304."""
    page = root / "index.html"
    page.write_bytes(b"AAAA")
    os.utime(page, (1, 1))
    before = files.get("/index.html")
    stamped = page.stat().st_ctime_ns
    while page.stat().st_ctime_ns == stamped:  # the system stamps files by a tick of some milliseconds
        page.write_bytes(b"BBBB")
        os.utime(page, (1, 1))
    after = files.get("/index.html", If_None_Match=before["ETag"])
    assert (after.status, after.body) == (200, b"BBBB")


def test_a_file_that_changed_a_moment_ago_has_no_validator(files: Site, root: Path) -> None:
    """It may change again within the same tick, and then nothing would tell the two contents apart."""
    changed = (root / "index.html").stat().st_ctime
    files.server.wall = lambda: changed + 0.01
    fresh = files.get("/index.html")
    assert "ETag" not in fresh
    assert "Last-Modified" not in fresh
    date = formatdate(changed + 10, usegmt=True)
    assert files.get("/index.html", If_None_Match='"x", ""').status == 200
    assert files.get("/index.html", If_Modified_Since=date).status == 200
    files.server.wall = lambda: changed + 10
    assert "ETag" in files.get("/index.html")


@each_of("zone", ["America/Los_Angeles", "Asia/Tokyo", "UTC"])
@each_of(
    ("date", "status"),
    [
        ("Fri Nov 20 11:59:59 2026", 200),
        ("Fri Nov 20 12:00:00 2026", 304),
        ("Fri, 20 Nov 2026 11:59:59 -0000", 200),
        ("Fri, 20 Nov 2026 12:00:00 -0000", 304),
        ("Friday, 20-Nov-26 11:59:59 GMT", 200),
        ("Friday, 20-Nov-26 12:00:00 GMT", 304),
        ("Fri, 20 Nov 2026 12:00:00 GMT", 304),
    ],
)
def test_dates_are_in_utc_wherever_the_server_stands(
    files: Site, root: Path, monkeypatch: pytest.MonkeyPatch, zone: str, date: str, status: int
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        noon = 1_795_176_000
        os.utime(root / "index.html", (noon, noon))
        assert files.get("/index.html", If_Modified_Since=date).status == status
        until = 412 if status == 200 else 200
        assert files.get("/index.html", If_Unmodified_Since=date).status == until
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("seconds", [2**40, 253_402_300_800, -1, -(2**40)])
def test_a_time_that_no_date_can_tell_is_no_mistake_of_ours(files: Site, root: Path, seconds: int) -> None:
    """Nor is one in the future: Last-Modified is never later than Date (RFC 9110 §8.8.2.1)."""
    now = 1_795_176_000.5
    files.server.wall = lambda: now
    try:
        os.utime(root / "index.html", (seconds, seconds))
    except OverflowError:
        pytest.skip("this file system has no such time")
    answer = files.get("/index.html")
    assert answer.status == 200
    if "Last-Modified" in answer:
        told = answer["Last-Modified"]
        assert told == formatdate(min(max((root / "index.html").stat().st_mtime, 0), int(now)), usegmt=True)


def test_a_root_that_is_a_link_is_followed_where_it_leads_now(make_site: MakeSite, tmp_path: Path) -> None:
    """A deploy that switches the link needs no restart, and the old folder is not served any more."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.txt").write_text(name)
    link = tmp_path / "current"
    link.symlink_to("one")
    site = make_site(link)
    assert site.get("/page.txt").body == b"one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(link)
    assert site.get("/page.txt").body == b"two"
    (tmp_path / "two" / "out.txt").symlink_to("../one/page.txt")
    assert site.get("/out.txt").status == 404
    link.unlink()
    assert site.get("/page.txt").status == 404


def test_the_folder_for_well_known_files_is_no_hidden_one(files: Site, root: Path) -> None:
    """RFC 8615; everything else that begins with a dot stays hidden, in there too."""
    (root / ".well-known" / ".git").mkdir(parents=True)
    (root / ".well-known" / "security.txt").write_text("Contact: mailto:x@example.org")
    (root / ".well-known" / ".env").write_text("secret")
    (root / ".well-known" / ".git" / "config").write_text("secret")
    (root / "folder" / ".well-known").mkdir()
    (root / "folder" / ".well-known" / "x.txt").write_text("secret")
    (root / ".well-known" / "link.txt").symlink_to("../.env")
    assert files.get("/.well-known/security.txt").body.startswith(b"Contact")
    for path in (".well-known/.env", ".well-known/.git/config", "folder/.well-known/x.txt", ".well-known/link.txt"):
        assert files.get(f"/{path}").status == 404, path


def test_no_files_may_be_served_at_all(make_site: MakeSite) -> None:
    site = make_site(None)
    assert site.get("/index.html").status == 404
    assert site.get("/").status == 404


def test_a_page_without_an_icon_causes_no_error(make_site: MakeSite, tmp_path: Path) -> None:
    """Browsers ask for one with every page that names none."""
    site = make_site(tmp_path)
    answer = site.get("/favicon.ico")
    assert (answer.status, answer.body, answer["Cache-Control"]) == (204, b"", "max-age=86400")
    assert site.refused("not_found") == 0
    assert site.get("/folder/favicon.ico").status == 404
    (tmp_path / "favicon.ico").write_bytes(b"icon")
    assert site.get("/favicon.ico").body == b"icon"
