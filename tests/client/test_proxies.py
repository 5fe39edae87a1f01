"""Proxies that the environment names: which requests go through one, and what is said of one that is of no use."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from slosh.client import AsyncClient, BadUse, Client, Refused, Unreachable
from slosh.client.proxies import find_proxy, is_this_machine, shown_proxy
from tests.cases import each_of
from tests.client.scripted import Scripted
from tests.e2e.server import Serving

DEAD = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Serving(tmp_path_factory.mktemp("server")) as serving:
        yield serving.url


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://a.test", ""),
        ({"HTTP_PROXY": "http://p:3128"}, "http://a.test", "http://p:3128"),
        ({"http_proxy": "p:3128"}, "http://a.test", "http://p:3128"),
        ({"HTTP_PROXY": "http://p"}, "https://a.test", ""),
        ({"HTTPS_PROXY": "http://p"}, "https://a.test:8443/below", "http://p"),
        ({"ALL_PROXY": "http://p"}, "https://a.test", "http://p"),
        ({"ALL_PROXY": "http://p", "HTTP_PROXY": "http://q"}, "http://a.test", "http://q"),
        *(
            ({"ALL_PROXY": "http://p", "NO_PROXY": excepted}, url, "")
            for excepted, url in (
                ("*", "http://a.test"),
                ("b.test, a.test", "http://a.test"),
                ("test", "http://a.test:8000"),
                (".a.test", "http://x.a.test"),
                ("*.a.test", "http://x.a.test"),
                ("A.test", "http://a.test"),
                ("a.test:8000", "http://a.test:8000"),
                ("http://a.test", "http://a.test"),
                ("10.0.0.7", "http://10.0.0.7:8000"),
                ("10.0.0.0/8", "http://10.1.2.3"),
                ("[fd00::1]", "http://[fd00::1]:8000"),
                ("fd00::/8", "http://[fd00::1]"),
            )
        ),
        *(
            ({"ALL_PROXY": "http://p", "NO_PROXY": excepted}, url, "http://p")
            for excepted, url in (
                ("a.test", "http://ba.test"),
                ("a.test:8000", "http://a.test:9000"),
                ("10.0.0.0/8", "http://11.1.2.3"),
                ("x/y, ,", "http://a.test"),
            )
        ),
        *(
            ({"ALL_PROXY": "http://p"}, f"http://{host}:8000", "")
            for host in ("localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0")
        ),
        ({"ALL_PROXY": "socks5://p"}, "http://127.0.0.1:8000", ""),
    ],
)
def test_which_proxy_is_asked(
    environment: dict[str, str], url: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy


@each_of("host", ["a.test", "10.0.0.7", "fd00::1", "localhost.test", "::ffff:10.0.0.7", ""])
def test_another_machine_is_not_this_one(host: str) -> None:
    assert not is_this_machine(host)


def test_this_machine_by_an_address_of_both_kinds() -> None:
    assert is_this_machine("::ffff:127.0.0.1")


@pytest.mark.parametrize(
    ("name", "proxy", "told"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1", "a SOCKS proxy, for which the library socksio is not installed"),
        ("HTTP_PROXY", "socks4://127.0.0.1:1", "of the kind socks4://"),
        ("HTTP_PROXY", "http://", "no address of a proxy"),
        ("HTTP_PROXY", "http://p:99999", "no address of a proxy"),
        ("HTTP_PROXY", "[", "no address of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_before_anything_is_asked(
    name: str, proxy: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client error, so that a command says it in one sentence. It was an ImportError, or a ValueError."""
    monkeypatch.setattr("slosh.client.proxies.find_spec", lambda _: None)
    monkeypatch.setenv(name, proxy)
    with pytest.raises(BadUse, match=told) as caught:
        Client("http://a.test")
    assert caught.value.detail.startswith(name)
    assert "NO_PROXY" in caught.value.detail
    with pytest.raises(BadUse, match=told):
        AsyncClient("http://a.test")


@pytest.mark.parametrize("proxy", [DEAD, "socks5://127.0.0.1:1"])
def test_a_server_on_this_machine_is_reached_whatever_proxy_there_is(
    server: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("HTTP_PROXY", proxy)

    async def ask() -> list[dict[str, object]]:
        async with AsyncClient(server) as client:
            return await client.topics()

    with Client(server) as client:
        assert client.topics() == []
        assert not client.publish("nobody", 1)
        assert client.where == server
    assert asyncio.run(ask()) == []


def test_what_a_proxy_answers_is_told_with_its_name_and_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted([{"status": 403, "body": "no"}, {"status": 403, "body": "no"}]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//ann:secret@"))
        with Client("http://a.test") as client, pytest.raises(Refused) as caught:
            client.publish("kitchen", 1)
        with client, pytest.raises(Refused):
            client.topics()
    assert caught.value.detail == (
        f"http://a.test (through the proxy {proxy.url}) answered 403, and not as a slosh server does."
    )
    assert proxy.requests[0].startswith("post http://a.test/topics/kitchen ")
    assert "proxy-authorization: basic" in proxy.requests[0]


def test_where_a_proxy_sends_on_to_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted([{"status": 302, "body": "", "fields": {"Location": "/login/topics"}}]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with Client("http://a.test") as client, pytest.raises(Refused) as caught:
            client.topics()
    assert caught.value.detail == "http://a.test sends clients on to http://a.test/login; give that address."


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    with Client("http://a.test") as client, pytest.raises(Unreachable) as caught:
        client.topics()
    assert f"http://a.test (through the proxy {DEAD}): the connection to the proxy was refused" in caught.value.detail
    assert "Add a.test to NO_PROXY" in caught.value.detail


def test_a_login_is_not_shown() -> None:
    assert shown_proxy("http://ann:secret@p:3128") == "http://p:3128"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_a_client_error(
    name: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an OSError of Python's, from the first request."""
    file = tmp_path / "certificates"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(name, str(file))
    with Client(DEAD) as client, pytest.raises(BadUse, match=f"{name} names {file}, from which"):
        client.topics()

    async def ask() -> None:
        async with AsyncClient(DEAD) as client:
            await client.topics()

    with pytest.raises(BadUse, match=f"{name} names {file}, from which"):
        asyncio.run(ask())
