"""How a request is cut into packets changes nothing: not its answer, not where the next request begins.

Where a server decides by what happens to have arrived, an attacker decides with it.
"""

from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import each_of
from tests.conformance.case import Case, Seen, Verdict, chunked, get, post
from tests.conformance.fake import FakeClient, observe
from tests.conformance.tables import PROBE, PROMISES
from tests.conformance.test_probe import DEVIATIONS
from tests.conformance.wire import parse
from tests.properties import QUICK

ALL = [*PROBE, *PROMISES]
LONGEST = 1000
"""Bytes of the requests that are tried byte by byte; the long ones are about sizes, and tried in larger pieces."""

SHORT = 200
"""Bytes of the requests that are cut at each byte."""
PARTS = 40
"""Tests of so many cases together: one for each would cost as much as what it does."""
SIZES = (1, 7) if QUICK else (1, 2, 3, 7)
"""Bytes of the equal pieces."""
STEP = 8 if QUICK else 1
"""Of the places of a cut one in so many is tried. Each case begins at another, so together they try all."""


def pieces_of(size: int) -> Callable[[bytes], Sequence[bytes]]:
    return lambda sent: [sent[at : at + size] for at in range(0, len(sent), size)]


def cut_at(at: int) -> Callable[[bytes], Sequence[bytes]]:
    return lambda sent: [sent[:at], sent[at:]]


def essence(seen: tuple[Seen, ...]) -> object:
    """What must not change: statuses, bodies of what was taken, and the ending; not the date, nor a sentence.

    A 100 is only sent when no byte of the body is there yet, so whether it comes may change (RFC 9110 §10.1.1).
    """
    return [
        ([(a.status, a.body if a.status == 200 else b"") for a in step.answers if a.status >= 200], step.ending)
        for step in seen
    ]


@each_of("part", range(PARTS))
def test_a_request_in_pieces_is_the_same_request(part: int) -> None:
    """In equal pieces, and where it is short, in two pieces that are cut anywhere. The verdict needs no socket."""
    for case in ALL[part::PARTS]:
        try:
            check_in_pieces(case)
        except AssertionError as error:
            error.add_note(f"with {case.name!r}")
            raise


def check_in_pieces(case: Case) -> None:
    seen = observe(case)
    assert (case.judge(seen) is Verdict.FAIL) == (case.name in DEVIATIONS)
    whole = essence(seen)
    longest = max(map(len, case.sends))
    for size in SIZES if longest <= LONGEST else (longest // 2 + 1, 4096):
        assert essence(observe(case, pieces_of(size))) == whole, f"in pieces of {size}"
    if len(case.sends) == 1 and longest < SHORT:
        for at in range(1 + ALL.index(case) % STEP, longest, STEP):
            assert essence(observe(case, cut_at(at))) == whole, f"cut at {at}"


bodies = st.binary(max_size=40)


@st.composite
def good_requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A sound request, and the body that the echo gives back for it."""
    body = draw(bodies)
    kind = draw(st.sampled_from(["get", "length", "chunks"]))
    if kind == "get":
        return get(), b""
    if kind == "length":
        return post(b"Content-Length: %d" % len(body), body=body), body
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a < b]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    trailers = draw(st.sampled_from([b"", b"X: v\r\n"]))
    return chunked(coded + b"0\r\n" + trailers + b"\r\n"), body


@settings(deadline=None)
@given(st.lists(good_requests(), min_size=1, max_size=6), st.data())
def test_pipelined_requests_are_answered_in_order_however_they_are_cut(
    requests: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    sent = b"".join(request for request, _ in requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=12)))
    client = FakeClient()
    client.feed(*(sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)))
    answers = parse(client.output)
    assert [answer.status for answer in answers] == [200] * len(requests)
    assert [answer.body for answer in answers] == [body for _, body in requests]
    assert not client.hung_up()


@settings(deadline=None)
@given(st.binary(max_size=300), st.data())
def test_any_bytes_at_all_are_refused_once_or_awaited_and_never_break_the_server(
    noise: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(noise)))
    client = FakeClient()
    client.feed(noise[:at], noise[at:])
    answers = parse(client.output, ended=client.hung_up())
    assert all(answer.status in {400, 431, 501, 505} for answer in answers if answer.status != 200)
    # Few bytes can be a whole request: `GET / HTTP/1.1` with a `Host`.
    assert client.hung_up() or all(answer.status == 200 for answer in answers)
    whole = FakeClient()
    whole.feed(noise)
    assert [a.status for a in parse(whole.output, ended=whole.hung_up())] == [a.status for a in answers]


@settings(deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_a_case_with_a_byte_changed_never_breaks_the_server(case: Case, data: st.DataObject) -> None:
    sent = b"".join(case.sends)[:2000]
    at = data.draw(st.integers(0, max(0, len(sent) - 1)))
    changed = sent[:at] + data.draw(st.binary(min_size=1, max_size=2)) + sent[at + 1 :]
    client = FakeClient()
    client.feed(changed)
    answers = parse(client.output, ended=client.hung_up())
    assert not any(answer.status == 500 for answer in answers)
    assert client.output.count(b"Connection: close") <= 1
