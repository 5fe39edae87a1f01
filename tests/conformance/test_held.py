"""A request behind one that hangs waits for it, however the bytes are cut and whatever it asks for.

The central risk of a long-poll server (Twisted CVE-2024-41671, CVE-2023-46137): the answer to the second request is
taken for the first one's.
"""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from slosh.http1.connection import Connection
from slosh.http1.exchange import Exchange
from slosh.http1.handler import Action, Application
from slosh.http1.head import Head
from slosh.settings import Settings
from tests.conformance.case import chunked, get, post
from tests.conformance.fake import FakeClient
from tests.conformance.wire import parse

HELD = get(target=b"/held")
ANSWER_NOW = st.booleans()


class Held(Exchange):
    """A request that hangs until the test answers it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.gone = 0

    def answer(self) -> None:
        self.connection.respond(200, b"", b"held")

    def end(self) -> None:
        """Nothing: the test decides when it is answered."""

    def lost(self) -> None:
        self.gone += 1


class Hanging(Application):
    """An application in which `/held` hangs and everything else echoes. It remembers in which order it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held: deque[Held] = deque()

    def route(self, head: Head) -> Action:  # noqa: ARG002 - one action for all
        return HangOrEcho(self.asked, self.held)


class HangOrEcho(Action):
    """Its one action."""

    def __init__(self, asked: list[str], held: deque[Held]) -> None:
        self.asked = asked
        self.held = held
        self.max_body = 1 << 20

    def run(self, connection: Connection, body: bytes) -> None:
        self.asked.append(connection.head.path)
        if connection.head.path == "/held":
            self.held.append(Held(connection))
            connection.hold(self.held[-1])
        else:
            connection.respond(200, b"", body or b"at once")


def begin() -> tuple[FakeClient, Hanging]:
    application = Hanging()
    return FakeClient(Settings(), application), application


def bodies(client: FakeClient) -> list[bytes]:
    return [answer.body for answer in parse(client.output, ended=client.hung_up())]


def test_what_comes_behind_a_hanging_request_is_not_even_looked_at_before_it_is_answered() -> None:
    client, application = begin()
    client.feed(HELD + get(target=b"/next") + post(b"Content-Length: 2", body=b"ab"))
    assert application.asked == ["/held"]
    assert client.output == b""
    application.held.popleft().answer()
    client.loop.settle()
    assert application.asked == ["/held", "/next", "/"]
    assert bodies(client) == [b"held", b"at once", b"ab"]


def test_nonsense_behind_a_hanging_request_does_not_disturb_it() -> None:
    client, application = begin()
    client.feed(HELD, b"NONSENSE\r\n\r\n")
    assert not client.hung_up()
    assert client.output == b""
    application.held.popleft().answer()
    client.loop.settle()
    answers = parse(client.output, ended=client.hung_up())
    assert [answer.status for answer in answers] == [200, 400]
    assert client.hung_up()


def test_a_body_is_not_asked_for_before_the_answer_that_is_due_first() -> None:
    client, application = begin()
    client.feed(HELD, post(b"Content-Length: 2", b"Expect: 100-continue"))
    assert client.output == b""
    application.held.popleft().answer()
    client.loop.settle()
    assert [answer.status for answer in parse(client.output)] == [200, 100]


def test_a_client_that_leaves_is_told_once_and_never_written_to() -> None:
    client, application = begin()
    client.feed(HELD + HELD)
    client.transport.close()
    client.loop.settle()
    (held,) = application.held
    assert held.gone == 1
    assert application.asked == ["/held"], "its next request is nobody's any more"
    assert client.output == b""


@settings(deadline=None)
@given(st.data())
def test_in_any_cut_and_any_mixture_answers_come_in_the_order_of_the_requests(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(["held", "get", "post", "chunks"]), min_size=1, max_size=8))
    sound = {
        "held": (HELD, b"held"),
        "get": (get(target=b"/x"), b"at once"),
        "post": (post(b"Content-Length: 4", body=b"post"), b"post"),
        "chunks": (chunked(b"6\r\nchunks\r\n0\r\n\r\n"), b"chunks"),
    }
    sent = b"".join(sound[kind][0] for kind in kinds)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=10)))
    client, application = begin()
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        client.feed(sent[start:stop])
        answer_now = data.draw(ANSWER_NOW)
        if application.held and answer_now:
            application.held.popleft().answer()
            client.loop.settle()
        assert len(application.held) <= 1, "two requests of one connection hang at once"
    while application.held:
        application.held.popleft().answer()
        client.loop.settle()
    assert bodies(client) == [sound[kind][1] for kind in kinds]
    assert not client.hung_up()
