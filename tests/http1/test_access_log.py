"""Which requests are logged, and what of them."""

import logging
import random

import pytest

from slosh.http1.access_log import AccessLog
from tests.web.conftest import MakeSite
from tests.web.harness import request


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="slosh.access_log")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "slosh.access_log"]


def test_it_is_off_unless_it_is_asked_for(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site()
    site.get("/topics/a?wait=0")
    assert not lines(caplog)


def test_each_request_has_a_line_once_it_is_answered(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site(access_log=1, unwatched="keep")
    client = site.connect()
    for topic in ("one", "two"):  # whose heads differ in the topic alone
        client.send(request("POST", f"/topics/{topic}?x=s3cret", b'"s3cret"')).next()
    client.send(request("GET", "/nothing")).next()
    held = site.connect().get("/topics/one")
    assert len(lines(caplog)) == 3, "what is held is not answered"
    site.advance(2)
    client.send(request("POST", "/topics/one", b"1")).next()
    held.next()
    assert lines(caplog) == [
        "POST /topics/one from 192.0.2.1: 200 in 0.000 s",
        "POST /topics/two from 192.0.2.1: 200 in 0.000 s",
        "GET /nothing from 192.0.2.1: 404 in 0.000 s",
        "POST /topics/one from 192.0.2.1: 200 in 0.000 s",
        "GET /topics/one from 192.0.2.1: 200 in 2.000 s",
    ]


def test_a_client_that_leaves_has_a_line_and_leaves_nothing_behind(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(access_log=1)
    site.connect().get("/topics/a").reset()
    site.connect().send(b"POST /topics/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").reset()
    assert lines(caplog) == ["GET /topics/a from 192.0.2.1: a stream, or a client that left, in 0.000 s"]
    access_log = site.server.access_log
    assert access_log is not None
    assert not access_log._begun


def test_a_path_cannot_forge_a_line(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site(access_log=1)
    site.get("/a%0AGET%20/b%1B[2J%C3%A9")
    access_log = site.server.access_log
    assert access_log is not None
    # No head with such a path is read, but this is not to hang on that.
    access_log.begin(site, "GET", "/caf\u00e9\x1b[2J\nGET /b", "192.0.2.1")
    access_log.end(site, b"HTTP/1.1 200 OK\r\n", "a\nname")
    assert len(lines(caplog)) == 2
    for line in lines(caplog):
        assert line.isascii()
        assert line.isprintable()


@pytest.mark.parametrize("every", [1, 2, 10, 1000])
def test_one_of_so_many_is_chosen_by_chance_on_average(every: int) -> None:
    chance = random.Random(7)
    access_log = AccessLog(every, lambda: 0.0, chance.random)
    count = 200 * every
    chosen = [number for number in range(count) if access_log.is_due()]
    assert 0.8 * count / every <= len(chosen) <= 1.2 * count / every
    if every > 1:
        assert {number % 2 for number in chosen} == {0, 1}, "no pattern of requests is missed"


def test_a_line_names_the_token_and_never_tells_it(make_site: MakeSite, caplog: pytest.LogCaptureFixture) -> None:
    site = make_site(access_log=1)
    access_log = site.server.access_log
    assert access_log is not None
    connection = object()
    access_log.begin(connection, "GET", "/a", "192.0.2.1")
    access_log.end(connection, b"HTTP/1.1 200 OK\r\n", "feeder\n\x1b[2J")
    assert lines(caplog) == ["GET /a from 192.0.2.1 with the token feeder\\n\\x1b[2J: 200 in 0.000 s"]
