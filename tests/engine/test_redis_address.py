"""Addresses of stores: what is taken, what is refused with the way out, and no password is ever shown."""

import pytest

from slosh.engine.redis_address import hide_password, parse_address
from slosh.errors import SettingError


@pytest.mark.parametrize(
    ("text", "kind", "hosts", "name", "options"),
    [
        ("redis://host:7000/3", "single", (), "", {"host": "host", "port": 7000, "db": 3}),
        ("redis://u:p%40ss@host", "single", (), "", {"host": "host", "username": "u", "password": "p@ss"}),
        ("unix:///run/redis.sock?db=2", "single", (), "", {"path": "/run/redis.sock", "db": 2}),
        ("redis+sentinel://a,b:7/main/1", "sentinel", (("a", 26379), ("b", 7)), "main", {"db": 1}),
        ("redis+sentinel://:pw@a/main", "sentinel", (("a", 26379),), "main", {"password": "pw"}),
        ("redis+cluster://a:1,[::1]:2", "cluster", (("a", 1), ("::1", 2)), "", {}),
        ("redis+cluster://a/0?protocol=3", "cluster", (("a", 6379),), "", {"db": 0, "protocol": 3}),
    ],
)
def test_addresses(
    text: str, kind: str, hosts: tuple[tuple[str, int], ...], name: str, options: dict[str, object]
) -> None:
    address = parse_address(text)
    assert (address.kind, address.hosts, address.name) == (kind, hosts, name)
    assert {key: value for key, value in address.options.items() if key != "connection_class"} == options


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("redis", "begins with one of redis://"),
        ("http://host", "begins with one of redis://"),
        ("redis+sentinel://host:26379", "add /mymaster"),
        ("redis+cluster://host/1", "a cluster has one database"),
        ("redis+cluster://host:x", "is no address"),
        ("redis://host:x", "is no address"),
        ("redis://host?db=many", "is no address"),
        ("redis://host?databse=1", "'databse'"),
        ("redis://host?protocol=4", "either 2 or 3"),
        ("redis+cluster://host?ssl_ca_certs=/etc/ca.pem", "'ssl_ca_certs'"),
    ],
)
def test_what_is_none_is_refused_with_the_way_out(text: str, says: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_address(text)
    assert says in caught.value.detail
    assert caught.value.detail.startswith("engine: ")


@pytest.mark.parametrize(
    "text",
    [
        "redis://user:secret@host/0",
        "rediss://:secret@host",
        "redis+sentinel://u:secret@a,b/main?sentinel_password=secret",
        "redis://host?password=secret&db=1",
        "rediss://host?ssl_password=secret",
    ],
)
def test_no_password_is_shown(text: str) -> None:
    assert "secret" not in hide_password(text)
    assert "secret" not in parse_address(text).text


def test_no_password_is_shown_in_a_refusal() -> None:
    with pytest.raises(SettingError) as caught:
        parse_address("redis+cluster://user:secret@a:x")
    assert "secret" not in caught.value.detail
