"""What is told to somebody who made a mistake: the mistake, what was given, and what to write instead."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from slosh.errors import SloshError
from tests.cases import each_of
from tests.test_errors import EXAMPLES, KINDS, example
from tests.web.conftest import MakeSite
from tests.web.harness import Response, Site, request
from tests.web.test_parameters import UPGRADE

SECRET: Final = "hunter2"


class Mistake(NamedTuple):
    """A mistake, and what its refusal has to hold.

    Attributes:
        code: of the error.
        ask: makes it.
        told: texts that name it, what was given, and what to write instead.
        settings: of the site.
    """

    code: str
    ask: Callable[[Site], Response]
    told: tuple[str, ...]
    settings: dict[str, Any] = {}  # noqa: RUF012 - a default that nobody changes


def get(target: str, **fields: str) -> Callable[[Site], Response]:
    return lambda site: site.get(target, **fields)


def post(target: str, body: bytes, **fields: str) -> Callable[[Site], Response]:
    def ask(site: Site) -> Response:
        site.get("/topics/a?wait=0")
        return site.post(target, body, **fields)

    return ask


def say(*words: bytes) -> Callable[[Site], Response]:
    return lambda site: site.connect().send(b"\r\n".join((*words, b"", b""))).next()


def late(data: bytes) -> Callable[[Site], Response]:
    def ask(site: Site) -> Response:
        client = site.connect().send(data)
        site.advance(31)
        return client.next()

    return ask


def twice(first: str, second: str) -> Callable[[Site], Response]:
    def ask(site: Site) -> Response:
        site.connect().get(first)
        return site.get(second)

    return ask


def ended(site: Site) -> Response:
    site.connect().get("/topics/a?format=sse")
    site.ask("DELETE", "/topics/a")
    return site.post("/topics/a", b"1")


def draining(site: Site) -> Response:
    site.server.draining = True
    return site.get("/topics/a?format=ndjson")


HOST: Final = b"Host: localhost"
MISTAKES: Final = (
    *(
        Mistake("bad_query", get(f"/topics/a?{name}={value}"), (name, f'"{value}"', right))
        for name, value, right in (
            ("since", "yesterday", "90s, 10m, 2h"),
            ("n", "-1", "a whole number from 0 on"),
            ("wait", "long", "0 asks for an answer at once"),
            ("limit", "all", "Leave it out for all"),
            ("limit", "0", "1 or more"),
            ("every", "often", "250ms"),
            ("key", "a..b", "host.name"),
            ("format", "xml", "json, sse or ndjson"),
            ("times", "no", "Leave it out"),
            ("watchers", "no", "Leave it out"),
        )
    ),
    Mistake("bad_query", get("/topics/a?since="), ("since", "Here it is empty")),
    Mistake("bad_query", get("/topics/a,b?watchers"), ("/topics/kitchen?watchers",)),
    Mistake("bad_query", get("/topics?limit=all"), ("1 to 1000", '"all"')),
    Mistake("bad_query", get("/view/a?span=week"), ("span", "10m", '"week"')),
    Mistake("bad_query", post("/topics/a?batch=csv", b"1"), ("ndjson", '"csv"')),
    Mistake("bad_topic", get("/topics/a//b"), ("empty", "'a//b'")),
    Mistake("bad_topic", get("/topics/"), ("/topics/<name>",)),
    Mistake("bad_topic", get("/topics/a,,b"), ("/topics/a,b",)),
    Mistake("bad_topic", get("/topics/" + "/".join("a" * 17)), ("16", "17")),
    Mistake("bad_topic", get("/topics/" + "a" * 300), ("255", "300")),
    Mistake("bad_topic", post("/topics/a%2Cb", b"1"), ("comma", "'a,b'", "Only readers")),
    Mistake("bad_request", get("/topics/%ff"), ("UTF-8",)),
    Mistake("bad_request", get("/topics/a?" + "&".join("abcdefgh" * 9)), ("64", "72")),
    Mistake("bad_json", post("/topics/a", b"{'t': 1}"), ("byte 1", "double quotes")),
    Mistake("bad_json", post("/topics/a", b""), ("empty", "null")),
    Mistake("bad_json", post("/topics/a?batch=ndjson", b"1\nx"), ("Line 2", "Nothing was stored")),
    Mistake("bad_http", say(b"\x16\x03\x01"), ("TLS", "http://")),
    Mistake("bad_http", say(b"GET / HTTP/1.1"), ("names its host",)),
    Mistake("http_version", say(b"GET / HTTP/2.0", HOST), ("ask with HTTP/1.1",)),
    Mistake("method_unknown", say(b"get / HTTP/1.1", HOST), ("get", "GET", "upper case")),
    Mistake("expectation_failed", say(b"GET / HTTP/1.1", HOST, b"Expect: tea"), ("100-continue",)),
    Mistake("head_too_large", say(b"GET /" + b"a" * 20_000 + b" HTTP/1.1", HOST), ("16384", "max_head")),
    Mistake("too_large", post("/topics/a", b"1" * 20), ("10 bytes", "max_message"), {"max_message": 10}),
    Mistake("request_timeout", late(b"GET / HTTP/1.1\r\n"), ("head_timeout",)),
    Mistake("request_timeout", late(request("POST", "/topics/a", b"12")[:-1]), ("body_timeout",)),
    Mistake("unsupported_encoding", post("/topics/a", b"1", Content_Encoding="gzip"), ("without a Content-Encoding",)),
    Mistake("not_found", get("/kitchen"), ("/topics/<name>",)),
    Mistake("no_watchers", lambda site: site.post("/topics/nobody", b"1"), ("GET of the same URL", "--unwatched keep")),
    Mistake("ended", ended, ("another name",)),
    Mistake("method_not_allowed", lambda site: site.ask("PUT", "/topics/a"), ("GET, HEAD, POST",)),
    Mistake("upgrade_required", get("/topics/a", **(UPGRADE | {"Sec-WebSocket-Version": "8"})), ("Version 13",)),
    Mistake("unknown_host", get("/", Host="evil.example"), ("evil.example", "--hosts"), {"hosts": "good.example"}),
    Mistake("foreign_origin", post("/topics/a", b"1", Origin="http://x.example"), ("--origins http://x.example",)),
    Mistake("foreign_origin", post("/topics/a", b"1", Origin="null"), ("Pages of null", "--origins '*'")),
    Mistake("foreign_origin", post("/topics/a", b"1", Origin="file://"), ("Pages of file://", "--origins '*'")),
    Mistake("too_many_topics", twice("/topics/a", "/topics/b"), ("1 (max_topics)",), {"max_topics": 1}),
    Mistake("too_many_watchers", twice("/topics/a", "/topics/a"), ("1 (max_watchers)",), {"max_watchers": 1}),
    Mistake("share_used_up", twice("/topics/a", "/topics/b"), ("1", "linger"), {"max_topics_per_address": 1}),
    Mistake("draining", draining, ("Try again",)),
)


@each_of("mistake", MISTAKES, ids=lambda each: f"{each.code}: {each.told[0]}")
def test_a_mistake_is_told_with_what_was_given_and_what_to_write_instead(
    make_site: MakeSite, tmp_path: Path, mistake: Mistake
) -> None:
    answer = mistake.ask(make_site(**mistake.settings))
    problem = answer.json
    assert problem["code"] == mistake.code
    for text in mistake.told:
        assert text in problem["detail"]
    assert len(problem["detail"]) <= 500, "a sentence or two"


ELSEWHERE: Final = {
    "internal": "needs a mistake of slosh",
    "setting": "tests/settings/test_sources.py",
    "cannot_listen": "tests/test_listening.py",
    "too_few_files": "tests/test_descriptors.py",
    "precondition_failed": "tests/web/test_downloads.py",
    "range_not_satisfiable": "tests/web/test_downloads.py",
    "unauthorized": "tests/web/admission/test_gate.py",
    "forbidden": "tests/web/admission/test_gate.py",
    "too_many_connections": "tests/http1/test_reserve.py",
    "too_many_downloads": "tests/web/test_downloads.py",
    "rate_limited": "tests/web/admission/test_gate.py",
    "too_many_held": "tests/web/admission/test_gate.py",
    "too_many_patterns": "tests/web/test_bounds.py",
    "memory": "tests/core/test_hub.py",
    "engine_unreachable": "tests/engine",
    "engine_busy": "tests/engine",
    "engine_full": "tests/engine",
    "engine_failed": "tests/engine",
    "unavailable": "the base of those that pass",
}
"""Codes whose refusals are provoked by other tests, which look at their words too."""


def test_every_code_is_walked_through() -> None:
    assert {each.code for each in KINDS} == {each.code for each in MISTAKES} | {*ELSEWHERE}


@each_of("kind", KINDS, ids=lambda each: each.__name__)
def test_what_an_error_says_by_itself_names_a_way_out(kind: type[SloshError]) -> None:
    """Those whose words are given where they are raised are walked through above."""
    told = example(kind).detail
    if told != EXAMPLES["detail"]:
        assert re.search(r"[.:;,] [A-Za-z]|takes|gives|spoken|\d", told), told


@each_of(
    "target",
    [
        *("/topics/a,b?history=1h", "/topics/a*?history=1h", "/topics/a?history=1h&format=sse", "/topics/a,b?n=5"),
        *("/topics/a,b?watchers=1", "/topics?patterns=1&limit=5"),
    ],
)
def test_a_value_is_not_repeated_where_another_one_would_be_refused_too(make_site: MakeSite, target: str) -> None:
    answer = make_site().get(target)
    assert answer.status == 400
    assert "Here it is" not in answer.json["detail"]


@pytest.mark.parametrize("target", ["/topics?end=1", "/topics?open=1"])
def test_nor_that_of_a_publish(make_site: MakeSite, target: str) -> None:
    answer = make_site().post(target, b"1")
    assert answer.status == 400
    assert "Here it is" not in answer.json["detail"]


def test_of_a_parameter_that_comes_twice_the_value_that_counts_is_told(make_site: MakeSite) -> None:
    site = make_site()
    assert site.get("/view/a?span=1h&span=week").status == 200
    assert site.get("/view/a?span=week&span=1h").json["detail"].endswith('Here it is "week".')
    assert site.get("/topics/a?limit=no&limit=1").json["detail"].endswith('Here it is "no".')


def test_a_long_value_is_cut_and_nothing_in_it_can_forge_anything(make_site: MakeSite) -> None:
    told = make_site().get("/topics/a?since=" + "x" * 200).json["detail"]
    assert told.endswith('Here it is "' + "x" * 57 + '...".')
    assert "\\u001b" in make_site().get("/topics/a?since=%1b[31m").json["detail"]


@pytest.mark.parametrize(
    "target",
    [f"/topics/a?since=x&access_token={SECRET}", f"/topics/a?access_token={SECRET}&limit=no", "/topics?limit=x"],
)
def test_no_refusal_repeats_a_token(make_site: MakeSite, target: str) -> None:
    answer = make_site(token_in_query="on").get(target, Authorization=f"Bearer {SECRET}", Cookie=f"s={SECRET}")
    assert answer.status >= 400
    assert SECRET.encode() not in answer.body
