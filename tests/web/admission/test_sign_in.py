"""A page signs in with a token, reads and posts by the cookie, and no page of another origin does."""

from typing import Any

import pytest

from slosh.access.rights import Rights
from slosh.access.rules import AccessRules
from tests.access.tokens import token_row
from tests.web.conftest import MakeSite
from tests.web.harness import Response, Site

TOKEN = "slosh_0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
OWN = {"Origin": "http://slosh.test", "Sec_Fetch_Site": "same-origin"}
FOREIGN = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    site = make_site(access=AccessRules(Rights(["open"]), (token_row(TOKEN, name="ann", read=["a"], publish=["a"]),)))
    site.server.wall = lambda: 1_800_000_000.0
    return site


def sign_in(site: Site, **fields: Any) -> Response:
    return site.ask("POST", "/-/session", **BEARER, **fields)


def test_a_token_becomes_a_cookie_that_reads_and_posts(site: Site) -> None:
    answer = sign_in(site, **OWN)
    assert answer.status == 200
    assert answer.json == {"name": "ann", "read": ["a", "open"], "publish": ["a"], "expires": None}
    assert answer["Set-Cookie"] == f"slosh_session={TOKEN}; Max-Age=34560000; Path=/; HttpOnly; SameSite=Strict"
    cookie = {"Cookie": answer.cookie}
    assert site.get("/topics/a?wait=0", **cookie).status == 200
    assert site.post("/topics/a", b"1", **cookie, **OWN).status == 200
    assert site.get("/-/session", **cookie).json["name"] == "ann"


def test_over_tls_and_below_a_prefix_the_cookie_says_so(site: Site) -> None:
    site.server.proxies = type(site.server.proxies)("192.0.2.0/24")
    cookie = sign_in(site, X_Forwarded_Proto="https", X_Forwarded_Prefix="/live")["Set-Cookie"]
    assert cookie.endswith("; Path=/live/; HttpOnly; SameSite=Strict; Secure")


def test_the_cookie_ends_with_the_token(make_site: MakeSite) -> None:
    site = make_site(access=AccessRules(tokens=(token_row(TOKEN, read=["a"], expires=1_800_000_090.5),)))
    site.server.wall = lambda: 1_800_000_000.0
    answer = sign_in(site)
    assert "; Max-Age=90;" in answer["Set-Cookie"]
    assert answer.json["expires"] == 1_800_000_090_500


@pytest.mark.parametrize(
    "fields", [{}, {"Authorization": "Bearer slosh_wrong"}, {"Cookie": f"slosh_session={TOKEN}"} | OWN]
)
def test_only_a_token_in_its_field_signs_in(site: Site, fields: dict[str, str]) -> None:
    answer = site.ask("POST", "/-/session", **fields)
    assert answer.status == 401
    assert "Set-Cookie" not in answer


def test_signing_out_takes_the_cookie_away(site: Site) -> None:
    answer = site.ask("DELETE", "/-/session", Cookie=f"slosh_session={TOKEN}", **OWN)
    assert answer.status == 204
    assert answer["Set-Cookie"].startswith("slosh_session=; Max-Age=0; Path=/;")


def test_an_old_cookie_is_none_and_leaves_public_topics_readable(site: Site) -> None:
    cookie = {"Cookie": "slosh_session=slosh_of_last_year"}
    assert site.get("/topics/open?wait=0", **cookie).status == 200
    refused = site.get("/topics/a?wait=0", **cookie)
    assert refused.status == 401
    assert "invalid_token" not in refused["WWW-Authenticate"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_cookie_gives_no_right_to_a_page_of_another_origin(site: Site, method: str) -> None:
    cookie = {"Cookie": f"slosh_session={TOKEN}"}
    body = b"1" if method == "POST" else b""
    site.get("/topics/a?wait=0", **BEARER)
    answer = site.ask(method, "/topics/a", body, **cookie, **FOREIGN)
    assert answer.status in (401, 403, 405)
    assert "Access-Control-Allow-Origin" not in answer
    # A form or an image sends no Origin in some browsers, and its place all the same.
    assert site.ask(method, "/topics/a", body, **cookie, Sec_Fetch_Site="same-site").status in (401, 405)
    assert site.get("/topics/a?wait=0", **BEARER).json["saw"] == 0


def test_a_foreign_page_can_neither_sign_in_nor_out(site: Site) -> None:
    assert sign_in(site, **FOREIGN).status == 403
    assert site.ask("DELETE", "/-/session", **FOREIGN).status == 403
    preflight = site.ask("OPTIONS", "/-/session", Access_Control_Request_Method="POST", **FOREIGN)
    assert not [name for name, _ in preflight.fields if name.startswith("access-control")]


def test_other_methods_are_told_which_there_are(site: Site) -> None:
    answer = site.ask("PUT", "/-/session")
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, POST, DELETE, OPTIONS")


def test_a_cookie_allows_nothing_to_who_sends_another(site: Site) -> None:
    """Heads that differ in their cookies alone are told apart where these say who asks, on one connection too."""
    client = site.connect()
    for cookie, status in ((TOKEN, 200), ("slosh_9876543210", 401), (TOKEN, 200), ("", 401)):
        session = {"Cookie": f"a=b; slosh_session={cookie}"} | OWN
        assert client.get("/topics/a?wait=0", **session).next().status == status


def test_a_list_that_a_token_may_make_longer_says_so(site: Site, make_site: MakeSite) -> None:
    """RFC 9110 §11.6.1: the challenge may stand in an answer that is no refusal. The viewer offers to sign in by it."""
    for method in ("GET", "HEAD"):
        answer = site.ask(method, "/topics")
        assert (answer.status, answer["WWW-Authenticate"]) == (200, 'Bearer realm="slosh"')
    assert "WWW-Authenticate" not in site.get("/topics", **BEARER)
    assert "WWW-Authenticate" not in make_site(access=AccessRules(Rights(["**"]))).get("/topics")
    assert "WWW-Authenticate" not in make_site().get("/topics")
