"""Each parameter on each route: it means something there, or the answer names it as ignored."""

import re
from typing import Final

import pytest

from slosh.web.query import COUNTING, ENDING, LISTING, PUBLISHING, READING
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import request

VALUES: Final = {
    "after": "a",
    "batch": "ndjson",
    "end": "",
    "every": "1s",
    "format": "json",
    "key": "host",
    "lastEventId": "epoch000.0",
    "limit": "5",
    "n": "0",
    "open": "",
    "patterns": "",
    "since": "now",
    "times": "",
    "wait": "0",
    "watch": "",
    "watchers": "",
}
"""Every parameter that any route knows, with a value that it may have."""

STREAMS: Final = {"since", "n", "limit", "every", "key", "times", "lastEventId"}
UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SSE: Final = {"Accept": "text/event-stream"}
ROUTES: Final[dict[str, tuple[str, str, dict[str, str], set[str]]]] = {
    "poll": ("GET", "/topics/a", {}, {"since", "n", "wait", "limit", "every", "key", "format", "times", "watchers"}),
    "poll from a place": ("GET", "/topics/a?since=now", {}, {"wait", "limit", "every", "key", "format", "times"}),
    "look": ("HEAD", "/topics/a", {}, {"since", "n", "limit", "key", "times", "watchers"}),
    "sse": ("GET", "/topics/a", SSE, STREAMS | {"format", "watchers"}),
    "ndjson": ("GET", "/topics/a?format=ndjson", {}, STREAMS | {"watchers"}),
    "websocket": ("GET", "/topics/a", UPGRADE, STREAMS),
    "watchers": ("GET", "/topics/a?watchers", {}, {"wait"}),
    "look at the watchers": ("HEAD", "/topics/a?watchers", {}, set()),
    "publish": ("POST", "/topics/b", {}, {"batch", "end", "open"}),
    "end": ("DELETE", "/topics/b", {}, set()),
    "list": ("GET", "/topics", {}, {"limit", "after", "watch", "patterns"}),
    "look at the list": ("HEAD", "/topics", {}, {"limit", "after", "patterns"}),
    "watch the list": ("GET", "/topics?watch", {}, {"every"}),
}
"""Each with the parameters that mean something there, besides those in its path."""


def test_all_parameters_are_tried() -> None:
    assert {*VALUES} == READING | COUNTING | PUBLISHING | ENDING | LISTING | {"lastEventId"}


@each_of("route", ROUTES)
def test_a_parameter_that_means_nothing_is_named_and_one_that_means_something_is_not(
    make_site: MakeSite, route: str
) -> None:
    """None is dropped in silence."""
    method, path, fields, known = ROUTES[route]
    site = make_site()
    for number, name in enumerate(VALUES):
        if f"?{name}" in path or (name == "watchers" and route in ("websocket", "poll from a place")):
            continue  # It would be another route.
        target = re.sub("/([ab])(?=$|[?])", rf"/\g<1>{number}", path)
        target += f"{'&' if '?' in target else '?'}{name}={VALUES[name]}"
        site.connect().get(f"/topics/b{number}")
        client = site.connect().send(request(method, target, b"1" if method == "POST" else b"", **fields))
        if not client.wire.arrived:  # It is held.
            site.post(f"/topics/a{number}", b"1")
            site.advance(1.1)
        head = bytes(client.wire.arrived).partition(b"\r\n\r\n")[0].decode()
        assert head.startswith("HTTP/1.1 "), (name, head)
        assert int(head[9:12]) < 400, (name, client.wire.arrived)
        assert (f"\r\nSlosh-Ignored: {name}" in head) == (name not in known), (name, head)


@each_of("target", ["/topics/a?times", "/topics/a?watchers", "/topics?watch"])
@each_of("value", ["no", "0", "false", "off", "maybe"])
def test_a_flag_with_a_value_is_refused_and_not_taken_for_its_opposite(
    make_site: MakeSite, target: str, value: str
) -> None:
    answer = make_site().get(f"{target}={value}&wait=0")
    assert (answer.status, answer.code) == (400, "bad_query")
    assert "Leave it out" in answer.json["detail"]


@pytest.mark.parametrize("value", ["", "1", "true", "True"])
def test_a_flag_may_be_affirmed(make_site: MakeSite, value: str) -> None:
    site = make_site(unwatched="keep")
    site.post("/topics/a", b"1")
    assert "times" in site.get(f"/topics/a?since=earliest&wait=0&times={value}").json


@pytest.mark.parametrize(
    ("query", "parameter"), [("span=bad", "span"), ("span=0", "span"), ("span=5+m+", "span"), ("key=a..b", "key")]
)
def test_the_viewer_refuses_what_it_cannot_show(make_site: MakeSite, query: str, parameter: str) -> None:
    answer = make_site().get(f"/view/a?{query}")
    assert (answer.status, answer.code, answer.json["parameter"]) == (400, "bad_query", parameter)


def test_the_viewer_takes_as_many_parameters_as_it_writes_into_its_address(make_site: MakeSite) -> None:
    assert make_site().get("/view/a?span=5m&key=&" + "&".join(f"hide=t{number}" for number in range(200))).status == 200


@pytest.mark.parametrize("topics", ["a,b", "*", "a,b,c/**"])
def test_watchers_of_several_topics_are_refused_with_what_to_write(make_site: MakeSite, topics: str) -> None:
    answer = make_site().get(f"/topics/{topics}?watchers")
    assert answer.status == 400
    assert "/topics/kitchen?watchers" in answer.json["detail"]
