"""Whose pages may read, post and open WebSockets, and what their browsers are told (CORS)."""

import pytest

from slosh.errors import SettingError
from slosh.web.admission.origins import Origins
from tests.cases import each_of
from tests.web.conftest import MakeSite
from tests.web.harness import Response, Site, request

APP = "https://app.example"
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def allowing(make_site: MakeSite) -> Site:
    """A site that lets pages of two other origins in."""
    site = make_site(origins=f"{APP}, http://localhost:3000")
    site.connect().get("/topics/a")
    return site


def post(site: Site, origin: str, **fields: str) -> Response:
    site.connect().get("/topics/a")
    return site.post("/topics/a", b"1", Origin=origin, **fields)


def upgrade(site: Site, origin: str, **fields: str) -> Response:
    return site.connect().get("/topics/a", Origin=origin, **HANDSHAKE, **fields).next()


def cors(answer: Response) -> dict[str, str]:
    """What an answer says to the browser of a page from elsewhere."""
    return {name: value for name, value in answer.fields if name.startswith("access-control-") or name == "vary"}


# Which pages may write.


def test_who_is_no_page_may_post(site: Site) -> None:
    """curl, a feeder: nobody's browser is being used against him."""
    site.connect().get("/topics/a")
    assert site.post("/topics/a", b"1").status == 200


@pytest.mark.parametrize(
    ("origin", "fields"),
    [
        ("http://slosh.test", {}),
        ("https://slosh.test", {}),  # TLS ends in front of us
        ("HTTP://Slosh.Test", {}),
        ("http://slosh.test:8000", {"Host": "slosh.test:8000"}),
        ("http://[::1]:8000", {"Host": "[::1]:8000"}),
        ("https://slosh.test", {"Host": "slosh.test:443"}),  # nginx with `proxy_set_header Host $host:$server_port`
        ("http://slosh.test", {"Host": "slosh.test:80"}),
        ("http://slosh.test:80", {}),
        ("https://public.example", {"Host": "127.0.0.1:8000", "X_Forwarded_Host": "public.example"}),
        ("https://public.example", {"Host": "inner", "X_Forwarded_Host": "public.example, middle.example"}),
        ("https://public.example:8443", {"Host": "inner", "X_Forwarded_Host": "Public.example:8443"}),
    ],
)
def test_a_page_of_this_very_server_may_post_and_open_a_websocket(
    site: Site, origin: str, fields: dict[str, str]
) -> None:
    answer = post(site, origin, **fields)
    assert answer.status == 200
    assert not cors(answer), "nothing needs to be said to a page of the same origin"
    assert upgrade(site, origin, **fields).status == 101


FOREIGN = [
    "https://evil.example",
    "http://slosh.test:8001",
    "https://slosh.test:80",
    "http://slosh.test.evil.example",
    "http://evil.example/slosh.test",
    "null",
    "slosh.test",
    "file://",
    "://",
    "capacitor://slosh.test",  # of a program on the client's machine, where slosh.test may be localhost
    "chrome-extension://slosh.test",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_from_elsewhere_may_neither_post_nor_open_a_websocket(site: Site, origin: str) -> None:
    """CVE-2019-13611. Sandboxed frames, data: and file: pages say `null`, and are from elsewhere too."""
    answer = post(site, origin)
    assert (answer.status, answer.code) == (403, "foreign_origin")
    assert not cors(answer)
    answer = upgrade(site, origin)
    assert (answer.status, answer.code) == (403, "foreign_origin")
    assert site.get("/topics/a?since=earliest&wait=0").json["max"] == 0


def test_a_page_in_a_sandbox_is_from_elsewhere_also_for_a_server_without_a_name(site: Site) -> None:
    """HTTP/1.0 has no Host, and `null` names none: that does not make them the same."""
    site.connect().get("/topics/a")
    client = site.connect().send(b"POST /topics/a HTTP/1.0\r\nOrigin: null\r\nContent-Length: 1\r\n\r\n1")
    assert client.next().code == "foreign_origin"


def test_a_page_from_elsewhere_gets_an_answer_that_its_browser_does_not_show_it(site: Site) -> None:
    answer = site.get("/topics/a?wait=0", Origin="https://evil.example")
    assert answer.status == 200
    assert not cors(answer)


@pytest.mark.parametrize("origin", [APP, "HTTPS://App.Example", "https://app.example:443", "http://localhost:3000"])
def test_a_page_that_the_setting_lets_in_may_do_all(allowing: Site, origin: str) -> None:
    assert post(allowing, origin).status == 200
    assert upgrade(allowing, origin).status == 101
    answer = allowing.get("/topics/a?wait=0", Origin=origin)
    assert answer["Access-Control-Allow-Origin"] == origin
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert answer["Vary"] == "Origin"
    assert "Slosh-Next" in answer["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["http://app.example", "https://app.example:8443", "https://sub.app.example", "null"]
)
def test_only_that_very_origin_is_let_in(allowing: Site, origin: str) -> None:
    assert post(allowing, origin).code == "foreign_origin"


def test_the_default_port_may_be_written_in_the_setting(make_site: MakeSite) -> None:
    assert post(make_site(origins="https://app.example:443 http://x.example:80"), APP).status == 200


def test_a_star_lets_all_in_without_credentials(make_site: MakeSite) -> None:
    site = make_site(origins="*")
    for origin in FOREIGN:
        answer = post(site, origin)
        assert answer.status == 200
        assert cors(answer).keys() == {"access-control-allow-origin", "access-control-expose-headers"}
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert upgrade(site, origin).status == 101


def test_beside_a_star_an_origin_by_name_still_may_bring_its_cookies(make_site: MakeSite) -> None:
    answer = make_site(origins=f"* {APP}").get("/topics/a?wait=0", Origin=APP)
    assert (answer["Access-Control-Allow-Origin"], answer["Access-Control-Allow-Credentials"]) == (APP, "true")


# What the page's browser is told.


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/topics/a?wait=0", {}),
        ("/topics/a?wait=0&since=earliest", {}),
        ("/topics/a?wait=0", {"Prefer": "return=minimal"}),
        ("/topics/a,b?wait=0", {}),
        ("/topics/*?wait=0", {}),
        ("/topics/a", {"Accept": "text/event-stream"}),
        ("/topics/a", {"Accept": "application/x-ndjson"}),
        ("/topics/a?watchers", {}),
        ("/topics", {}),
        ("/topics?watch", {}),
        ("/topics/a?since=nonsense", {}),
        ("/topics/,", {}),
        ("/topics?limit=0", {}),
    ],
)
def test_every_answer_to_a_get_can_be_read_refusals_too(allowing: Site, target: str, fields: dict[str, str]) -> None:
    answer = allowing.connect().get(target, Origin=APP, **fields).next()
    assert answer["Access-Control-Allow-Origin"] == APP
    assert "Slosh-Next" in answer["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("method", "target", "body", "fields", "status"),
    [
        ("POST", "/topics/a", b"1", {}, 200),
        ("POST", "/topics/nobody", b"1", {}, 404),
        ("POST", "/topics/a", b"{", {}, 400),
        ("POST", "/topics/a", b"1", {"Content_Encoding": "gzip"}, 415),
        ("POST", "/topics/a", b"1", {"Content_Type": "application/x-ndjson"}, 200),
        ("PUT", "/topics/a", b"1", {}, 405),
        ("HEAD", "/topics/a", b"", {}, 200),
    ],
)
def test_every_answer_to_another_method_can_be_read(
    allowing: Site, method: str, target: str, body: bytes, fields: dict[str, str], status: int
) -> None:
    answer = allowing.ask(method, target, body, Origin=APP, **fields)
    assert answer.status == status
    assert answer["Access-Control-Allow-Origin"] == APP


def test_a_page_learns_that_its_message_is_too_large(make_site: MakeSite) -> None:
    """Instead of "network error", as its browser calls an answer that it may not show."""
    site = make_site(origins=APP, max_message=10)
    answer = site.connect().post("/topics/a", b"1" * 11, Origin=APP).next()
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (413, APP)


# Preflights.


def preflight(site: Site, origin: str, method: str = "POST", headers: str = "content-type,idempotency-key") -> Response:
    asks = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": headers}
    return site.ask("OPTIONS", "/topics/a", Origin=origin, **asks)


def test_a_preflight_says_what_a_page_may_send(allowing: Site) -> None:
    answer = preflight(allowing, APP)
    assert answer.status == 204
    assert answer["Access-Control-Allow-Origin"] == APP
    assert "POST" in answer["Access-Control-Allow-Methods"]
    for field in ("Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer"):
        assert field in answer["Access-Control-Allow-Headers"]
    assert "X-Forwarded-Host" not in answer["Access-Control-Allow-Headers"], "with it a page could claim to be ours"
    assert answer["Access-Control-Max-Age"] == "600"


def test_a_page_may_send_every_field_that_it_asks_for(allowing: Site) -> None:
    """Tracing libraries add theirs to each request: the browser would block what is not allowed here."""
    answer = preflight(allowing, APP, "GET", "sentry-trace, Baggage,traceparent, authorization,x-a_b.c~!")
    allowed = {name.lower() for name in answer["Access-Control-Allow-Headers"].split(", ")}
    assert {"sentry-trace", "baggage", "traceparent", "authorization", "x-a_b.c~!", "prefer"} <= allowed
    assert ("vary", "Access-Control-Request-Headers") in answer.fields


@each_of(
    "headers",
    ["", ",,", "a b", 'x"y', "x(y)", "x:y", "\xe9", "a" * 65, "X-Forwarded-Host", "forwarded", "x-forwarded-for,a/b"],
)
def test_what_is_no_field_of_a_page_is_not_allowed(allowing: Site, headers: str) -> None:
    answer = preflight(allowing, APP, "GET", headers)
    assert answer["Access-Control-Allow-Headers"] == preflight(allowing, APP)["Access-Control-Allow-Headers"]


def test_the_fields_of_a_preflight_are_bounded(allowing: Site) -> None:
    names = [f"x-{number}" for number in range(1000)]
    allowed = preflight(allowing, APP, "GET", ",".join(names))["Access-Control-Allow-Headers"].split(", ")
    assert allowed[5:] == names[:64]


# The cookie.


@pytest.mark.parametrize(
    ("fields", "attributes"),
    [
        ({}, "SameSite=Lax"),
        ({"Origin": "http://slosh.test"}, "SameSite=Lax"),
        ({"Origin": "https://slosh.test", "X_Forwarded_Proto": "https"}, "SameSite=Lax; Secure"),
        ({"Origin": APP, "X_Forwarded_Proto": "https"}, "SameSite=None; Secure"),
        ({"Origin": APP, "X_Forwarded_Proto": "https", "Sec_Fetch_Site": "cross-site"}, "SameSite=None; Secure"),
        ({"Origin": APP, "X_Forwarded_Proto": "https", "Sec_Fetch_Site": "same-site"}, "SameSite=Lax; Secure"),
        ({"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"}, "SameSite=Lax"),
        ({"Origin": APP}, ""),
        ({"Origin": APP, "X_Forwarded_Proto": "http"}, ""),
        ({"Origin": "https://evil.example", "X_Forwarded_Proto": "https"}, ""),
        ({"Origin": "https://evil.example", "Sec_Fetch_Site": "same-site"}, ""),
        ({"Origin": "null", "X_Forwarded_Proto": "https"}, ""),
    ],
)
def test_a_page_gets_the_cookie_that_it_can_bring_again_or_none(
    allowing: Site, fields: dict[str, str], attributes: str
) -> None:
    answer = allowing.get("/topics/a?wait=0", **fields)
    assert ("Set-Cookie" in answer) is bool(attributes)
    if attributes:
        assert answer["Set-Cookie"].partition("HttpOnly; ")[2] == attributes


def test_under_a_star_a_page_from_elsewhere_gets_no_cookie(make_site: MakeSite) -> None:
    """It polls without credentials, so it could not bring one again."""
    fields = {"Origin": APP, "X_Forwarded_Proto": "https"}
    assert "Set-Cookie" not in make_site(origins="*").get("/topics/a?wait=0", **fields)
    assert "SameSite=None" in make_site(origins=f"* {APP}").get("/topics/a?wait=0", **fields)["Set-Cookie"]


def test_readers_at_one_place_get_their_own_cookies(allowing: Site) -> None:
    origins: tuple[dict[str, str], ...] = ({}, {"Origin": APP, "X_Forwarded_Proto": "https"}, {"Origin": APP}, {})
    clients = [allowing.connect().get("/topics/b", **fields) for fields in origins]
    allowing.post("/topics/b", b"1")
    told = [dict(client.next().fields).get("set-cookie", "").partition("SameSite=")[2] for client in clients]
    assert told == ["Lax", "None; Secure", "", "Lax"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_preflight_of_a_page_from_elsewhere_promises_nothing(allowing: Site, origin: str) -> None:
    answer = preflight(allowing, origin)
    assert answer.status == 204
    assert not cors(answer)


def test_a_preflight_under_a_star(make_site: MakeSite) -> None:
    answer = preflight(make_site(origins="*"), "null")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer["Access-Control-Allow-Methods"]


def test_an_options_that_is_no_preflight_tells_the_methods(allowing: Site) -> None:
    answer = allowing.ask("OPTIONS", "/topics/a", Origin=APP)
    assert answer["Allow"] == "GET, HEAD, POST, DELETE, OPTIONS"
    assert "Access-Control-Allow-Methods" not in answer


def test_one_origin_is_never_answered_as_another(allowing: Site) -> None:
    """Heads are remembered; the origin is part of them."""
    client = allowing.connect()
    client.send(*(request("GET", "/topics/a?wait=0", Origin=each) for each in (APP, "http://localhost:3000", APP)))
    told = [client.next()["Access-Control-Allow-Origin"] for _ in range(3)]
    assert told == [APP, "http://localhost:3000", APP]


# The setting.


@each_of("allowed", ["", "   ", "*", APP, f"{APP},http://[::1]:3000", "* http://x", "https://a_b.example.:1"])
def test_the_setting_takes_origins(allowed: str) -> None:
    Origins(allowed)


@each_of(
    "origin",
    [
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "app://.",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://0b1c2d3e-0000-4000-8000-000000000000",
        "safari-web-extension://0B1C2D3E-0000-4000-8000-000000000000",
        "vscode-webview://1vabc",
    ],
)
def test_a_page_of_any_scheme_can_be_let_in(make_site: MakeSite, origin: str) -> None:
    site = make_site(origins=origin)
    assert post(site, origin).status == 200
    assert site.get("/topics/a?wait=0", Origin=origin)["Access-Control-Allow-Origin"] == origin
    assert preflight(site, origin)["Access-Control-Allow-Origin"] == origin
    assert upgrade(site, origin).status == 101
    assert post(site, origin + "x").code == "foreign_origin"


@each_of(
    "wrong",
    [
        "null",
        "Null",
        "file://",
        "app.example",
        "localhost:3000",
        "//app.example",
        "://app.example",
        "ftp://app.example",
        "https://",
        "https:app.example",
        "https://*.example",
        "https://app.*",
        "capacitor://*",
        "capacitor://localhost/",
        "https://user@app.example",
        "https://app.example:0",
        "https://app.example:99999",
        "https://app.example:https",
        "https://127.1",
        "https://1.2.3.4.5",
        "https://[::0001]",
        "https://-app.example",
        f"{APP}/",
        f"{APP}/path",
        f"{APP}?x",
        f"{APP}#x",
        "https://[x",
        "https://é",
    ],
)
def test_the_setting_takes_nothing_else_and_says_which_is_wrong(wrong: str) -> None:
    with pytest.raises(SettingError, match="is no origin") as caught:
        Origins(f"{APP} {wrong}")
    assert wrong in caught.value.detail


@each_of(
    ("wrong", "advice"),
    [
        (f"{APP}/", f"Write {APP}."),
        ("https://App.Example:443/chat", f"Write {APP}."),
        ("wss://app.example", f"Write {APP}."),
        ("ws://localhost:3000", "Write http://localhost:3000."),
        ("null", "Write *"),
        ("https://*.example", "* stands alone"),
        ("app.example", "https://"),
    ],
)
def test_what_can_never_match_is_refused_with_what_to_write(wrong: str, advice: str) -> None:
    with pytest.raises(SettingError) as caught:
        Origins(wrong)
    assert advice in caught.value.detail
