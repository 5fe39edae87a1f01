"""Addresses of servers, as people write them, and the paths of topics."""

from pathlib import Path
from typing import Any

import pytest

from slosh.client.addresses import (
    DEFAULT_URL,
    check_topic,
    find_url,
    one_topic_path,
    socket_path,
    split_login,
    topic_path,
)
from slosh.client.errors import BadUse
from tests.cases import each_of


@pytest.mark.parametrize(
    ("told", "url"),
    [
        (None, DEFAULT_URL),
        ("http://slosh.example/", "http://slosh.example"),
        ("https://example.org/below/", "https://example.org/below"),
        ("unix:/run/slosh.sock", "unix:/run/slosh.sock"),
        ("UNIX:///run/slosh/../a b@.sock/", "unix:/run/a b@.sock"),
        ("unix:/run/topics/slosh.sock", "unix:/run/topics/slosh.sock"),
    ],
)
def test_the_server_s_address(monkeypatch: pytest.MonkeyPatch, told: str | None, url: str) -> None:
    monkeypatch.delenv("SLOSH_URL", raising=False)
    assert find_url(told) == url


def test_the_path_of_a_socket_is_that_from_the_root_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that changes its folder later finds the same one."""
    monkeypatch.chdir(tmp_path)
    url = find_url("unix:slosh.sock")
    assert socket_path(url) == str(tmp_path / "slosh.sock")
    assert not socket_path("http://unix:1")


def test_the_address_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOSH_URL", "http://from.environment:1")
    assert find_url(None) == "http://from.environment:1"
    assert find_url("http://said:2") == "http://said:2"


@each_of(
    "url",
    [
        *("localhost:8000", "127.0.0.1", "ws://x", "", "http://", "http://x/?a=1"),
        *("http://[::1", "http://h:port", "http://h:99999", "http://a..b", "http://h/\udcff"),
        *("unix:", "unix:/", "unix://run/slosh.sock", "unix:/a\0b"),
        *("http://h/topics", "http://h/below/topics/kitchen"),
    ],
)
def test_what_is_no_address_is_told_with_what_to_write(url: str) -> None:
    with pytest.raises(BadUse, match=r"http://127|unix:/run/slosh\.sock"):
        find_url(url)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(BadUse) as caught:
        find_url("ftp://me:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "plain", "login"),
    [
        ("http://h:1/p", "http://h:1/p", ""),
        ("http://ann:hunter2@h:1/p", "http://h:1/p", "Basic YW5uOmh1bnRlcjI="),
        ("http://ann:a%40b@[::1]:1", "http://[::1]:1", "Basic YW5uOmFAYg=="),
        ("http://ann@h", "http://h", "Basic YW5u"),
        ("unix:/run/ann@h.sock", "unix:/run/ann@h.sock", ""),
    ],
)
def test_a_login_in_an_address_goes_into_a_field_of_its_own(url: str, plain: str, login: str) -> None:
    assert split_login(url) == (plain, login)


def test_names_are_spelled_for_a_url() -> None:
    assert topic_path("a/b c/ü%?#") == "a/b%20c/%C3%BC%25%3F%23"
    assert topic_path("sensors/*") == "sensors/*"


@each_of("topic", ["", None, 5, "a,b", "..", "a/../b", "./a", "a/.", "\udcff"])
def test_what_is_no_topic_is_told_at_once(topic: Any) -> None:
    with pytest.raises(BadUse, match="topic's name"):
        topic_path(topic)


@each_of(
    ("address", "name", "server"),
    [
        ("http://127.0.0.1:8000/topics/kitchen", "name (kitchen);", "--url http://127.0.0.1:8000,"),
        ("HTTPS://slosh.example/below/topics/a%20b/c", "name (a b/c);", "--url HTTPS://slosh.example/below,"),
        ("http://h/view/runs/**?x=step", "name (runs/**);", "--url http://h,"),
        ("http://h/topics/a,b#x", "name (a,b);", "--url http://h,"),
        ("http://ann:secret@h/topics/a?token=secret", "name (a);", "--url http://h,"),
        ("http://ann:1/secret@h/topics/a", "name (a);", f"--url, such as {DEFAULT_URL},"),
        ("unix:///run/s.sock/topics/a", "name (a);", "--url unix:/run/s.sock,"),
        ("unix:/run/s.sock", "name, such as kitchen;", "--url unix:/run/s.sock,"),
        ("unix:///run/s.sock", "name, such as kitchen;", "--url unix:/run/s.sock,"),
        ("unix:/run/s.sock/topics/a%20b/**", "name (a b/**);", "--url unix:/run/s.sock,"),
        ("unix:/run/s.sock/view/kitchen", "name (kitchen);", "--url unix:/run/s.sock,"),
        ("unix:/run/s.sock/view/runs/a?x=step#y", "name (runs/a);", "--url unix:/run/s.sock,"),
        ("UNIX:/run/s.sock/", "name, such as kitchen;", "--url unix:/run/s.sock,"),
        ("unix:/run/s.sock?token=secret", "name, such as kitchen;", "--url unix:/run/s.sock,"),
        ("http://h/kitchen", "name, such as kitchen;", f"--url, such as {DEFAULT_URL},"),
        ("http://h/topics/a%0ab", "name, such as kitchen;", "--url http://h,"),
        ("http://h/topics/%ff", "name, such as kitchen;", f"--url, such as {DEFAULT_URL},"),
        ("ws://h/topics/" + "x" * 5000, "name, such as kitchen;", f"--url, such as {DEFAULT_URL},"),
    ],
)
def test_an_address_in_place_of_a_topic_s_name_is_told_with_where_its_parts_go(
    address: str, name: str, server: str
) -> None:
    """It was told that a segment is empty. Nothing of it that may be a secret is repeated."""
    for check in (topic_path, one_topic_path, check_topic):
        with pytest.raises(BadUse) as caught:
            check(address)
        detail = caught.value.detail
        assert all(part in detail for part in (f"Give the topic's {name}", server, "Client(url)", "SLOSH_URL")), detail
        assert "secret" not in detail
    with pytest.raises(BadUse, match="comma"):
        topic_path("a,http://h/topics/a")
    for topic in ("unix:/run/kitchen", "unix:a.sock", "a/unix:/b.sock", "unix", "x.sock"):
        assert topic_path(topic) == topic
