"""A refusal is counted, whatever becomes of its connection, and logged once for each reason in a while."""

import logging
import re

import pytest

from slosh.http1.refusal_log import LONGEST_PATH, printable
from tests.web.conftest import MakeSite
from tests.web.harness import Site, request


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="slosh.refusals")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "slosh.refusals"]


def requests(site: Site) -> float:
    return site.metrics()["slosh_requests_total"]


def test_a_refusal_names_its_reason_and_its_request(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site()
    assert site.ask("DELETE", "/nothing").status == 405
    assert lines(caplog) == ["refused DELETE /nothing from 192.0.2.1: 405 method_not_allowed"]
    assert caplog.records[-1].levelno == logging.INFO


def test_one_reason_has_one_line_in_ten_seconds(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site()
    for _ in range(5):
        site.get("/nothing")
    assert len(lines(caplog)) == 1
    site.ask("DELETE", "/nothing")
    assert len(lines(caplog)) == 2, "another reason has a line of its own"
    site.loop.advance(9.9)
    site.get("/nothing")
    assert len(lines(caplog)) == 2
    site.loop.advance(0.2)
    site.get("/other")
    assert lines(caplog)[2:] == [
        "refused GET /other from 192.0.2.1: 404 not_found (5 more of these since the last line)"
    ]
    assert site.refused("not_found") == 7, "all are counted"


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"nonsense\r\n\r\n", "a request without a head from 192.0.2.1: 400 bad_http"),
        (b"\xff\x00", "a request without a head from 192.0.2.1: 400 bad_http"),
        (b"GET / HTTP/1.1\r\n\r\n", "GET / from 192.0.2.1: 400 bad_http"),
        (b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\\x1b[31m from 192.0.2.1: 400 bad_http"),
        (b"BREW /a?token=s3cret HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /a from 192.0.2.1: 501 method_unknown"),
        (b"GET /a?token=s3cret HTTP/2.0\r\nHost: a\r\n\r\n", "GET /a from 192.0.2.1: 505 http_version"),
        (b"GET http://u:s3cret@h/ HTTP/1.1\r\nHost: a\r\n\r\n", "a request without a head from 192.0.2.1: 400 bad_"),
        (b"GET /" + b"a" * 20_000, f"GET /{'a' * (LONGEST_PATH - 1)}... from 192.0.2.1: 431 head_too_large"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "GET /a from 192.0.2.1: 417 expectation_failed"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "TLS on a port for plain HTTP from 192.0.2.1: 400 bad_http"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", "TLS on a port for plain HTTP from 192.0.2.1: 400 bad_http"),
    ],
)
def test_refusals_that_close_are_counted_as_requests_answered(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture, head: bytes, told: str
) -> None:
    """And they are logged with as much of the request as was understood, but nothing secret."""
    site = make_site()
    before = requests(site)
    assert site.connect().send(head).next().status == int(re.findall(r" ([45]\d\d) ", told)[0])
    assert requests(site) - before == 2, "it, and the first look at the metrics"
    (line,) = lines(caplog)
    assert line.startswith(f"refused {told}")
    assert "s3cret" not in line


def test_tls_on_the_plain_port_is_told_as_that(make_site: MakeSite) -> None:
    answer = make_site().connect().send(b"\x16\x03\x01\x02\x00\x01\x00").next()
    assert "Write http:// instead of https://" in answer.json["detail"]


@pytest.mark.parametrize("body", [b"1", b"nonsense", b"1" * 2000])
def test_the_path_is_that_of_the_request_also_where_its_head_is_like_one_before(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """Heads that differ in the topic alone are parsed once."""
    site = make_site(max_message=1000, unwatched="keep", max_topics=1)
    assert site.post("/topics/first", b"1").status == 200
    client = site.connect()
    assert client.send(request("POST", "/topics/first", b"2")).next().status == 200
    assert client.send(request("POST", "/topics/second", body)).next().status >= 400
    assert " /topics/second from " in lines(caplog)[0]


def test_the_path_is_that_of_the_request_also_where_a_line_of_a_large_batch_is_none(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site()
    for topic in ("first", "second"):
        site.connect().get(f"/topics/{topic}")
    lines_of_json = b"1\n" * 9000
    assert site.ask("POST", "/topics/first?batch=ndjson", lines_of_json).status == 200
    assert site.ask("POST", "/topics/second?batch=ndjson", lines_of_json + b"x").status == 400
    assert lines(caplog)[0].startswith("refused POST /topics/second from ")


def test_the_path_is_that_of_the_request_also_where_its_body_is_late(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(unwatched="keep")
    whole = request("POST", "/topics/first", b"2")
    assert site.connect().send(whole).next().status == 200
    client = site.connect().send(whole.replace(b"first", b"other")[:-1])
    site.advance(31)
    assert client.next().status == 408
    assert " /topics/other from " in lines(caplog)[0]


def test_so_are_those_beyond_a_bound_of_connections(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site(max_connections_per_address=1)
    site.connect(("198.51.100.1", 1))
    assert site.connect(("198.51.100.1", 2)).next().status == 503
    assert lines(caplog) == ["refused a request without a head from 198.51.100.1: 503 too_many_connections"]


def test_a_line_has_no_query_and_nothing_but_printable_ascii(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site()
    site.connect().send(request("DELETE", "/a%0Ab?token=s3cret", Authorization="Bearer s3cret"))
    site.loop.advance(20)
    site.connect().send("GET /caf\u00e9/".encode() + b"x" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    for line in lines(caplog):
        assert line.isascii()
        assert line.isprintable()
        assert "s3cret" not in line
        assert len(line) < 1000
    assert len(lines(caplog)) == 2


def test_the_address_is_the_clients_where_a_trusted_proxy_tells_it(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site()
    client = site.connect(("127.0.0.1", 1))
    client.send(request("GET", "/nothing", **{"X-Forwarded-For": "203.0.113.9"}))
    assert " from 203.0.113.9: 404 " in lines(caplog)[0]


@pytest.mark.parametrize(("level", "number"), [("debug", 10), ("info", 20), ("warning", 30)])
def test_the_level_is_a_setting(make_site: MakeSite, caplog: pytest.LogCaptureFixture, level: str, number: int) -> None:
    site = make_site(log_refusals=level)
    site.get("/nothing")
    assert [record.levelno for record in caplog.records if record.name == "slosh.refusals"] == [number]


def test_off_logs_none(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site(log_refusals="off")
    site.get("/nothing")
    assert not lines(caplog)
    assert site.refused("not_found") == 1


def test_an_unwatched_topic_is_no_fault(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site()
    assert site.post("/topics/a", b"1").code == "no_watchers"
    assert not lines(caplog)
    assert site.refused("no_watchers") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a\r\nb", "/a\\r\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("日\u202e", "\\u65e5\\u202e"),
        ("\\", "\\\\"),
    ],
)
def test_nothing_of_a_request_can_change_a_terminal_or_forge_a_line(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_path_is_cut() -> None:
    assert printable("x" * (LONGEST_PATH + 1)) == "x" * LONGEST_PATH + "..."
