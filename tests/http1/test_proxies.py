"""Whose word about a client counts: its address, its scheme, and the prefix of its URL."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slosh.errors import SettingError
from slosh.http1.head import Head, parse_head
from slosh.http1.proxies import Proxies, find_prefix, is_over_tls
from tests.cases import each_of
from tests.properties import PROPERTY
from tests.web.conftest import MakeSite
from tests.web.harness import request

NGINX = "127.0.0.1"


def head(*lines: str) -> Head:
    text = "\r\n".join(["GET / HTTP/1.1", "Host: slosh.test", *lines, "", ""])
    return parse_head(text.encode("latin-1"), 64)


def client(peer: str, *lines: str, trusted: str = "127.0.0.1 ::1 10.0.0.0/8 unix") -> str:
    return Proxies(trusted).find_client(peer, head(*lines))


# The address.


@each_of(
    ("lines", "address"),
    [
        ([], NGINX),
        (["X-Forwarded-For: 192.0.2.7"], "192.0.2.7"),
        (["X-Forwarded-For: 192.0.2.7, 10.1.2.3"], "192.0.2.7"),
        (["X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 10.1.2.3"], "192.0.2.7"),
        (["X-Forwarded-For: 192.0.2.7 ,\t10.1.2.3 , 127.0.0.1"], "192.0.2.7"),
        (["X-Forwarded-For: 192.0.2.7:4711"], "192.0.2.7"),
        (["X-Forwarded-For: 2001:DB8::0:1"], "2001:db8::1"),
        (["X-Forwarded-For: [2001:db8::1]:4711"], "2001:db8::1"),
        (["X-Forwarded-For: ::ffff:192.0.2.7"], "192.0.2.7"),
        (["X-Forwarded-For: fe80::1%eth0"], "fe80::1"),
        (["X-Forwarded-For: 10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        (["Forwarded: for=192.0.2.7;proto=https;by=10.0.0.1"], "192.0.2.7"),
        (['Forwarded: For="[2001:db8::1]:4711"'], "2001:db8::1"),
        (["Forwarded: for=192.0.2.7, for=10.0.0.2"], "192.0.2.7"),
        (["Forwarded: for=192.0.2.7", "Forwarded: proto=http;for=10.0.0.2"], "192.0.2.7"),
        (['Forwarded: by="a,b;c";for="192.0.2.7"'], "192.0.2.7"),
        (["Forwarded: for=192.0.2.99", "X-Forwarded-For: 192.0.2.7"], "192.0.2.7"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(lines: list[str], address: str) -> None:
    assert client(NGINX, *lines) == address


@each_of(
    ("lines", "address"),
    [
        (["X-Forwarded-For: 198.51.100.1, 192.0.2.7"], "192.0.2.7"),
        (["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.7, 10.0.0.1"], "192.0.2.7"),
        (["X-Forwarded-For: 10.0.0.9, 192.0.2.7"], "192.0.2.7"),
        (["X-Forwarded-For: 127.0.0.1, unix, 192.0.2.7"], "192.0.2.7"),
        (["Forwarded: for=198.51.100.1, for=192.0.2.7"], "192.0.2.7"),
        (['Forwarded: for="198.51.100.1, for=192.0.2.8", for=192.0.2.7'], "192.0.2.7"),
        (["X-Forwarded-For: " + "10.0.0.1," * 600 + "192.0.2.7"], "192.0.2.7"),
    ],
)
def test_what_a_client_writes_itself_stands_before_that_and_counts_for_nothing(lines: list[str], address: str) -> None:
    assert client(NGINX, *lines) == address


@each_of(
    "hop", ["unknown", "_hidden", "", "1.2.3", "1.2.3.4.5", "127.1", "0x7f.1", "::1::", "a" * 3000, "[", "1.2.3.4:"]
)
def test_a_hop_that_names_no_address_ends_the_chain_at_the_proxy_before(hop: str) -> None:
    assert client(NGINX, f"X-Forwarded-For: 192.0.2.7, {hop}, 10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize("peer", ["192.0.2.66", "::ffff:192.0.2.66", "2001:db8::66"])
def test_a_peer_that_is_no_trusted_proxy_says_nothing_of_its_address(peer: str) -> None:
    lines = ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"]
    assert client(peer, *lines) == peer.removeprefix("::ffff:")


def test_a_unix_socket_is_trusted_where_the_setting_says_so() -> None:
    line = "X-Forwarded-For: 192.0.2.7"
    assert client("", line, trusted="unix") == "192.0.2.7"
    assert client("", line, trusted="127.0.0.1") == ""
    assert client("", trusted="unix") == ""


def test_loopback_and_unix_sockets_are_trusted_by_default(make_site: MakeSite) -> None:
    proxies = make_site().server.proxies
    assert [proxies.trusts(peer) for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "")] == [True] * 5
    assert not any(proxies.trusts(peer) for peer in ("10.0.0.1", "192.168.0.1", "fe80::1", "2001:db8::1"))


def test_a_connection_knows_the_client_of_each_request(make_site: MakeSite) -> None:
    site = make_site(trusted_proxies="10.0.0.0/8")
    near, far = site.connect(("10.1.2.3", 4711)), site.connect(("192.0.2.66", 4711))
    for each in (near, far):
        each.send(request("GET", "/topics/a", X_Forwarded_For="192.0.2.7"))
    assert (near.connection.client, far.connection.client) == ("192.0.2.7", "192.0.2.66")


@PROPERTY
@given(st.lists(st.binary(max_size=30), max_size=4))
def test_any_bytes_are_taken_without_complaint(values: Any) -> None:
    forwarded = [part for value in values for part in (b"forwarded", value)]
    made = Head(b"", "GET", "/", "", 1, forwarded, [part for each in values for part in (b"x-forwarded-for", each)])
    assert Proxies("unix").find_client("", made) is not None
    alone = Head(b"", "GET", "/", "", 1, forwarded, [])
    assert Proxies("unix").find_client("", alone) is not None
    assert is_over_tls(alone) in (True, False)


def test_what_is_remembered_of_addresses_is_bounded_and_changes_no_answer() -> None:
    """Clients write them: there are as many as they like, and as long."""
    proxies = Proxies("127.0.0.1 10.0.0.0/8")
    asked = [
        *(f"192.0.2.{number % 250}:{number}" for number in range(5_000)),
        *("10.0.0.7", "nonsense", "x" * 5_000, "[::ffff:10.0.0.7]:1", "fe80::1%" + "z" * 500),
    ]
    for hop in [*reversed(asked), *asked]:
        lines = [f"X-Forwarded-For: 203.0.113.1, {hop}"]
        assert proxies.find_client(NGINX, head(*lines)) == client(NGINX, *lines, trusted="127.0.0.1 10.0.0.0/8")
        assert proxies.trusts(hop) == Proxies("127.0.0.1 10.0.0.0/8").trusts(hop)
    assert 0 < len(proxies._known) <= 1024
    assert max(map(len, proxies._known)) <= 64


# The scheme.


@each_of(
    "lines",
    [
        ["X-Forwarded-Proto: https"],
        ["X-Forwarded-Proto: HTTPS"],
        ["X-Forwarded-Proto: https,http"],
        ["X-Forwarded-Proto: https , http, http"],
        ["X-Forwarded-Proto: ,https"],
        ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
        ["Forwarded: proto=https"],
        ["Forwarded: for=192.0.2.7;Proto=HTTPS"],
        ['Forwarded: for="[::1]:1"; proto="https", for=10.0.0.1;proto=http'],
        ["Forwarded: for=192.0.2.7", "Forwarded: proto=https"],
    ],
)
def test_the_scheme_is_that_between_the_client_and_the_first_proxy(lines: list[str]) -> None:
    assert is_over_tls(head(*lines))


@each_of(
    "lines",
    [
        [],
        ["X-Forwarded-Proto: http"],
        ["X-Forwarded-Proto: http,https"],
        ["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"],
        ["X-Forwarded-Proto: httpsx"],
        ["X-Forwarded-Proto:"],
        ["X-Forwarded-Proto: http", "Forwarded: proto=https"],
        ["Forwarded: proto=http, proto=https"],
        ["Forwarded: x=proto=https"],
        ['Forwarded: for="a;proto=https"'],
    ],
)
def test_everything_else_is_no_tls(lines: list[str]) -> None:
    assert not is_over_tls(head(*lines))


# The prefix.


@pytest.mark.parametrize(
    ("value", "prefix"),
    [("/slosh", "/slosh"), ("/slosh/", "/slosh"), ("/a/b-c_d.e~f", "/a/b-c_d.e~f"), ("/a.b", "/a.b"), ("/...", "/...")],
)
def test_a_prefix_is_a_plain_path(value: str, prefix: str) -> None:
    assert find_prefix(head(f"X-Forwarded-Prefix: {value}")) == prefix


@each_of(
    "value",
    [
        *(
            "",
            "/",
            "//",
            "slosh",
            "//evil.example",
            "/a//b",
            "/..",
            "/a/../b",
            "/.",
            "/a/./b",
            "http://evil.example/",
            "/a?b",
        ),
        *(
            "/a#b",
            "/a;Domain=evil.example",
            "/a,/b",
            "/a b",
            "/a%0d%0ab",
            "/a%2f..",
            "/\xe9",
            "/a\\b",
            '/"',
            "/<b>",
            "/" + "a" * 300,
        ),
    ],
)
def test_what_could_mean_more_than_a_path_is_no_prefix(value: str) -> None:
    assert find_prefix(head(f"X-Forwarded-Prefix: {value}")) == ""


def test_of_two_prefixes_none_counts() -> None:
    assert find_prefix(head("X-Forwarded-Prefix: /a", "X-Forwarded-Prefix: /a")) == ""


# The setting.


@each_of("trusted", ["none", "unix", "127.0.0.1", "::1,10.0.0.0/8", "0.0.0.0/0 ::/0", "fe80::/10"])
def test_the_setting_takes_addresses_and_networks(trusted: str) -> None:
    Proxies(trusted)


@each_of(
    ("wrong", "advice"),
    [
        ("*", "0.0.0.0/0 ::/0"),
        ("localhost", "10.0.0.7"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("10.0.0", "unix"),
        ("10.0.0.1:80", "unix"),
        ("[::1]", "unix"),
        ("Unix", "unix"),
        ("10.0.0.0/33", "unix"),
    ],
)
def test_the_setting_takes_nothing_else_and_says_what_to_write(wrong: str, advice: str) -> None:
    with pytest.raises(SettingError) as caught:
        Proxies(f"127.0.0.1 {wrong}")
    assert wrong in caught.value.detail
    assert advice in caught.value.detail
