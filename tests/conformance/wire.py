"""Sends a case over a real socket and reads what comes back, byte for byte.

Nothing here sleeps to make something true. Where silence is the right answer, "nothing came" is established by a
round trip on a second connection that was sent later: a server that has answered the later one has read the earlier.
"""

from __future__ import annotations

import select
import socket
import time

from tests.conformance.case import Answer, Case, Ending, Result, Seen

PATIENCE = 10.0
"""Seconds to wait for an answer that must come. Only a server that hangs ever costs this much."""

Address = tuple[str, int]


class Wire:
    """One connection to the server under test."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.received = b""
        """Everything that came, for those who look at it raw."""
        self.closed = False

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of `data`; a server that has already hung up is no error here."""
        try:
            self.socket.sendall(data)
        except OSError:
            # A reset may come while the answer (431, 413) is already in our buffer, so reading still goes on.
            return

    def read(self, seconds: float) -> bool:
        """Take what is there within `seconds`; False when nothing came."""
        if self.closed or not select.select([self.socket], [], [], max(0.0, seconds))[0]:
            return False
        try:
            more = self.socket.recv(1 << 18)
        except OSError:
            more = b""
        self.closed = not more
        self.data += more
        self.received += more
        return True

    def await_answers(self, count: int, *, head: bool, lowest: int, seconds: float) -> Seen:
        """Read until `count` answers are complete, or the server hangs up, or it plainly waits.

        Answers with a status below `lowest` do not count. `seconds` bounds the wait for an answer; the round trip
        beside comes after it.
        """
        deadline = time.monotonic() + seconds
        answers = parse(self.data, head=head, ended=self.closed)
        while sum(answer.status >= lowest for answer in answers) < count and not self.closed:
            if not self.read(deadline - time.monotonic()) and not self.read(self.after_others()):
                break
            answers = parse(self.data, head=head, ended=self.closed)
        complete = sum(answer.status >= lowest for answer in answers) >= count
        if complete and answers[-1].says_close:
            while not self.closed and time.monotonic() < deadline + PATIENCE:
                self.read(PATIENCE)
        elif complete:
            # Nothing announced a close: see whether one, or an answer nobody asked for, comes all the same.
            while self.read(self.after_others()):
                pass
        answers = parse(self.data, head=head, ended=self.closed)
        self.data = b""
        if self.closed:
            return Seen(True, tuple(answers), Ending.CLOSED)
        return Seen(True, tuple(answers), Ending.OPEN if complete else Ending.SILENT)

    def after_others(self) -> float:
        """Make the server answer somebody else, so that it has seen all we sent. Always 0.0, the time left to wait."""
        with socket.create_connection(self.address, timeout=PATIENCE) as other:
            other.sendall(b"GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
            while other.recv(1 << 16):
                pass
        return 0.0


def run(case: Case, address: Address, *, quiet: float = 0.0) -> Result:
    """Run one case on a connection of its own.

    `quiet` is how many seconds to listen where silence is right, on top of the round trip beside;
    servers with several threads or processes need some.
    """
    seconds = quiet if case.may_be_silent else PATIENCE
    wire = Wire(address)
    seen: list[Seen] = []
    try:
        for sent in case.sends:
            if wire.closed:
                seen.append(Seen(False, (), Ending.CLOSED))
                continue
            wire.send(sent)
            head = sent.startswith(b"HEAD ")
            lowest = 100 if case.interim else 200
            seen.append(wire.await_answers(case.answers, head=head, lowest=lowest, seconds=seconds))
    finally:
        wire.close()
    return Result(case, tuple(seen), case.judge(tuple(seen)))


def parse(data: bytes, *, head: bool = False, ended: bool = False) -> list[Answer]:
    """The complete answers at the start of `data`.

    Args:
        data: all bytes received so far.
        head: the first answer is to a HEAD request and has no body whatever it says.
        ended: the server closed; an answer without a length is complete then.
    """
    answers: list[Answer] = []
    while True:
        block, blank, rest = data.partition(b"\r\n\r\n")
        first, *field_lines = block.split(b"\r\n")
        words = first.split(b" ", 2)
        if not blank or len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return answers
        fields = tuple(split_field(line) for line in field_lines)
        answer = Answer(int(words[1]), words[0], fields, b"")
        bodiless = answer.status < 200 or answer.status in (204, 304) or (head and not answers)
        found = (b"", rest) if bodiless else take_body(answer, rest, ended=ended)
        if found is None:
            return answers
        body, data = found
        answers.append(Answer(answer.status, answer.version, fields, body))


def split_field(line: bytes) -> tuple[bytes, bytes]:
    """A field line's name in lower case and its trimmed value."""
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def take_body(answer: Answer, data: bytes, *, ended: bool) -> tuple[bytes, bytes] | None:
    """The body at the start of `data` and what follows it, or None while it is not all there."""
    if b"chunked" in b",".join(answer.all(b"transfer-encoding")).lower():
        return take_chunks(data)
    lengths = answer.all(b"content-length")
    if lengths:
        length = int(lengths[0])
        return (data[:length], data[length:]) if len(data) >= length else None
    return (data, b"") if ended else None


def take_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """The same for a chunked body without trailers."""
    body = b""
    while True:
        size, newline, data = data.partition(b"\r\n")
        if not newline:
            return None
        length = int(size.partition(b";")[0], 16)
        if len(data) < length + 2:
            return None
        body, data = body + data[:length], data[length + 2 :]
        if length == 0:
            return body, data
