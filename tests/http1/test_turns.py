"""One client's burst makes nobody wait: what it sends at a time is done in portions, with the others between them."""

import asyncio
import itertools
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from slosh.http1.connection import MAX_PIPELINED
from slosh.http1.heads import Heads
from slosh.http1.protocol import HttpConnection
from slosh.http1.state import ServerState
from slosh.http1.turns import MOST_GONE, PORTION, RARELY, TURN, Turns
from slosh.settings import Settings
from slosh.testing.echo import Echo
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.frames import CLOSE, CONT, HANDSHAKE, PING, PONG, TEXT, frame, frames, open_socket
from tests.web.harness import Client, Site, request
from tests.web.transports import WebSocket

HEALTHY = request("GET", "/-/healthy")
COST = TURN / 4
"""Seconds that a request seems to take, on a clock that goes on whenever it is looked at."""
A_TURN = 2 + TURN / COST
"""Requests that are then answered in a turn at most, beyond the first of each connection."""


class Clock:
    """A clock that goes on by `COST` whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += COST
        return self.now


@pytest.fixture
def slow(make_site: MakeSite) -> Site:
    """A site on which each request takes its time."""
    site = make_site()
    site.server.turns.clock = Clock()
    return site


def connect(site: Site) -> Client:
    """A connection that had a request before: the first one looks at the clock."""
    client = site.connect()
    clock, site.server.turns.clock = site.server.turns.clock, lambda: 0.0
    assert client.get("/-/healthy").next().status == 200
    turn(site)
    site.server.turns.clock = clock
    return client


def send(client: Client, data: bytes) -> None:
    """Have bytes arrive, and let the turn of the loop go on."""
    client.wire.unread.append(data)
    client.wire.feed()


def turn(site: Site) -> None:
    """One turn of the loop, in which no time goes by."""
    site.loop.call_soon(site.loop.stop)
    site.loop.run_forever()


def answers(client: Client) -> int:
    return client.wire.arrived.count(b"HTTP/1.1 ")


BURSTS = {
    "HEAD of a pattern": request("HEAD", "/topics/**"),
    "HEAD of a topic": request("HEAD", "/topics/a"),
    "GET that does not wait": request("GET", "/topics/a?wait=0"),
    "GET of a file": request("GET", "/index.html"),
    "POST": request("POST", "/topics/a", b"[1]"),
    "POST in chunks": request("POST", "/topics/a", Transfer_Encoding="chunked") + b"3\r\n[1]\r\n0\r\n\r\n",
    "POST that is no JSON": request("POST", "/topics/a", b"["),
    "404": request("GET", "/nothing"),
    "405": request("DELETE", "/topics/a"),
    "421": request("GET", "/", Host="elsewhere.test"),
    "OPTIONS": request("OPTIONS", "/topics/a"),
}


@pytest.mark.parametrize("kind", BURSTS)
def test_a_burst_is_answered_bit_by_bit_and_the_others_between(slow: Site, kind: str) -> None:
    slow.get("/topics/a?wait=0")
    rude, other = connect(slow), connect(slow)
    send(rude, BURSTS[kind] * 200)
    before = answers(rude)
    assert 0 < before <= A_TURN
    turns_needed = 0
    while answers(rude) < 200:
        send(other, HEALTHY)
        assert other.next().status == 200, "whoever comes in this turn is answered in it"
        turn(slow)
        now = answers(rude)
        assert 0 < now - before <= A_TURN
        before = now
        turns_needed += 1
    assert turns_needed >= 200 / A_TURN - 1
    assert answers(rude) == 200
    assert rude.served()


def test_very_many_connections_with_bursts_share_the_same_time(slow: Site) -> None:
    """However many they are, all of them together have one turn's time."""
    clients = [connect(slow) for _ in range(100)]
    for client in clients:
        send(client, request("HEAD", "/topics/a") * 10)
    before = sum(map(answers, clients))
    assert 100 <= before <= 100 + A_TURN
    turn(slow)
    assert 0 < sum(map(answers, clients)) - before <= A_TURN
    slow.loop.settle()
    assert [answers(client) for client in clients] == [10] * 100


def test_they_are_served_in_their_order_a_portion_each(site: Site) -> None:
    site.server.turns.clock = lambda: 0.0
    clients = [site.connect() for _ in range(3)]
    order: list[int] = []
    for number, client in enumerate(clients):
        write = client.wire.write

        def noted(data: Any, number: int = number, write: Any = write) -> None:
            order.append(number)
            write(data)

        client.wire.write = noted  # type: ignore[method-assign]
        send(client, request("HEAD", "/topics/a") * 3 * PORTION)
    site.loop.settle()
    assert order == ([0] * PORTION + [1] * PORTION + [2] * PORTION) * 3


def test_the_usual_request_looks_at_no_clock(site: Site) -> None:
    poll, other = connect(site), connect(site)
    clock = Clock()
    site.server.turns.clock = clock
    poll.get("/topics/a")
    for _ in range(10):
        send(other, request("POST", "/topics/a", b"1"))
        assert other.next().status == 200
        site.loop.settle()
        assert poll.next().status == 200
        poll.get("/topics/a")
    assert clock.now == 0


def test_what_waits_for_its_turn_is_bounded_with_the_socket_unread(slow: Site) -> None:
    client = slow.connect()
    burst = BURSTS["HEAD of a topic"] * 1000
    client.wire.unread += [burst] * 10
    client.wire.feed()
    assert not client.wire.is_reading()
    while client.wire.unread:
        assert len(client.connection._pending) <= MAX_PIPELINED + len(burst)
        turn(slow)
    slow.loop.settle()
    assert answers(client) == 10_000
    assert client.wire.is_reading()


def test_a_large_read_waits_for_its_turn_and_stops_the_reading(site: Site) -> None:
    """For one readiness uvloop calls again and again, as long as each call brings all that fits its buffer."""
    site.connect().get("/topics/a")
    client = site.connect()
    body = b'"' + b"x" * 200_000 + b'"'
    client.wire.unread += [request("POST", "/topics/a", body)] * 3
    for done in range(3):
        client.wire.feed()
        assert not client.wire.is_reading()
        assert answers(client) == done
        turn(site)
        assert answers(client) == done + 1
    assert client.wire.is_reading()


@pytest.mark.parametrize("size", [1, 100])
def test_a_body_of_very_many_tiny_chunks_is_read_bit_by_bit(slow: Site, size: int) -> None:
    slow.get("/topics/a?wait=0")
    rude, other = connect(slow), connect(slow)
    chunks = (b"%x\r\n%b\r\n" % (size, b" " * size)) * 5000
    send(rude, request("POST", "/topics/a", Transfer_Encoding="chunked"))
    send(rude, chunks + b"1\r\n1\r\n0\r\n\r\n" + HEALTHY)
    for _ in range(3):
        assert answers(rude) == 0
        turn(slow)
        send(other, HEALTHY)
        assert other.next().status == 200
    slow.loop.settle()
    assert rude.next().json["max"] == 1
    assert rude.next().status == 200


# WebSockets.

FRAMES = {
    "messages": frame(TEXT, b"1"),
    "what is no message": frame(TEXT, b"{"),
    "pings": frame(PING, b"x"),
    "pongs": frame(PONG),
    "messages in fragments": frame(TEXT, b"1", fin=False) + frame(CONT),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_burst_of_frames_is_heard_bit_by_bit(slow: Site, kind: str) -> None:
    rude, other = open_socket(slow), slow.connect()
    send(rude, FRAMES[kind] * 2000 + frame(PING, b"the last"))
    turns_needed = 0
    while b"the last" not in rude.wire.arrived:
        send(other, HEALTHY)
        assert other.next().status == 200
        turn(slow)
        turns_needed += 1
        assert turns_needed < 5000
    assert turns_needed >= 2000 / PORTION / A_TURN


def test_of_large_messages_one_is_heard_at_a_time(slow: Site) -> None:
    said = b'"' + b"x" * 100_000 + b'"'
    rude = open_socket(slow)
    send(rude, frame(TEXT, said) * 20)
    heard = []
    for _ in range(100):
        turn(slow)
        heard.append(slow.hub.find("a", slow.loop.time()).last)  # type: ignore[union-attr]
    assert heard[-1] == 20
    assert max(later - earlier for earlier, later in pairwise(heard)) <= A_TURN


def test_what_a_websocket_said_before_it_half_closed_is_all_published(slow: Site) -> None:
    other = WebSocket(slow)
    client = open_socket(slow)
    send(client, b"".join(frame(TEXT, b"%d" % number) for number in range(200)))
    client.half_close()
    assert other.listen().messages == list(range(200))
    assert not client.served()
    assert slow.watchers("a") == 1


def test_and_what_it_said_before_it_closed(slow: Site) -> None:
    other = WebSocket(slow)
    client = open_socket(slow)
    said = b"".join(frame(TEXT, b"%d" % number) for number in range(200))
    client.send(said + frame(CLOSE, struct.pack("!H", 1000)) + frame(TEXT, b"7"))
    assert other.listen().messages == list(range(200))
    assert list(frames(client))[-1] == (CLOSE, struct.pack("!H", 1000))


# Order, ends, and mistakes.


def test_a_burst_behind_a_held_poll_waits_for_its_answer(slow: Site) -> None:
    client = slow.connect().send(request("GET", "/topics/a") + HEALTHY * 50)
    assert client.silent()
    slow.post("/topics/a", b"1")
    assert client.next().json["res"] == [1]
    assert [client.next().body for _ in range(50)] == [client_body(slow)] * 50


def client_body(site: Site) -> bytes:
    return site.get("/-/healthy").body


def test_a_burst_and_the_end_are_answered_as_a_whole(slow: Site) -> None:
    """As from `printf … | nc -N`."""
    client = slow.connect()
    send(client, HEALTHY * 200)
    client.half_close()
    assert answers(client) == 200
    assert not client.wire.is_open()


def test_a_client_that_vanishes_with_its_turn_to_come_is_forgotten(slow: Site) -> None:
    client = slow.connect()
    send(client, HEALTHY * 200)
    client.reset()
    assert not len(slow.server.turns)
    assert not slow.server.connections


def test_a_connection_whose_turn_is_late_is_not_timed_out(slow: Site) -> None:
    client = slow.connect()
    send(client, HEALTHY * 50)
    client.connection.set_deadline(slow.loop.time() - 1)
    client.connection.on_timer()
    slow.loop.settle()
    assert [client.next().status for _ in range(50)] == [200] * 50
    assert client.served()


class Waits:
    """Something that waits for its turn."""

    has_left = False
    source = ""

    def __init__(self, act: Callable[[], None]) -> None:
        self.take_turn = act
        self.abandoned = False

    def abandon(self) -> None:
        self.abandoned = True

    leave_early = abandon


def test_a_mistake_in_one_turn_cuts_that_connection_alone(site: Site) -> None:
    done: list[int] = []

    def fail() -> None:
        raise RuntimeError("a mistake")

    queue = Turns(site.loop)
    waiting = [Waits(lambda: done.append(1)), Waits(fail), Waits(lambda: done.append(2))]
    for each in waiting:
        queue.join(each)
    site.loop.settle()
    assert done == [1, 2]
    assert [each.abandoned for each in waiting] == [False, True, False]
    queue.join(waiting[0])
    site.loop.settle()
    assert done == [1, 2, 1]


# Real sockets.


class Counting(asyncio.Protocol):
    """A connection, and how many bytes are read for it in one turn of the loop."""

    def __init__(self, server: ServerState, heads: Heads) -> None:
        self._connection = HttpConnection(server, heads)
        self._loop = server.loop
        self._this_turn = 0
        self.most = 0

    def data_received(self, data: bytes) -> None:
        if not self._this_turn:
            self._loop.call_soon(self._end_turn)
        self._this_turn += len(data)
        self.most = max(self.most, self._this_turn)
        self._connection.data_received(data)

    def _end_turn(self) -> None:
        self._this_turn = 0

    def __getattribute__(self, name: str) -> Any:
        if name in ("connection_made", "connection_lost", "eof_received", "pause_writing", "resume_writing"):
            return getattr(self._connection, name)
        return super().__getattribute__(name)


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
SOCKET_BUFFER = 4 * 1024 * 1024


@each_of("kind", ["requests", "a body", "behind the last answer"])
@each_of("which", LOOPS)
def test_no_more_than_one_buffer_is_read_in_one_turn(which: str, kind: str) -> None:
    """Of a client that sends as fast as it can."""
    count = 3000
    sent = {
        "requests": HEALTHY * count,
        "a body": request("POST", "/nothing", b" " * 4_000_000),
        "behind the last answer": b"NONSENSE\r\n\r\n" + b" " * 4_000_000,
    }[kind]
    expected = count if kind == "requests" else 1

    async def serve(server_end: socket.socket, client_end: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        settings = Settings()
        server, heads = ServerState(settings, loop), Heads(Echo(settings), settings)
        _, counting = await loop.connect_accepted_socket(lambda: Counting(server, heads), server_end)
        received = await asyncio.to_thread(exchange, client_end, sent, expected)
        assert received.count(b"HTTP/1.1 ") == expected
        return counting.most

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client_end:
        client_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        client_end.connect(listener.getsockname())
        server_end, _ = listener.accept()
        server_end.setblocking(False)
        with asyncio.Runner(loop_factory=LOOPS[which]) as runner:
            most = runner.run(serve(server_end, client_end))
    assert 0 < most <= 256 * 1024


def exchange(end: socket.socket, sent: bytes, expected: int) -> bytes:
    """Send all of it while the answers are read, until they are as many as expected."""
    sender = threading.Thread(target=end.sendall, args=(sent,))
    sender.start()
    received = bytearray()
    while received.count(b"HTTP/1.1 ") < expected:
        part = end.recv(1 << 20)
        if not part:
            break
        received += part
    sender.join()
    return bytes(received)


# The order of clients.


def test_first_requests_share_the_time_of_a_turn(slow: Site) -> None:
    """A client that opens a connection for each request sends very many first ones."""
    clients = [slow.connect() for _ in range(100)]
    for client in clients:
        send(client, HEALTHY)
    assert 0 < sum(map(answers, clients)) <= A_TURN
    before = sum(map(answers, clients))
    turn(slow)
    assert 0 < sum(map(answers, clients)) - before <= A_TURN
    slow.loop.settle()
    assert [answers(client) for client in clients] == [1] * 100


def test_a_first_request_does_not_wait_for_what_others_took(site: Site) -> None:
    """Beside a crowd whose turns are long a new client would wait for one more of them."""
    turns, now = site.server.turns, [1.0]
    turns.clock = lambda: now[0]
    early, late = site.connect(), site.connect()
    send(early, HEALTHY)
    now[0] += 100 * TURN  # such as the polls of a crowd
    send(late, HEALTHY)
    assert answers(early) == answers(late) == 1


def test_a_first_request_in_several_packets_is_read_like_any_other(slow: Site) -> None:
    client = slow.connect()
    for byte in HEALTHY:
        send(client, bytes([byte]))
    slow.loop.settle()
    assert client.next().status == 200


def test_a_new_connection_that_says_nothing_is_closed_in_its_time(make_site: MakeSite) -> None:
    site = make_site(idle_timeout=5.0)
    client = site.connect()
    site.loop.advance(6.0)
    assert not client.wire.is_open()


class InLine(Waits):
    """Waits for its turn, and says when it had it."""

    def __init__(self, order: list[str], name: str, source: str = "", *, has_left: bool = False) -> None:
        super().__init__(lambda: order.append(name))
        self.source = source
        self.has_left = has_left


def test_addresses_take_turns_and_the_connections_of_each_among_themselves(site: Site) -> None:
    turns, order = site.server.turns, list[str]()
    turns.clock = lambda: 0.0
    for number in range(5):
        turns.join(InLine(order, f"a{number}", "192.0.2.1"))
    turns.join(InLine(order, "b0", "192.0.2.2"))
    turns.join(InLine(order, "b1", "192.0.2.2"))
    turns.join(InLine(order, "c0", "192.0.2.3"))
    assert len(turns) == 8
    turn(site)
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]
    assert len(turns) == 0


def test_clients_that_have_sent_their_end_wait_behind_the_others(site: Site) -> None:
    turns, order = site.server.turns, list[str]()
    turns.clock = lambda: 0.0
    for number in range(3):
        turns.join(InLine(order, f"gone{number}", has_left=True))
    leaving = InLine(order, "leaving")
    turns.join(leaving)
    for number in range(2 * RARELY):
        turns.join(InLine(order, f"{number}"))
    leaving.has_left = True
    turn(site)
    there = [f"{number}" for number in range(2 * RARELY)]
    assert [name for name in order if name in there] == there
    assert order[-1] == "leaving"
    assert order.index("gone0") < RARELY + 2, "none waits for ever"


def test_beyond_a_bound_the_oldest_of_those_is_cut(site: Site) -> None:
    turns, order = site.server.turns, list[str]()
    turns.clock = lambda: 0.0
    waiting = [InLine(order, f"{number}", has_left=True) for number in range(MOST_GONE + 2)]
    for each in waiting:
        turns.join(each)
    assert [each.abandoned for each in waiting] == [True, True] + [False] * MOST_GONE
    turn(site)
    assert len(order) == MOST_GONE


def test_a_client_that_half_closes_while_it_waits_is_answered(slow: Site) -> None:
    clients = [slow.connect() for _ in range(30)]
    for client in clients:
        send(client, HEALTHY)
        client.half_close()
    slow.loop.settle()
    assert [client.next().status for client in clients] == [200] * 30


BURST = 40
LARGE = b'"%b"' % (b"x" * 5000)


TAKING_TIME = {
    "a large message": request("POST", "/topics/a", LARGE),
    "a batch": request("POST", "/topics/a?batch=ndjson", LARGE),
    "a batch for several topics": request("POST", "/topics", b'{"topic":"a","message":%b}' % LARGE),
    "a large head": request("GET", "/topics/a?wait=0", X="y" * 5000),
    "several topics": request("HEAD", "/topics/a,b"),
    "a pattern": request("HEAD", "/topics/a/*"),
    "a key": request("HEAD", "/topics/a?key=k"),
    "a history": request("GET", "/topics/a?history=1m"),
    "metrics": request("GET", "/-/metrics"),
    "a list": request("GET", "/topics"),
    "a file": request("GET", "/index.html"),
}


class TestBursts:
    """Requests that come together, one on each of many connections, are not all answered in one turn of the loop."""

    @staticmethod
    def done(slow: Site, clients: list[Client], last: bytes, is_done: Callable[[int], bool]) -> list[int]:
        """How much is done in the turn in which `last` comes from all clients, and in each turn after it.

        Args:
            is_done: asked for each client, by its number.
        """
        slow.server.turns.clock = Clock()
        for client in clients:
            client.wire.unread.append(last)
            client.wire.feed()
        found = [sum(map(is_done, range(len(clients))))]
        while found[-1] < len(clients):
            turn(slow)
            found.append(sum(map(is_done, range(len(clients)))))
            assert len(found) < 1000
        return [after - before for before, after in pairwise([0, *found])]

    @classmethod
    def answered(cls, slow: Site, clients: list[Client], last: bytes) -> list[int]:
        """How many are answered in each turn, as `done` has it."""
        return cls.done(slow, clients, last, lambda number: bool(clients[number].wire.arrived))

    @each_of("kind", TAKING_TIME)
    @each_of("cut", [0, 1])
    def test_they_take_turns(self, make_site: MakeSite, kind: str, cut: int) -> None:
        """Also where only their last bytes come together."""
        data = TAKING_TIME[kind]
        slow = make_site()
        slow.get("/topics/a?wait=0")
        clients = [connect(slow) for _ in range(BURST)]
        slow.server.turns.clock = lambda: 0.0
        for client in clients:
            client.wire.unread.append(data[: len(data) - cut] if cut else b"")
            client.wire.feed()
        found = self.answered(slow, clients, data[len(data) - cut :] if cut else data)
        assert sum(found) == BURST
        assert max(found) <= A_TURN + 2
        assert all(client.next(data.split()[0].decode()).status < 500 for client in clients)

    @pytest.mark.parametrize("compression", ["off", "websocket"])
    def test_messages_on_websockets_take_turns(self, make_site: MakeSite, compression: str) -> None:
        """A large one that becomes whole, and a small one that inflates."""
        slow = make_site(compression=compression)
        offer = {"Sec_WebSocket_Extensions": "permessage-deflate"} if compression == "websocket" else {}
        clients = [slow.connect().get(f"/topics/{number}", **(HANDSHAKE | offer)) for number in range(BURST)]
        packer = zlib.compressobj(wbits=-15)
        packed = (packer.compress(LARGE) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")
        said = frame(TEXT, packed, reserved=4) if compression == "websocket" else frame(TEXT, LARGE)
        slow.server.turns.clock = lambda: 0.0
        for client in clients:
            assert client.next().status == 101
            client.wire.unread.append(said[:-1])
            client.wire.feed()
            client.wire.arrived.clear()
        # Taken, and not delivered: deliveries have a bound of their own.
        topics = [slow.hub.open(f"{number}", slow.loop.time()) for number in range(BURST)]
        found = self.done(slow, clients, said[-1:], lambda number: topics[number].last == 1)
        assert sum(found) == BURST
        assert max(found) <= A_TURN + 2

    def test_its_turn_serves_a_request_though_the_turn_is_over_by_then(self, make_site: MakeSite) -> None:
        """A machine may stop a process for seconds, and what waits for its turn again and again is never served."""
        slow = make_site()
        clients = [connect(slow) for _ in range(3)]
        seconds = itertools.count()
        slow.server.turns.clock = lambda: min(next(seconds), 1000)  # one goes by at each look
        for client in clients:
            client.wire.unread.append(TAKING_TIME["a pattern"])
            client.wire.feed()
        for _ in range(10):
            turn(slow)
        assert [client.next("HEAD").status for client in clients] == [200] * 3

    def test_small_usual_ones_do_not_wait(self, slow: Site) -> None:
        """For to look at the clock would cost each of them more than it saves."""
        slow.get("/topics/a?wait=0")
        clients = [connect(slow) for _ in range(BURST)]
        assert self.answered(slow, clients, request("POST", "/topics/a", b"1"))[0] == BURST
