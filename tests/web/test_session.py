"""The cookie is the session: one for each topic, held by the client, nothing remembered on the server."""

import pytest

from tests.web.harness import Site
from tests.web.readers.test_longpoll import numbers, told


def test_the_cookie_is_the_session(site: Site) -> None:
    first = site.connect().get("/topics/a")
    site.post("/topics/a", b"1")
    cookie = first.next().cookie
    for number in (2, 3, 4):
        site.post("/topics/a", b"%d" % number)
    answer = site.get("/topics/a", Cookie=f"theme=dark; {cookie}; slosh_other=zzz.9")
    assert told(answer) == (4, 3, 0, [2, 3, 4])
    assert answer.cookie == cookie.replace(".1", ".4")


def test_two_clients_with_one_cookie_share_one_place(site: Site) -> None:
    """As two tabs of a browser do: what one has read is behind the place of the other."""
    cookie = site.get("/topics/a?wait=0").cookie
    for number in (1, 2):
        site.post("/topics/a", b"%d" % number)
        answer = site.get("/topics/a?wait=0", Cookie=cookie)
        assert answer.json["res"] == [number]
        cookie = answer.cookie  # which the browser sends from either tab
    assert site.get("/topics/a?wait=0", Cookie=cookie).json["res"] == []


def test_the_cookie_has_the_attributes_of_the_protocol(site: Site) -> None:
    line = site.get("/topics/a%20b/c?wait=0")["Set-Cookie"]
    pair, *attributes = line.split("; ")
    assert pair.startswith("slosh_")
    assert pair.endswith("=epoch000.0")
    assert attributes == ["Path=/topics/a%20b/c", "HttpOnly", "SameSite=Lax"]


@pytest.mark.parametrize(
    ("proto", "secure"),
    [("https", True), ("HTTPS", True), ("https,http", True), ("http", False), ("http,https", False), ("", False)],
)
def test_the_cookie_is_secure_behind_tls(site: Site, proto: str, secure: bool) -> None:
    fields = {"X-Forwarded-Proto": proto} if proto else {}
    assert ("; Secure" in site.get("/topics/a?wait=0", **fields)["Set-Cookie"]) is secure


@pytest.mark.parametrize("query", ["since=now", "since=earliest", "since=epoch000.0", "n=0"])
def test_who_names_a_place_neither_uses_nor_gets_the_cookie(site: Site, query: str) -> None:
    numbers(site, 1)
    name = site.get("/topics/a?wait=0").cookie.partition("=")[0]
    answer = site.get(f"/topics/a?wait=0&{query}", Cookie=f"{name}=gone.1")
    assert "Set-Cookie" not in answer
    assert "reset" not in answer.json


def test_each_topic_has_a_cookie_of_its_own(site: Site) -> None:
    """A cookie's path covers the topics below it too, and their places are not this one's."""
    names = {site.get(f"/topics/{topic}?wait=0").cookie.partition("=")[0] for topic in ("a", "a/b", "a/b/c", "b")}
    assert len(names) == 4
    numbers(site, 2)
    numbers(site, 3, "a/b")
    jar = "; ".join(site.get(f"/topics/{topic}?wait=0").cookie for topic in ("a", "a/b"))
    site.post("/topics/a", b'"to a"')
    site.post("/topics/a/b", b'"to a/b"')
    assert told(site.get("/topics/a/b", Cookie=jar))[3] == ["to a/b"]
    assert told(site.get("/topics/a", Cookie=jar))[3] == ["to a"]


@pytest.mark.parametrize("value", ["", "x", "..", "epoch000.x", '"epoch000.1"', "epoch000.1.2", "\xe9", "e" * 5000])
def test_a_garbage_cookie_resets(site: Site, value: str) -> None:
    """A client that has one must be told to start again; it is no fault of his."""
    numbers(site, 2)
    name = site.get("/topics/a?wait=0").cookie.partition("=")[0]
    answer = site.get("/topics/a", Cookie=f"{name}={value}")
    assert answer.json["reset"] is True
    assert told(answer)[3] == [1, 2]
    assert answer.cookie == f"{name}=epoch000.2"


def test_a_nameless_cookie_cannot_stand_in_for_the_place(site: Site) -> None:
    """CVE-2023-23934: `==name=value` was read as the cookie `name`."""
    numbers(site, 2)
    name = site.get("/topics/a?wait=0").cookie.partition("=")[0]
    for nameless in (f"={name}=gone.1", f"=={name}=gone.1", f"; ={name}=gone.1", f"{name}"):
        answer = site.get("/topics/a?wait=0", Cookie=nameless)
        assert "reset" not in answer.json
        assert told(answer)[1] == 0


def test_a_name_that_could_end_a_header_line_or_an_attribute_does_not(site: Site) -> None:
    answer = site.get("/topics/a;%20Domain=evil?wait=0")
    assert answer["Set-Cookie"].split("; ")[1:] == ["Path=/topics/a%3B%20Domain=evil", "HttpOnly", "SameSite=Lax"]
    assert site.get("/topics/a%0d%0aSet-Cookie:%20x=y?wait=0").code == "bad_topic"


# Below a proxy's prefix.

NGINX, STRANGER = ("127.0.0.1", 4711), ("192.0.2.66", 4711)


def test_the_cookie_has_the_path_that_the_client_sees(site: Site) -> None:
    """A proxy has cut `/slosh` off: without it the browser would never send the cookie back."""
    prefix = {"X_Forwarded_Prefix": "/slosh/"}
    for target in ("/topics/a?wait=0", "/topics/a?wait=0"):  # the second time the head is known
        lines = [site.connect(peer).get(target, **prefix).next()["Set-Cookie"] for peer in (NGINX, STRANGER, NGINX)]
        assert ["Path=/slosh/topics/a;" in line for line in lines] == [True, False, True]
        assert "Path=/topics/a;" in lines[1]


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/a/../b", "/a;Domain=evil.example", "/a%0d%0aX:y", "slosh", "/a b"]
)
def test_a_prefix_that_is_no_plain_path_counts_for_nothing(site: Site, prefix: str) -> None:
    answer = site.connect(NGINX).get("/topics/a?wait=0", X_Forwarded_Prefix=prefix).next()
    assert "; Path=/topics/a;" in answer["Set-Cookie"]


def test_readers_at_one_place_get_the_cookies_of_their_paths(site: Site) -> None:
    fields = {"X_Forwarded_Prefix": "/slosh"}
    clients = [site.connect(peer).get("/topics/a", **fields) for peer in (NGINX, STRANGER, NGINX)]
    clients.append(site.connect(NGINX).get("/topics/a"))
    site.post("/topics/a", b"1")
    lines = [client.next()["Set-Cookie"] for client in clients]
    assert ["Path=/slosh/topics/a;" in line for line in lines] == [True, False, True, False]


@pytest.mark.parametrize("peer", [NGINX, STRANGER])
def test_a_place_in_the_url_counts_below_a_prefix_too(site: Site, peer: object) -> None:
    numbers(site, 3)
    client = site.connect(peer)
    for offset in (1, 2, 0):
        client.get(f"/topics/a?since=epoch000.{offset}", X_Forwarded_Prefix="/slosh")
        assert told(client.next())[3] == [1, 2, 3][offset:]
