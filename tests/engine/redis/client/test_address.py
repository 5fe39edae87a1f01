"""Addresses of stores: what is taken, what is refused with the way out, and no password is ever shown."""

from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slosh.engine.redis.client.address import parse_address
from slosh.errors import SettingError
from slosh.settings.sources import load
from tests.cases import each_of


@each_of(
    ("text", "kind", "hosts", "name", "options"),
    [
        ("redis://host:7000/3", "single", (), "", {"host": "host", "port": 7000, "db": 3}),
        (
            "redis://u:p%40ss@host",
            "single",
            (),
            "",
            {"host": "host", "port": 6379, "username": "u", "password": "p@ss"},
        ),
        ("redis://:p@ss[word @host:1", "single", (), "", {"host": "host", "port": 1, "password": "p@ss[word "}),
        ("redis://[::1]:7", "single", (), "", {"host": "::1", "port": 7}),
        (
            "rediss://h/0?ssl_ca_certs=/c.pem",
            "single",
            (),
            "",
            {"host": "h", "port": 6379, "db": 0, "ssl_ca_certs": "/c.pem"},
        ),
        ("unix://u:pw@/run/r.sock", "single", (), "", {"path": "/run/r.sock", "username": "u", "password": "pw"}),
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


@each_of(
    ("text", "says"),
    [
        ("redis", "One begins with redis://"),
        ("http://host", "One begins with redis://"),
        ("redis+sentinel://host:26379", "add /mymaster"),
        ("redis+cluster://host/1", "a cluster has one database"),
        ("memroy", "Did you mean memory?"),
        ("redsi://host", "Did you mean redis://?"),
        ("redis+sentnel://host", "Did you mean redis+sentinel://?"),
        ("redis+cluster://host:x", "no sound host and port"),
        ("redis://host:x", "no sound host and port"),
        ("redis://host:70000", "no sound host and port"),
        ("redis://a,b", "redis+cluster://"),
        ("redis://host/main", "number of a database"),
        ("redis://user:p/ss@host", "write @ as %40, : as %3A, / as %2F"),
        ("redis://user:12?ss@host", "an @ or # behind its host"),
        ("redis://:12#ss@host", "an @ or # behind its host"),
        ("unix://host/run/redis.sock", "has a path and no host"),
        ("redis://host?db=many", "db in the address's query"),
        ("redis://host?usernam=1", "Did you mean username?"),
        ("redis://host?protocol=4", "either 2 or 3"),
        (
            "redis+cluster://host?ssl_ca_certs=/etc/ca.pem",
            "ssl_ca_certs in the address's query means nothing without TLS",
        ),
    ],
)
def test_what_is_none_is_refused_with_the_way_out(text: str, says: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_address(text)
    assert says in caught.value.detail
    assert caught.value.detail.startswith("engine: ")


SPECIAL = "@/:#%?&=+ []'\\\"äß日\t,"
FORMS = (
    "redis://{user}:{password}@host:6379/0",
    "rediss://:{password}@host",
    "redis://{password}@host",
    "redis://{password}",
    "redis://host/{password}",
    "redis://host?{password}",
    "redis://host?password={password}&db=1",
    "redis://host?db={password}",
    "rediss://host?ssl_password={password}",
    "unix://{user}:{password}@/run/redis.sock",
    "redis+sentinel://{user}:{password}@a,b:1/main?sentinel_password={password}",
    "redis+sentinel://a/{password}",
    "redis+cluster://:{password}@a,b:x",
    "reids://{user}:{password}@host",
    "{password}",
)


@given(
    form=st.sampled_from(FORMS),
    parts=st.lists(st.text(SPECIAL + "p1", max_size=4), min_size=3, max_size=3),
    escape=st.sampled_from((str, quote, quote_plus, lambda text: quote(text, ""))),
)
@example(form=FORMS[0], parts=["p@", "", ""], escape=str)
@example(form=FORMS[0], parts=["12?", "", ""], escape=str)
def test_nothing_of_a_user_or_password_is_ever_shown(form: str, parts: list[str], escape: Callable[[str], str]) -> None:
    """Any text in it, escaped or not, and wherever it lands when the address is read."""
    password, user = "hunter".join(parts), "hunter" + parts[0]
    text = form.format(user=escape(user), password=escape(password))
    try:
        settings = load({}, environ={"SLOSH_ENGINE": text, "SLOSH_CONFIG": "/dev/null"}).settings
        assert "hunter" not in repr(settings)
        address = parse_address(text)
    except SettingError as error:
        shows = "hunter" in error.detail
        assert not shows
        return
    if "hunter" in f"{address.hosts} {address.name} {address.options.get('host')} {address.options.get('path')}":
        return  # `redis://hunter` names a host, and no reader could know better
    for shown in (address.text, repr(address)):
        assert "hunter" not in shown


@each_of("door", ["SLOSH_ENGINE", "SLOSH_PORT", "SLOSH_ROOT", "SLOSH_UNWATCHED", "SLOSH_ENGINE_PREFIX"])
@each_of("text", ["redis://:hunter2@h\0", "redis://:p@hunter2@h", "redis://:p hunter2@h"])
def test_an_address_in_the_wrong_setting_is_refused_without_its_password(door: str, text: str) -> None:
    if door == "SLOSH_ENGINE":
        text += "\0"
    with pytest.raises(SettingError) as caught:
        load({}, environ={door: text, "SLOSH_CONFIG": "/dev/null"})
    assert door in caught.value.detail
    assert "hunter2" not in caught.value.detail
