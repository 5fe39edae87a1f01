"""A Settings that exists is sound: each value by itself, and the values to one another."""

from typing import Any

import pytest

from slosh.errors import SettingError
from slosh.settings.row import DAY, KIB, MIB, Kind
from slosh.settings.table import TABLE, Settings
from tests.cases import each_of

# The contract with everybody who starts slosh: these defaults are told in the documents and relied upon.
DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8000,
    "uds": "",
    "fd": -1,
    "takeover": "",
    "root": "",
    "view": "on",
    "hosts": "",
    "trusted_proxies": "127.0.0.0/8 ::1 unix",
    "open": "off",
    "tls_cert": "",
    "tls_key": "",
    "tls_client_ca": "",
    "proxy_protocol": "off",
    "token_in_query": "off",
    "max_token": 8 * KIB,
    "clock_skew": 10.0,
    "linger": 30.0,
    "queue": 100,
    "queue_bytes": 8 * MIB,
    "age": 0.0,
    "history": 0.0,
    "max_series": 64,
    "unwatched": "reject",
    "frame_origins": "",
    "origins": "",
    "max_message": MIB,
    "max_body": 8 * MIB,
    "max_batch": 10_000,
    "max_keys": 10_000,
    "max_depth": 512,
    "default_wait": 0.0,
    "max_wait": 0.0,
    "stream_life": 600.0,
    "drain": 10.0,
    "max_head": 16 * KIB,
    "max_fields": 64,
    "head_timeout": 10.0,
    "body_timeout": 30.0,
    "idle_timeout": 75.0,
    "write_timeout": 60.0,
    "tcp_keepalive": 60.0,
    "compression": "off",
    "log_refusals": "info",
    "log_format": "text",
    "log_level": "info",
    "access_log": 0,
    "max_connections": 100_000,
    "max_connections_per_address": 0,
    "max_downloads": 256,
    "max_topics": 100_000,
    "max_held_per_address": 0,
    "request_rate": 0,
    "publish_rate": 0,
    "rate_burst": 10.0,
    "max_topics_per_address": 10_000,
    "max_bytes": 2**30,
    "max_buffered": 2**28,
    "max_watchers": 0,
    "portion": 256 * KIB,
    "engine": "memory",
    "engine_prefix": "slosh",
    "engine_timeout": 2.0,
    "engine_queue": 10_000,
    "engine_queue_bytes": 64 * MIB,
    "workers": 1,
}


def test_the_defaults_are_the_published_ones() -> None:
    assert {row.name: row.default for row in TABLE} == DEFAULTS
    settings = Settings()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS


@each_of("row", TABLE, ids=lambda row: row.name)
def test_every_row_tells_what_a_person_needs(row: Any) -> None:
    assert row.about.endswith(".")
    assert row.option == "--" + row.name.replace("_", "-")
    assert row.variable == "SLOSH_" + row.name.upper()
    if row.kind in (Kind.NUMBER, Kind.BYTES, Kind.SECONDS):
        assert row.unit
        assert row.lowest <= row.default <= row.highest
        assert row.lowest < row.highest


@each_of("row", [row for row in TABLE if row.unit], ids=lambda row: row.name)
def test_both_bounds_of_a_number_are_allowed_and_the_next_is_not(row: Any) -> None:
    # The neighbours that a relation would object to are moved out of its way.
    others: dict[str, Any] = {
        "max_body": 1024 * MIB,
        "queue_bytes": 1024 * MIB,
        "max_message": 1,
        "max_wait": 0,
        "max_bytes": 2**40,
        "max_buffered": 2**40,
    }
    others["engine"] = "redis://host"
    others.pop(row.name, None)
    if row.name == "fd":
        others |= {"host": "127.0.0.1", "port": 8000}
    step = 1 if row.kind is not Kind.SECONDS else 0.0001
    kind: Any = float if row.kind is Kind.SECONDS else int
    for server in (row.lowest, row.highest):
        value = kind(server)
        if row.name == "max_message":
            others["queue_bytes"] = others["max_body"] = max(value, MIB)
        assert getattr(Settings(**others, **{row.name: value}), row.name) == value
    for beyond in (row.lowest - step, row.highest + step):
        with pytest.raises(SettingError, match=f"{row.name} goes from"):
            Settings(**others, **{row.name: kind(beyond)})


@pytest.mark.parametrize("value", [None, True, b"8000", [8000], object()])
def test_a_value_of_the_wrong_type_is_named_and_refused(value: Any) -> None:
    for row in TABLE:
        with pytest.raises(SettingError, match=f"^{row.name}=.* is not (a|one of) "):
            Settings(**{row.name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, DAY + 1])
def test_no_time_is_beyond_bounds(value: float) -> None:
    with pytest.raises(SettingError, match="linger goes from 0s to 1d"):
        Settings(linger=value)


def test_a_time_given_as_an_integer_is_a_float_to_its_readers() -> None:
    assert type(Settings(linger=5).linger) is float


@each_of(
    ("values", "sentence"),
    [
        ({"unwatched": "perhaps"}, "write reject or keep"),
        ({"host": ""}, "host='': is empty"),
        ({"engine": ""}, "engine='': is empty; write memory, or the address of a store"),
        ({"engine_prefix": "{a}"}, "engine_prefix='{a}': is no prefix; write 1 to 64 letters"),
        ({"host": "a\r\nb"}, "cannot be printed"),
        ({"root": "a\0b"}, "cannot be printed"),
        ({"uds": "/" + "x" * 200}, "at most 103 bytes"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        Settings(**values)
