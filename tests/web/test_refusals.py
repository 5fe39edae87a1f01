"""Refusals as an `EventSource` meets them, which gives up for ever on any status but 200 (WHATWG HTML §9.2.3)."""

import json
import re
from typing import Any

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request
from tests.web.readers.test_eventsource import STREAM, blocks, follow
from tests.web.readers.test_ndjson import body_of


def refused(client: Client) -> dict[str, Any]:
    """The one event of a stream that is refused, and what its head has to say."""
    answer = client.next()
    assert answer.status == 200
    assert answer["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer["Cache-Control"] == "no-store, no-transform"
    match = re.fullmatch(r"retry: ([0-9]+)\nevent: refused\ndata: (.*)\n\n", answer.body.decode())
    assert match
    told: dict[str, Any] = json.loads(match[2])
    assert told["detail"]
    return {**told, "retry": int(match[1])}


def test_a_refusal_that_passes_is_a_stream_that_ends(make_site: MakeSite) -> None:
    """Any status but 200 would stop an EventSource for ever."""
    site = make_site(max_watchers=1)
    first = follow(site)
    told = refused(follow(site))
    assert (told["status"], told["code"]) == (503, "too_many_watchers")
    assert 5000 <= told["retry"] <= 6000, "what Retry-After would say"
    assert site.refused("too_many_watchers") == 1
    assert site.get("/topics/a").code == "too_many_watchers", "a poll still gets its status"
    assert site.connect().get("/topics/a", Accept="application/x-ndjson").next().status == 503
    first.reset()
    assert blocks(follow(site))


def test_so_is_one_for_want_of_connections(make_site: MakeSite) -> None:
    site = make_site(max_connections=1, origins="https://app.example")
    first = follow(site)
    second = follow(site, Origin="https://app.example")
    head = bytes(second.wire.arrived)
    assert refused(second)["code"] == "too_many_connections"
    assert b"\r\nAccess-Control-Allow-Origin: https://app.example\r\n" in head
    assert not second.served()
    polling = site.connect().get("/topics/a")
    poll = polling.next()
    assert (poll.status, poll.code) == (503, "too_many_connections")
    in_parts = site.connect()
    for at, part in enumerate(request("GET", "/topics/a", **STREAM).split(b"\r\n")[:-1]):
        assert in_parts.silent(), at
        in_parts.send(part + b"\r\n")
    assert refused(in_parts)["code"] == "too_many_connections"
    for client in (first, second, polling, in_parts):
        client.reset()
    assert blocks(follow(site))


def test_so_is_one_for_want_of_topics(make_site: MakeSite) -> None:
    site = make_site(max_topics=1)
    follow(site)
    for target in ("/topics/b?format=sse", "/topics/a,b?format=sse"):
        assert refused(site.connect().get(target))["code"] == "too_many_topics"


def test_a_page_of_an_allowed_origin_can_read_a_refusal(make_site: MakeSite) -> None:
    site = make_site(max_watchers=1, origins="https://app.example")
    follow(site)
    answer = follow(site, Origin="https://app.example").next()
    assert answer.status == 200
    assert answer["Access-Control-Allow-Origin"] == "https://app.example"


def test_one_that_does_not_pass_keeps_its_status(site: Site) -> None:
    """Then it is right that the EventSource stops."""
    assert follow(site, "/topics/a//b").next().status == 400
    assert follow(site, "/topics/a?since=nonsense").next().status == 400
    assert site.ask("POST", "/topics/nobody", b"1", **STREAM).status == 404


@pytest.mark.parametrize("target", ["/topics/a", "/topics/a,b", "/topics/*", "/topics?watch"])
def test_the_last_bytes_before_a_shutdown_say_to_come_back_when_it_is_over(make_site: MakeSite, target: str) -> None:
    site = make_site(drain=7)
    clients = [site.connect().get(target, **STREAM) for _ in range(10)]
    old = site.connect().send(request("GET", target, b"", "1.0", **STREAM))
    site.drain()
    for client in clients:
        assert bytes(client.wire.arrived).endswith(b"0\r\n\r\n")
        last = body_of(client.wire.arrived).decode().rpartition("\n\n")[2]
        assert re.fullmatch(r"retry: [0-9]+\n", last)
        assert 9000 <= int(last.removeprefix("retry: ")) <= 10_000
    assert re.search(rb"\nretry: [0-9]+\n\Z", old.wire.arrived)


def test_at_the_end_of_its_life_a_stream_says_nothing_new(make_site: MakeSite) -> None:
    site = make_site(stream_life=20)
    client = follow(site)
    site.advance(25)
    assert bytes(client.wire.arrived).endswith(b":\n\r\n0\r\n\r\n")


def test_while_the_server_shuts_down_a_new_stream_is_told_to_come_back_later(make_site: MakeSite) -> None:
    site = make_site(drain=7)
    holding = site.connect().send(b"GET ")
    site.drain()
    holding.send(request("GET", "/topics/a", **STREAM)[4:])
    told = refused(holding)
    assert (told["status"], told["code"]) == (503, "draining")
    assert told["retry"] >= 9000
