"""How answers are written: one head that every client reads alike, and nothing of a client's in it raw."""

import http.client
import io
import json
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.errors import BadJson, InternalError, NoWatchers, SloshError
from slosh.http1.response import CLOSE, JSON, date_field, field, problem, render, render_head
from tests.cases import each_of
from tests.properties import PROPERTY

DATE = date_field(0.0)


class Wire(io.BytesIO):
    """Bytes as a socket for http.client."""

    def makefile(self, *_: object) -> "Wire":
        """The bytes themselves."""
        return self


def parse(response: bytes, method: str = "GET") -> http.client.HTTPResponse:
    parsed = http.client.HTTPResponse(Wire(response), method=method)  # type: ignore[arg-type]
    parsed.begin()
    return parsed


@PROPERTY
@given(st.text(max_size=20))
def test_a_field_is_one_line_or_it_is_refused(value: str) -> None:
    """No CR, LF or NUL from a name reaches a header, nor any character that two readers would read differently."""
    try:
        line = field("X", value)
    except InternalError:
        assert not all(" " <= each <= "~" for each in value)
    else:
        assert line == b"X: %b\r\n" % value.encode()
        assert all(0x20 <= byte <= 0x7E for byte in line[:-2])


@each_of("bad", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "a\x7f", "a\tb", "\u00e9", "\u2028"])
def test_what_could_end_a_line_is_refused_in_names_and_values(bad: str) -> None:
    for name, value in (("X", bad), (bad, "x")):
        with pytest.raises(InternalError):
            field(name, value)


def test_the_date_is_the_form_that_http_wants() -> None:
    assert date_field(784111777.9) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


@PROPERTY
@given(st.integers(0, 4_000_000_000))
def test_the_date_is_read_back_to_the_second(seconds: int) -> None:
    text = date_field(seconds + 0.999).decode().removeprefix("Date: ").removesuffix("\r\n")
    assert parsedate_to_datetime(text).timestamp() == seconds


@PROPERTY
@given(st.sampled_from([200, 400, 404, 413, 503]), st.binary(max_size=50))
def test_a_response_is_read_as_it_was_written(status: int, body: bytes) -> None:
    parsed = parse(render(status, DATE, JSON, body, CLOSE))
    assert (parsed.status, parsed.reason) == (status, HTTPStatus(status).phrase)
    assert parsed.getheader("Content-Type") == "application/json"
    assert parsed.getheader("Content-Length") == str(len(body))
    assert parsed.getheader("Connection") == "close"
    assert parsed.read() == body


def test_the_length_is_counted_in_bytes() -> None:
    assert b"Content-Length: 4\r\n" in render(200, DATE, b"", '"\u00e9"'.encode())


def test_head_gets_the_length_and_no_body() -> None:
    written = render(200, DATE, JSON, b"12345", bodiless=True)
    assert written == render_head(200, DATE, JSON, 5)
    assert parse(written, "HEAD").getheader("Content-Length") == "5"
    assert written.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_no_length_either(status: int) -> None:
    """RFC 9110 section 8.6: no Content-Length in a 204."""
    written = render(status, DATE, b"", b"ignored")
    assert b"Content-Length" not in written
    assert written.endswith(b"\r\n\r\n")


@each_of("status", list(HTTPStatus))
def test_there_is_a_line_for_every_status(status: HTTPStatus) -> None:
    assert render(status, DATE, b"", b"").startswith(f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode())


def test_an_error_is_a_problem_document() -> None:
    status, fields, body = problem(BadJson("The body is not JSON: \u00e9 at byte 3.", 3))
    assert status == 400
    assert b"Content-Type: application/problem+json\r\n" in fields
    assert b"Cache-Control: no-store\r\n" in fields
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "The body is not JSON: \u00e9 at byte 3.",
        "code": "bad_json",
        "position": 3,
    }


def test_an_errors_fields_go_with_it() -> None:
    assert b"Slosh-Watchers: 0\r\n" in problem(NoWatchers())[1]


def test_a_detail_with_line_ends_stays_in_the_body() -> None:
    status, fields, body = problem(SloshError("a\r\nb: c"))
    assert b"b: c" not in render(status, DATE, fields, b"")
    assert json.loads(body)["detail"] == "a\r\nb: c"
