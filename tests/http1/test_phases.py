"""A connection changes its phase by the steps of the table alone, whatever its client does."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.compiled import is_compiled
from slosh.http1.connection import Connection
from slosh.http1.phases import CLOSED, CLOSING, IDLE, NAMES, STEPS
from tests.properties import PROPERTY
from tests.web.harness import Client, Site, request

if TYPE_CHECKING:
    from slosh.http1.protocol import HttpConnection

PARTS = (
    request("GET", "/topics/a"),
    request("GET", "/topics/a?wait=0"),
    request("GET", "/topics/a", Accept="text/event-stream"),
    request("GET", "/topics/a,b", Connection="close"),
    request("GET", "/-/healthy"),
    request("POST", "/topics/a", b"1"),
    request("POST", "/topics/a", b'{"a": 1}')[:-3],
    request("POST", "/topics/a", b"x" * 4000)[:-3990],
    b"POST /topics/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"1\r\n7\r\n0\r\n\r\n",
    b"GET /topics/a HTTP/1.1\r\nHo",
    b"st: h\r\n\r\n",
    b"\r\n",
    b"rubbish",
)
ACTS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(PARTS)),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 9.0, 40.0, 90.0])),
    st.sampled_from([("take nothing",), ("take",), ("half-close",), ("reset",), ("publish",), ("drain",)]),
)

Step = tuple[int, int]


class Recorder:
    """Stands in for the attribute `phase` of connections, and keeps each step that one takes."""

    def __init__(self, slot: Any) -> None:
        self.steps: set[Step] = set()
        self._slot = slot

    def __get__(self, owner: Connection | None, kind: type) -> Any:
        return self if owner is None else self._slot.__get__(owner, kind)

    def __set__(self, owner: Connection, phase: int) -> None:
        try:
            before = self._slot.__get__(owner)
        except AttributeError:
            assert phase == IDLE, "a connection begins idle"
        else:
            if before != phase:
                self.steps.add((before, phase))
        self._slot.__set__(owner, phase)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    if is_compiled():
        pytest.skip("an attribute of a compiled class cannot be watched")
    recorder = Recorder(vars(Connection)["phase"])
    monkeypatch.setattr(Connection, "phase", recorder)
    yield recorder
    assert not {f"{NAMES[old]} -> {NAMES[new]}" for old, new in recorder.steps if new not in STEPS[old]}


def act(site: Site, client: Client, kind: str, *what: Any) -> None:
    if kind == "send":
        client.send(*what)
    elif kind == "wait":
        site.advance(*what)
    elif kind == "take nothing":
        client.take_nothing()
    elif kind == "take":
        client.take()
    elif kind == "half-close":
        client.half_close()
    elif kind == "reset":
        client.reset()
    elif kind == "publish":
        site.post("/topics/a", b"1" * 2000)
    else:
        site.server.draining = True
        for each in tuple(site.server.connections):
            exchange = each.drain()
            if exchange is not None:
                exchange.end()


@PROPERTY
@given(acts=st.lists(ACTS, max_size=12))
def test_a_client_leads_a_connection_through_the_table_alone(acts: list[tuple[Any, ...]]) -> None:
    if is_compiled():
        pytest.skip("an attribute of a compiled class cannot be watched")
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(vars(Connection)["phase"])
        patch.setattr(Connection, "phase", recorder)
        site = Site()
        client = site.connect()
        for each in acts:
            if client.wire.is_open():
                act(site, client, *each)
        site.close()
        assert not {f"{NAMES[old]} -> {NAMES[new]}" for old, new in recorder.steps if new not in STEPS[old]}


STORIES: dict[str, list[tuple[Any, ...]]] = {
    "idle to held, as a connection beyond max_connections": [],
    "a head in parts": [("send", PARTS[11]), ("send", PARTS[12])],
    "a head that is refused": [("send", PARTS[11]), ("send", b"\n\n"), ("reset",)],
    "a client that leaves in its head": [("send", PARTS[11]), ("reset",)],
    "a body in parts": [("send", PARTS[6]), ("send", b"1}}")],
    "a body after a head in parts": [("send", PARTS[6][:20]), ("send", PARTS[6][20:]), ("reset",)],
    "a body that is late": [("send", PARTS[6]), ("wait", 900.0)],
    "a body whose client leaves": [("send", PARTS[6]), ("reset",)],
    "a poll that is answered": [("send", PARTS[0]), ("publish",), ("reset",)],
    "a poll whose client leaves": [("send", PARTS[0]), ("reset",)],
    "a poll that is the last": [("send", PARTS[3]), ("publish",)],
    "an answer that is the last": [("send", request("GET", "/-/healthy", Connection="close"))],
    "idle for long": [("wait", 900.0)],
    "shut down": [("drain",)],
}


def test_each_step_of_the_table_is_taken_by_some_client(recorder: Recorder) -> None:
    """So the table has no row that guards nothing."""
    for story in STORIES.values():
        site = Site()
        client = site.connect()
        for each in story:
            act(site, client, *each)
        site.advance(900.0)
        site.close()
    full = Site(max_connections=1)
    full.connect()
    full.connect().get("/-/healthy")
    full.connect().half_close()
    full.connect().reset()
    full.close()
    never = {(old, new) for old in STEPS for new in STEPS[old]} - recorder.steps
    assert not {f"{NAMES[old]} -> {NAMES[new]}" for old, new in never}


def test_nothing_leaves_the_end(recorder: Recorder) -> None:
    site = Site()
    client = site.connect().get("/topics/a")
    connection: HttpConnection = client.connection
    client.half_close()
    assert connection.phase >= CLOSING
    client.reset()
    assert connection.phase == CLOSED
    connection.finish(b"late")
    connection.abandon()
    assert connection.phase == CLOSED
    site.close()
    assert recorder.steps
