"""The judge is judged: rules on made-up answers, and the reader of answers on made-up bytes."""

import socket
import threading

import pytest

from tests.conformance.case import Answer, Case, Ending, Rule, Seen, Verdict, get
from tests.conformance.promises import ANSWERS, REFUSES, WAITS, bodies
from tests.conformance.rules import LENIENT, ONLY_400, REFUSED, one_answer
from tests.conformance.wire import parse, run

CLOSE = ((b"connection", b"close"),)


def answer(status: int, *, close: bool = False, body: bytes = b"") -> Answer:
    return Answer(status, b"HTTP/1.1", CLOSE if close else (), body)


def seen(*answers: Answer, ending: Ending = Ending.OPEN) -> tuple[Seen, ...]:
    return (Seen(ran=True, answers=answers, ending=ending),)


SILENT = seen(ending=Ending.SILENT)
GONE = seen(ending=Ending.CLOSED)


def test_a_refusal_is_one_400_that_says_close_and_closes() -> None:
    good = seen(answer(400, close=True), ending=Ending.CLOSED)
    assert REFUSES(good) is Verdict.PASS
    for bad in (
        SILENT,
        GONE,
        seen(answer(400, close=True)),
        seen(answer(400), ending=Ending.CLOSED),
        seen(answer(200, close=True), ending=Ending.CLOSED),
        seen(answer(400, close=True), answer(200), ending=Ending.CLOSED),
        (*good, *seen(answer(200))),
    ):
        assert REFUSES(bad) is Verdict.FAIL


def test_an_answer_is_judged_by_status_body_and_what_the_connection_does() -> None:
    assert ANSWERS(seen(answer(200))) is Verdict.PASS
    assert ANSWERS(seen(answer(200), ending=Ending.CLOSED)) is Verdict.FAIL
    assert bodies(b"a")(seen(answer(200, body=b"a"))) is Verdict.PASS
    assert bodies(b"a")(seen(answer(200, body=b"b"))) is Verdict.FAIL
    assert bodies(b"a")(seen(answer(200, body=b"a"), answer(200))) is Verdict.FAIL


def test_waiting_is_neither_an_answer_nor_a_closed_connection() -> None:
    assert WAITS(SILENT) is Verdict.PASS
    assert WAITS(GONE) is Verdict.FAIL
    assert WAITS(seen(answer(200))) is Verdict.FAIL


@pytest.mark.parametrize(
    ("rule", "ok", "refused", "gone", "silent"),
    [
        (ONLY_400, Verdict.FAIL, Verdict.PASS, Verdict.FAIL, Verdict.FAIL),
        (REFUSED, Verdict.FAIL, Verdict.PASS, Verdict.PASS, Verdict.PASS),
        (LENIENT, Verdict.WARN, Verdict.PASS, Verdict.PASS, Verdict.FAIL),
    ],
)
def test_the_rules_of_the_public_probe(
    rule: Rule, ok: Verdict, refused: Verdict, gone: Verdict, silent: Verdict
) -> None:
    got = [rule(what) for what in (seen(answer(200)), seen(answer(400)), GONE, SILENT)]
    assert got == [ok, refused, gone, silent]


def test_a_hidden_request_that_is_answered_fails_even_when_the_connection_closes() -> None:
    assert one_answer(seen(answer(200), answer(200), ending=Ending.CLOSED)) is Verdict.FAIL
    assert one_answer(seen(answer(200), ending=Ending.CLOSED)) is Verdict.PASS
    assert one_answer(seen(answer(200))) is Verdict.FAIL


def test_answers_are_read_with_lengths_with_chunks_to_the_end_and_without_bodies() -> None:
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\n\r\n"
    rest = b"HTTP/1.0 200 OK\r\n\r\nall"
    assert [a.body for a in parse(two + chunks + two)] == [b"ab", b"abc", b"ab"]
    assert [a.body for a in parse(b"HTTP/1.1 100 Continue\r\n\r\n" + two)] == [b"", b"ab"]
    assert parse(two[:-1]) == []
    assert parse(chunks[:-1]) == []
    assert parse(rest) == []
    assert [a.body for a in parse(rest, ended=True)] == [b"all"]
    assert [a.body for a in parse(b"HTTP/1.1 204 No Content\r\n\r\n" + two)] == [b"", b"ab"]
    assert [a.body for a in parse(two[:-2] + two, head=True)] == [b"", b"ab"]
    assert parse(b"no answer\r\n\r\n") == []


def test_a_server_that_sends_a_second_answer_is_caught() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(1 << 16)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2)

        threading.Thread(target=serve, daemon=True).start()
        result = run(Case("double", (get(),), ANSWERS), listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
    assert result.verdict is Verdict.FAIL
    assert [each.status for each in result.seen[0].answers] == [200, 200]
