"""One place of a request carries its token, and the cookie gives no right to the page of somebody else."""

from typing import Any

import pytest

from slosh.http1.head import parse_head
from slosh.web.admission.credentials import Credential, find_credential, list_subprotocols
from slosh.web.admission.origins import Origins
from tests.web.harness import request

HEADER: dict[str, Any] = {"Authorization": "Bearer slosh_h"}
COOKIE: dict[str, Any] = {"Cookie": "a=b; slosh_session=slosh_c"}
SUBPROTOCOL, QUERY = {"Sec_WebSocket_Protocol": "slosh,bearer.slosh_P"}, "?access_token=slosh_q"


def find(
    method: str = "GET",
    query: str = "",
    *,
    origins: str = "",
    in_query: bool = True,
    secure: bool = False,
    **fields: Any,
) -> Credential:
    head = parse_head(request(method, f"/topics/a{query}", **fields), 64)
    return find_credential(head, Origins(origins), in_query=in_query, is_secure=secure)


@pytest.mark.parametrize(
    ("query", "fields", "token", "is_sent"),
    [
        ("", {}, "", False),
        ("", HEADER, "slosh_h", True),
        ("", SUBPROTOCOL, "slosh_P", True),
        (QUERY, {}, "slosh_q", True),
        ("", COOKIE, "slosh_c", False),
        (QUERY, HEADER | SUBPROTOCOL | COOKIE, "slosh_h", True),
        (QUERY, SUBPROTOCOL | COOKIE, "slosh_P", True),
        (QUERY, COOKIE, "slosh_q", True),
        ("", {"Authorization": "bEARER   slosh_h  "}, "slosh_h", True),
        ("", {"Authorization": "Bearer"}, "", True),
        ("", {"Authorization": "Basic YTpi"}, "", False),
        ("", {"Authorization": "Basic YTpi"} | COOKIE, "slosh_c", False),
        ("?x=%zz&access_token=%ff", {}, "", False),
    ],
)
def test_the_first_place_that_has_one_counts(query: str, fields: dict[str, Any], token: str, *, is_sent: bool) -> None:
    assert find(query=query, **fields) == Credential(token, is_sent)


def test_two_fields_are_one_that_does_not_count() -> None:
    head = request("GET", "/topics/a", **HEADER)[:-2] + b"Authorization: Bearer slosh_2\r\n\r\n"
    assert find_credential(parse_head(head, 64), Origins(""), in_query=False, is_secure=False) == Credential("", True)


def test_the_query_counts_by_setting_alone() -> None:
    assert find(query=QUERY, in_query=False).token == ""


def test_a_credential_is_never_shown() -> None:
    assert "slosh_h" not in repr(find(**HEADER))


ORIGIN: dict[str, Any] = {"Origin": "http://slosh.test"}
FOREIGN: dict[str, Any] = {"Origin": "https://evil.example"}
UPGRADE: dict[str, Any] = {"Upgrade": "websocket", "Connection": "Upgrade"}


@pytest.mark.parametrize(
    ("method", "fields", "counts"),
    [
        ("GET", {}, True),  # a browser that sends no metadata, or curl with a cookie jar
        ("GET", {"Sec_Fetch_Site": "same-origin"}, True),
        ("GET", {"Sec_Fetch_Site": "none"}, True),
        ("GET", {"Sec_Fetch_Site": "same-site"}, False),
        ("GET", {"Sec_Fetch_Site": "cross-site"}, False),
        ("GET", ORIGIN, True),
        ("GET", FOREIGN, False),
        ("GET", {"Origin": "null"}, False),
        ("GET", {"Origin": "http://slosh.test:81"}, False),
        ("POST", {}, False),
        ("POST", ORIGIN, True),
        ("POST", FOREIGN, False),
        ("POST", {"Origin": "null"}, False),
        ("POST", {"Sec_Fetch_Site": "same-origin"}, True),
        ("POST", {"Sec_Fetch_Site": "same-site"}, False),
        ("DELETE", {}, False),
        ("GET", UPGRADE, False),
        ("GET", UPGRADE | ORIGIN, True),
        ("GET", UPGRADE | FOREIGN, False),
    ],
)
def test_the_cookie_counts_for_pages_of_this_server(method: str, fields: dict[str, Any], *, counts: bool) -> None:
    assert bool(find(method, **COOKIE, **fields).token) == counts


def test_the_cookie_counts_for_an_origin_that_is_listed_and_not_for_any() -> None:
    assert find("POST", origins="https://app.example", **COOKIE, Origin="https://app.example").token
    assert not find("POST", origins="*", **COOKIE, Origin="https://app.example").token


def test_over_tls_a_page_that_came_without_is_another() -> None:
    assert not find("POST", secure=True, **COOKIE, **ORIGIN).token
    assert find("POST", secure=True, **COOKIE, Origin="https://slosh.test").token


def test_subprotocols_keep_their_letters() -> None:
    head = parse_head(request("GET", "/", Sec_WebSocket_Protocol=" slosh ,, bearer.aB "), 64)
    assert list_subprotocols(head) == ["slosh", "bearer.aB"]
