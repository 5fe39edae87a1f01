"""The protocol's own example and its sharpest promises, with a real server and real curl."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.e2e.server import Answer, CurlPoll, Serving, curl
from tests.running import PATIENCE

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for all; each test has topics of its own."""
    need("curl")
    with Serving(tmp_path_factory.mktemp("server"), "--linger=60") as server:
        yield server
        server.assert_healthy()


def test_the_example_of_the_protocol_with_a_cookie_jar(server: Serving, tmp_path: Path) -> None:
    """docs/protocol.md section 3, to the letter."""
    url = server.topic("example")
    jar = ("-b", tmp_path / "jar", "-c", tmp_path / "jar")
    message = '{"response":{"message":[{"@id":"123","event":"Some Event Text"}]}}'
    poll = CurlPoll(*jar, url)
    server.until_watched(1)
    assert curl("-d", message, url).status == 200
    first = poll.answer()
    assert (first["max"], first["saw"], first["delivering"]) == (1, 1, 1)
    assert first["res"] == [json.loads(message)]
    for _ in range(3):
        assert curl("-d", message, url).status == 200
    second = curl(*jar, url).json
    assert (second["max"], second["saw"], second["delivering"]) == (4, 3, 3)
    assert second["res"] == [json.loads(message)] * 3


def test_two_readers_on_one_topic_both_get_each_message(server: Serving, tmp_path: Path) -> None:
    """Each with a cookie jar, over several rounds."""
    url = server.topic("two")
    jars = [("-b", tmp_path / name, "-c", tmp_path / name) for name in ("one", "other")]
    for number in range(1, 6):
        polls = [CurlPoll(*jar, url) for jar in jars]
        server.until_watched(2)
        assert server.post(b"%d" % number, "two").json["watchers"] == 2
        assert [poll.answer()["res"] for poll in polls] == [[number], [number]]


def test_a_ring_of_100_after_250_posts_tells_150_lost(server: Serving) -> None:
    url = server.topic("ring")
    start = curl(f"{url}?wait=0").json["next"]
    # One curl with 250 transfers on one connection, one after the other.
    posts = [part for number in range(250) for part in ("--next", "-sS", "-d", str(number), "-o", "/dev/null", url)]
    curl("-o", "/dev/null", f"{url}?wait=0", *posts)
    answer = curl(f"{url}?since={start}").json
    assert (answer["saw"], answer["delivering"], answer["lost"]) == (250, 100, 150)
    assert answer["res"] == list(range(150, 250))


@pytest.mark.parametrize(
    "message",
    [
        *("{}", "[]", '""', "0", "true", "false", "null", '{"z":1,"a":[{"b":null}]}', "[1,2,3]"),
        *('"Zürich, 東京, 🎈"', '{"ключ":"значение"}', '"\\u00e9\\n\\"\\\\"'),
        *("9007199254740993", "123456789012345678901234567890", "1e400", "0.10000000000000000555", "-0.0", "1.50"),
    ],
)
def test_a_message_comes_out_byte_for_byte_as_it_went_in(server: Serving, message: str) -> None:
    body = message.encode()
    url = server.topic("bytes")
    start = curl(f"{url}?wait=0").json["next"]
    assert curl("-d", body.decode(), url).status == 200
    assert b'"res":[' + body + b"]" in curl(f"{url}?since={start}").body


def test_a_message_of_one_mebibyte_is_taken_and_one_byte_more_is_not(server: Serving) -> None:
    url = server.topic("large")
    curl(f"{url}?wait=0")
    message = b'"%b"' % (b"x" * (MIB - 2))
    assert server.post(message, "large").status == 200
    assert curl(f"{url}?since=earliest").body.count(message) == 1
    for how in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
        answer = curl(*how, url, data=message + b" ")
        assert (answer.status, answer.json["code"], answer.json["limit"]) == (413, "too_large", MIB)
    assert curl(f"{url}?since=earliest").json["max"] == 1


def test_what_nobody_watches_is_told_so(server: Serving) -> None:
    answer = server.post(b"1", "nobody")
    assert (answer.status, answer.json["code"]) == (404, "no_watchers")


def test_an_answer_lost_on_the_wire_comes_again(server: Serving) -> None:
    """The first curl is told to give up in the middle of a large answer."""
    url = server.topic("again")
    start = curl(f"{url}?wait=0").json["next"]
    message = b'"%b"' % (b"y" * (MIB - 2))
    server.post(message, "again")
    torn = CurlPoll("-o", "/dev/null", f"{url}?since={start}", "--max-filesize", "1000")
    assert torn.wait(PATIENCE) != 0
    assert message in curl(f"{url}?since={start}").body


def test_the_document_root_serves_the_example_on_the_same_port(server: Serving) -> None:
    assert b"<html" in curl(f"{server.url}/").body
    assert curl("-I", f"{server.url}/").status == 200
    assert curl("--path-as-is", f"{server.url}/../../../etc/passwd").status == 404
    assert curl("-r", "0-0", f"{server.url}/index.html") == Answer(206, b"<")
