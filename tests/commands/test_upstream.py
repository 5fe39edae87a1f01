"""Addresses of upstreams, and why one fails, without passwords."""

import errno
import ssl
from pathlib import Path

import pytest

from slosh.client.errors import BadUse
from slosh.commands.upstream import parse_address, reason_of


def test_an_address_is_read() -> None:
    address = parse_address("mqtts://ann:a%40b@broker:8884", None)
    assert (address.kind, address.host, address.port, address.has_tls) == ("mqtt", "broker", 8884, True)
    assert (address.user, address.password, address.shown) == ("ann", "a@b", "mqtts://broker:8884")
    assert "a@b" not in repr(address)
    assert "ann" not in repr(address)


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("mqtt://[::1]", "mqtt", "mqtt://[::1]"),
        ("rediss://h/0?x=1", "redis", "rediss://h"),
        ("postgresql://u@a:1,b:2/db", "postgres", "postgresql://"),
        ("postgres:///db", "postgres", "postgres://"),
    ],
)
def test_addresses_of_each_kind(url: str, kind: str, shown: str) -> None:
    address = parse_address(url, None)
    assert (address.kind, address.shown) == (kind, shown)


def test_a_password_in_a_file_wins(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    assert parse_address("redis://:x@h", str(tmp_path / "password")).password == "from the file"


@pytest.mark.parametrize("url", ["broker", "amqp://h", "mqtt://", "redis://h:p"])
def test_what_is_no_address_is_refused_with_one_that_is(url: str) -> None:
    with pytest.raises(BadUse, match=r"(mqtt|redis)://"):
        parse_address(url, None)


def test_a_failure_has_a_reason_without_an_address() -> None:
    assert reason_of(ConnectionRefusedError(errno.ECONNREFUSED, "connect to ann:pw@h")) == "Connection refused"
    assert reason_of(TimeoutError()) == "no answer in time"
    assert reason_of(RuntimeError("It broke.")) == "It broke"
    assert reason_of(ssl.SSLError(1, "[SSL] wrong version number")) == "[SSL] wrong version number"
    assert reason_of(RuntimeError()) == "RuntimeError"
