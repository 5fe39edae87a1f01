"""Clients that send or ask for more than anybody would: the others are served, and memory stays within its bounds."""

import contextlib
import re
import select
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from slosh.access.tokens import hash_token, make_token
from tests.attacks.victim import Bystander, Victim, crowd
from tests.e2e.server import until
from tests.running import PATIENCE, hear_from
from tests.web.frames import CLOSE, CONT, HANDSHAKE, PING, TEXT, frame
from tests.web.harness import request
from tests.web.readers.websocket.test_websocket import WRONG

MIB = 1024 * 1024
POLL = request("GET", "/topics/quiet?wait=0")


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread, which has to end by itself."""
    failed: list[Exception] = []

    def attack() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - it is told by the thread that waits
            failed.append(error)

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not failed, failed


def receive_answers(client: socket.socket, count: int) -> list[bytes]:
    """The bodies of so many answers, in their order."""
    data = b""
    bodies: list[bytes] = []
    while len(bodies) < count:
        head, mark, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: ([0-9]+)\r?", head + b"\r")
        if not mark or length is None or len(rest) < int(length[1]):
            more = client.recv(MIB)
            assert more, (len(bodies), data[:200])
            data += more
            continue
        bodies.append(rest[: int(length[1])])
        data = rest[int(length[1]) :]
    return bodies


def test_a_flood_of_pipelined_requests_is_answered_in_order_and_the_others_are_served(tmp_path: Path) -> None:
    count = 5_000
    with Victim(tmp_path, "--unwatched=keep") as victim, Bystander(victim) as other, victim.connect() as client:
        memory = victim.memory
        sent = b"".join(request("POST", "/topics/flood", b"%d" % number) for number in range(count))
        answers: list[bytes] = []
        with (
            meanwhile(lambda: client.sendall(sent)),
            meanwhile(lambda: answers.extend(receive_answers(client, count))),
        ):
            other.ask(200)
        assert [int(re.findall(rb'"max":([0-9]+)', each)[0]) for each in answers] == list(range(1, count + 1))
        assert victim.memory - memory < 8 * MIB
        victim.assert_healthy()


def test_a_flood_whose_answers_are_not_taken_is_not_read_and_is_cut(tmp_path: Path) -> None:
    """It costs no time while it waits, for its socket is left unread."""
    with Victim(tmp_path, "--write-timeout=3s") as victim, Bystander(victim) as other, victim.connect() as client:
        memory = victim.memory
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            client.sendall(POLL * 400_000)
        until_idle(victim)  # It still answers what has come, until its client's buffers are full of answers.
        before = victim.cpu()
        other.ask(20)
        assert victim.memory - memory < 8 * MIB
        cut = select.poll()
        cut.register(client, 0)  # Nothing is asked meanwhile, because the server's answers cost time too.
        assert cut.poll(1000 * PATIENCE), "it is not cut"
        assert victim.cpu() - before < 1
        until(lambda: victim.metric('slosh_closed_total{reason="write_timeout"}'), lambda count: count == 1)
        victim.assert_healthy()


def until_idle(victim: Victim) -> None:
    """Wait until the server uses hardly any time, or has cut a client that takes nothing."""
    used = -1.0
    deadline = time.monotonic() + PATIENCE
    while victim.cpu() - used > 0.001 or psutil.Process(victim.process.pid).status() == psutil.STATUS_RUNNING:
        assert time.monotonic() < deadline, "it never rests"
        used = victim.cpu()
        time.sleep(0.05)


@pytest.mark.parametrize(
    "kind", ["polls", "event streams", pytest.param("NDJSON", marks=pytest.mark.long), "WebSockets", "files"]
)
def test_readers_that_take_nothing_are_bounded_together(tmp_path: Path, kind: str) -> None:
    """300 of them ask for a ring of 8 MiB, or a file. What they do not take counts in `max_buffered`, here 8 MiB."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_bytes(bytes(16 * MIB))
    asked = {
        "polls": request("GET", "/topics/full?since=earliest"),
        "event streams": request("GET", "/topics/full?since=earliest", Accept="text/event-stream"),
        "NDJSON": request("GET", "/topics/full?since=earliest&format=ndjson"),
        "WebSockets": request("GET", "/topics/full?since=earliest", **HANDSHAKE),
        "files": request("GET", "/file"),
    }[kind]
    with (
        Victim(tmp_path, "--unwatched=keep", "--max-buffered=8MiB", f"--root={tmp_path / 'root'}") as victim,
        Bystander(victim) as other,
    ):
        for _ in range(8):
            assert victim.post(b'"' + b"x" * (MIB - 1000) + b'"', "full").status == 200
        memory = victim.memory
        with crowd(victim, 300, asked):
            other.ask(200)
            assert victim.memory - memory < 2 * 8 * MIB
            if kind != "polls":  # The system's buffers take all of an answer to a poll.
                until(lambda: victim.metric('slosh_closed_total{reason="max_buffered"}'), lambda count: count > 0)
        victim.assert_healthy()


def shake(victim: Victim, target: str = "/topics/quiet", **fields: str) -> socket.socket:
    """A WebSocket that is open."""
    client = victim.connect()
    client.sendall(request("GET", target, **HANDSHAKE, **fields))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return client


def closing_code(client: socket.socket) -> int:
    """With which code the server closes, once it does, whatever it says before."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            data += part
    found = re.search(rb"\x88[\x02-\x7d]([\x03-\x0f].)[^\x00]*\Z", data, flags=re.DOTALL)
    assert found, data[-200:]
    code: int = struct.unpack("!H", found[1])[0]
    return code


def deflated(size: int) -> bytes:
    """A message that inflates to so many bytes of white space."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(b" " * size) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


FLOODS = {
    "a frame that says to be of a terabyte": (struct.pack("!BBQ", 0x81, 0xFF, 1 << 40), 1009),
    "a message of two megabytes": (frame(TEXT, b" " * (2 * MIB)), 1009),
    "endless fragments": (
        frame(TEXT, fin=False, mask=bytes(4)) + frame(CONT, fin=False, mask=bytes(4)) * 100_000,
        1009,
    ),
    "10,000 pings, then a wrong frame": (frame(PING, mask=bytes(4)) * 10_000 + frame(0x3, b"1"), 1002),
    "10,000 messages that are not JSON, then the end": (
        frame(TEXT, b"x" * 8) * 10_000 + frame(CLOSE, struct.pack("!H", 1000)),
        1000,
    ),
}


@pytest.mark.parametrize("wrong", WRONG | FLOODS)
def test_frames_of_every_bad_kind_close_one_websocket_and_nothing_else(
    wrong: str, shared_victim: tuple[Victim, Bystander]
) -> None:
    victim, other = shared_victim
    sent, code = (WRONG | FLOODS)[wrong]
    memory = victim.memory
    with shake(victim) as client, shake(victim) as beside:

        def attack() -> None:
            with contextlib.suppress(ConnectionError):  # It need not read all of it.
                client.sendall(sent)

        codes: list[int] = []
        with meanwhile(attack), meanwhile(lambda: codes.append(closing_code(client))):
            other.ask(20)
        assert codes == [code]
        beside.sendall(frame(PING, b"still here"))
        hear_from(beside, b"still here")
    assert victim.memory - memory < 16 * MIB
    victim.assert_healthy()


@pytest.fixture(scope="module")
def shared_victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Victim, Bystander]]:
    with Victim(tmp_path_factory.mktemp("frames"), "--compression=websocket") as victim, Bystander(victim) as other:
        yield victim, other


def test_compressed_messages_are_inflated_to_the_bound_of_one_message_and_no_further(
    shared_victim: tuple[Victim, Bystander],
) -> None:
    victim, other = shared_victim
    bomb = frame(TEXT, deflated(64 * MIB), reserved=4, mask=bytes(4))
    memory, before = victim.memory, victim.cpu()
    clients = [shake(victim, Sec_WebSocket_Extensions="permessage-deflate") for _ in range(20)]
    for each in clients:
        with contextlib.suppress(ConnectionError):
            each.sendall(bomb)
    other.ask(20)
    assert [closing_code(each) for each in clients] == [1009] * 20
    assert victim.cpu() - before < 20 * 0.1
    assert victim.memory - memory < 24 * MIB
    for each in clients:
        each.close()
    victim.assert_healthy()


def test_guesses_at_a_token_are_stopped_by_the_rate_and_cost_less_than_requests(tmp_path: Path) -> None:
    """Also those with a body that never comes. Clients of other addresses have a rate of their own."""
    token = make_token()
    (tmp_path / "slosh.toml").write_text(
        "request_rate = 20\nrate_burst = 1\n[[access.tokens]]\n"
        f'name = "all"\nsha256 = "{hash_token(token).hex()}"\nread = ["**"]\npublish = ["**"]\n'
    )
    with Victim(tmp_path, f"--config={tmp_path / 'slosh.toml'}") as victim:

        def guess(number: int, source: str) -> int:
            wrong = {"Authorization": f"Bearer slosh_{number:043d}"}
            sent = [
                request("GET", "/topics/quiet?wait=0", **wrong),
                request("POST", "/topics/quiet", b"1", **wrong)[:-1],
                request("POST", "/-/session", **wrong),
            ][number % 3]
            with victim.connect(source) as client:
                client.sendall(sent)
                return int(hear_from(client, b"\r\n").split(b" ")[1])

        began = time.monotonic()
        told: list[int] = []
        while 429 not in told or len(told) < 300:
            told.append(guess(len(told), "127.0.0.2"))
            assert len(told) < 5_000, "one may try as often as one likes"
        assert set(told) == {401, 429}
        taken = time.monotonic() - began
        # A burst of one second, and the rate: on a busy machine the guesses themselves take a while.
        assert told.count(401) <= 20 * (1 + taken) + 1, "one may try oftener than the rate"
        with victim.connect("127.0.0.3") as client:
            client.sendall(request("GET", "/topics/quiet?wait=0", Authorization=f"Bearer {token}"))
            hear_from(client, b"HTTP/1.1 200 ")
        victim.assert_healthy()


def test_connections_that_are_cut_at_every_moment_leave_nothing_behind(tmp_path: Path) -> None:
    with Victim(tmp_path, "--compression=websocket") as victim, Bystander(victim) as other:
        sent = [
            b"",
            b"GET / HT",
            POLL,
            request("GET", "/topics/quiet?since=now"),
            request("GET", "/topics/quiet", Accept="text/event-stream"),
            request("GET", "/topics/quiet", **HANDSHAKE) + frame(TEXT, b"1") + b"\x81",
            request("POST", "/topics/quiet", b"1" * 1000)[:-500],
        ]
        for number in range(1_400):
            with victim.connect() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(sent[number % len(sent)])
            if number % 100 == 0:
                other.ask(1)
        until(lambda: victim.metric("slosh_connections"), lambda count: count <= 2)
        assert victim.metric("slosh_watchers") == 0
        victim.assert_healthy()
