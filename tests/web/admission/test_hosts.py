"""Which names the server answers to: a page whose owner points its name at us gets nothing (DNS rebinding)."""

import pytest

from slosh.errors import SettingError
from slosh.web.admission.hosts import Hosts
from tests.cases import each_of
from tests.web.admission.test_origins import HANDSHAKE
from tests.web.conftest import MakeSite
from tests.web.harness import Site, request

PORT = 8000
EVERYTHING = [
    ("GET", "/topics/a?wait=0", b""),
    ("HEAD", "/topics/a", b""),
    ("POST", "/topics/a", b"1"),
    ("OPTIONS", "/topics/a", b""),
    ("GET", "/topics", b""),
    ("GET", "/topics/a?watchers", b""),
    ("GET", "/view/a", b""),
    ("GET", "/-/metrics", b""),
    ("GET", "/-/slosh.js", b""),
    ("GET", "/harness.py", b""),
    ("OPTIONS", "*", b""),
]


@pytest.fixture
def local(make_site: MakeSite) -> Site:
    """A site that listens on 127.0.0.1:8000, with nothing said of hosts."""
    site = make_site(direct=[PORT], unwatched="keep")
    assert site.post("/topics/a", b"1").status == 200
    return site


@pytest.fixture
def named(make_site: MakeSite) -> Site:
    """A site, anywhere, that answers to two names and all below a third."""
    site = make_site(hosts="slosh.example, other.example *.wide.example", unwatched="keep")
    assert site.post("/topics/a", b"1", Host="slosh.example").status == 200
    return site


def answers(site: Site, host: str) -> bool:
    """Whether a request for `host` is served; else it says by which setting it could be."""
    answer = site.get("/topics", Host=host)
    if answer.status == 200:
        return True
    assert answer.status == 421
    assert answer.code == "unknown_host"
    assert "hosts" in answer.json["detail"]
    return False


# On loopback, as it comes.


@each_of(("method", "target", "body"), EVERYTHING)
def test_a_stranger_s_name_for_this_machine_reads_and_posts_nothing(
    local: Site, method: str, target: str, body: bytes
) -> None:
    """The page may say nearly anything else: it is of the same origin as itself."""
    lies = {"X_Forwarded_Host": "localhost:8000", "X_Forwarded_Proto": "https", "Forwarded": "host=localhost"}
    answer = local.ask(method, target, body, Host="evil.example:8000", Origin="http://evil.example:8000", **lies)
    assert answer.status == 421


def test_it_opens_no_websocket_either(local: Site) -> None:
    evil = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}
    assert local.connect().get("/topics/a", **HANDSHAKE, **evil).next().status == 421


@each_of(
    "host",
    [
        "localhost:8000",
        "LocalHost:8000",
        "localhost.:8000",
        "app.localhost:8000",
        "127.0.0.1:8000",
        "192.168.1.7:8000",
        "[::1]:8000",
        "[fe80::1]:8000",
        "localhost",
        "127.0.0.1",
    ],
)
def test_local_names_and_addresses_are_answered(local: Site, host: str) -> None:
    """No DNS entry stands behind them, so nobody can have pointed them here."""
    assert answers(local, host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "EVIL.example.:8000",
        "evillocalhost:8000",
        "localhost.evil.example:8000",
        "127.0.0.1.evil.example:8000",
        "127.0.0.1x:8000",
        "%6cocalhost:8000",
    ],
)
def test_names_that_only_look_local_are_not(local: Site, host: str) -> None:
    assert not answers(local, host)


@pytest.mark.parametrize("host", ["slosh.example", "slosh.example:443", "slosh", "8000-abc.tunnel.example"])
def test_a_proxy_in_front_needs_no_setting(local: Site, host: str) -> None:
    """Its clients came to another port than ours, and a page cannot say so of itself: its browser writes `Host`."""
    assert answers(local, host)


@pytest.mark.parametrize(("host", "answered"), [("evil.example", False), ("evil.example:80", False), ("a:81", True)])
def test_on_port_80_the_port_goes_without_saying(make_site: MakeSite, host: str, answered: bool) -> None:
    assert answers(make_site(direct=[80]), host) is answered


def test_the_name_that_it_listens_on_is_its_own(make_site: MakeSite) -> None:
    site = make_site(host="Workshop", direct=[PORT])
    assert answers(site, "workshop:8000")
    assert not answers(site, "workshop.evil.example:8000")


def test_where_others_reach_it_any_name_is_answered_until_hosts_says_which(site: Site) -> None:
    """It cannot know its names there."""
    assert answers(site, "evil.example:8000")


# With the setting.


@pytest.mark.parametrize(
    "host",
    ["slosh.example", "SLOSH.example:8000", "slosh.example.", "other.example:1", "a.wide.example", "a.b.wide.example"],
)
def test_names_in_hosts_are_answered_on_any_port(named: Site, host: str) -> None:
    assert answers(named, host)


@pytest.mark.parametrize(
    "host", ["evil.example", "slosh.example.evil.example", "wide.example", "evilwide.example", "slosh"]
)
def test_no_other_name_is(named: Site, host: str) -> None:
    assert not answers(named, host)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]", "10.0.0.1", "localhost:9", "a.localhost"])
def test_health_checks_by_address_are_answered_all_the_same(named: Site, host: str) -> None:
    assert answers(named, host)


@each_of(("method", "target", "body"), EVERYTHING)
def test_all_of_the_server_is_behind_the_list(named: Site, method: str, target: str, body: bytes) -> None:
    assert named.ask(method, target, body, Host="evil.example", X_Forwarded_Host="slosh.example").status == 421


def test_on_loopback_the_list_counts_for_proxied_requests_too(make_site: MakeSite) -> None:
    site = make_site(hosts="slosh.example", direct=[PORT])
    assert answers(site, "slosh.example")
    assert not answers(site, "other.example")


def test_a_star_answers_all(make_site: MakeSite) -> None:
    assert answers(make_site(hosts="*", direct=[PORT]), "evil.example:8000")


@each_of(
    "hosts",
    [
        "http://a.example",
        "a.example:8000",
        "a/b",
        "*.",
        "a*",
        "*.*",
        "-",
        "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
    ],
)
def test_what_is_no_name_is_refused_when_it_starts(hosts: str) -> None:
    with pytest.raises(SettingError, match=r"hosts: .* is no name"):
        Hosts(hosts)


# On the wire.


def test_the_host_in_the_target_counts_the_same(local: Site) -> None:
    target = "http://evil.example:8000/topics"
    assert local.get(target, Host="evil.example:8000").status == 421
    assert local.get("http://localhost:8000/topics", Host="localhost:8000").status == 200
    assert local.ask("OPTIONS", "http://evil.example:8000", Host="evil.example:8000").status == 421


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://evil.example:8000/topics/a?wait=0", "localhost:8000"),
        ("http://localhost:8000/topics/a?wait=0", "evil.example:8000"),
        ("http://localhost:8000/topics/a?wait=0", "localhost:9000"),
        ("http://localhost/topics/a?wait=0", "localhost:443"),
        ("https://localhost/topics/a?wait=0", "localhost:80"),
        ("http://evil.example?a=b", "localhost"),
        ("http://localhost.evil.example/topics/a", "localhost"),
    ],
)
def test_a_target_of_another_host_than_the_field_is_refused(local: Site, target: str, host: str) -> None:
    """One of the two would be checked, and the other one meant, here or by a program in front."""
    answer = local.ask("GET", target, Host=host)
    assert (answer.status, answer.code) == (400, "bad_http")
    page = target.partition("/topics")[0]
    assert local.ask("POST", target, b"1", Host=host, Origin=page).status == 400


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://LOCALHOST:8000/topics/a?wait=0", "localhost:8000"),
        ("http://localhost/topics/a?wait=0", "Localhost:80"),
        ("http://localhost:80/topics/a?wait=0", "localhost"),
        ("http://localhost:/topics/a?wait=0", "localhost"),
        ("https://localhost/topics/a?wait=0", "localhost:443"),
    ],
)
def test_the_same_host_may_be_written_in_several_ways(local: Site, target: str, host: str) -> None:
    assert local.ask("GET", target, Host=host).status == 200


def test_it_counts_for_the_origin_too(local: Site) -> None:
    local.get("http://localhost:8000/topics/a?wait=0", Host="localhost:8000")
    same, other = "http://localhost:8000", "http://localhost:9000"
    target = "http://localhost:8000/topics/a"
    assert local.post(target, b"1", Host="localhost:8000", Origin=same).status == 200
    assert local.post(target, b"1", Host="localhost:8000", Origin=other).status == 403


def test_options_of_a_host_is_of_the_server_as_a_whole(local: Site) -> None:
    """RFC 9112 section 3.2.4."""
    whole = local.ask("OPTIONS", "*", Host="localhost:8000")
    assert local.ask("OPTIONS", "http://localhost:8000", Host="localhost:8000").fields == whole.fields
    assert local.ask("OPTIONS", "http://localhost:8000/", Host="localhost:8000").fields != whole.fields


def test_a_client_that_names_no_host_is_no_browser(local: Site) -> None:
    client = local.connect().send(b"GET /-/healthy HTTP/1.0\r\n\r\n")
    assert client.next().status == 200


def test_the_connection_lives_on_and_the_refusal_is_counted(local: Site) -> None:
    client = local.connect().send(request("POST", "/topics/a", b"123", Host="evil.example:8000"))
    assert client.next().status == 421
    assert client.get("/topics", Host="localhost:8000").next().status == 200
    assert local.refused("unknown_host") == 1


def test_a_remembered_head_is_judged_by_its_own_host(local: Site) -> None:
    """The same poll again and again, once by each name."""
    client = local.connect()
    for _ in range(3):
        assert client.get("/topics/a?since=earliest", Host="localhost:8000").next().status == 200
        assert client.get("/topics/a?since=earliest", Host="evil.example:8000").next().status == 421
        assert client.get("/topics/a?since=epoch000.0", Host="localhost:8000").next().status == 200
        assert client.get("/topics/a?since=epoch000.0", Host="evil.example:8000").next().status == 421
