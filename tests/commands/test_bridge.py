"""`slosh bridge`: a real broker, Redis and PostgreSQL are subscribed to while a topic is watched, at no other time."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.ports import free_port
from slosh.cli import main
from slosh.client import Client
from slosh.commands.shared import EXIT_REFUSED, EXIT_TIMED_OUT, EXIT_UNREACHABLE, EXIT_USAGE
from tests.cases import each_of
from tests.commands.upstreams import PASSWORD, SOURCES, Mosquitto, Postgres, RedisChannels, Source
from tests.e2e.server import Serving, until
from tests.running import SLOSH, Running, clean_environment
from tests.stores.tls import Authority

EACH = pytest.mark.parametrize("kind", SOURCES, ids=lambda kind: kind.name)
ONE_USUALLY = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.long] * (kind is not RedisChannels), id=kind.name) for kind in SOURCES],
)
"""Where the usual run tries one of them, because what is promised is the bridge's and not the upstream's."""


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test names no server there is none, whatever listens on this machine's port 8000."""
    monkeypatch.setenv("SLOSH_URL", f"http://127.0.0.1:{free_port()}")


@contextmanager
def bridging(folder: Path, source: Source, url: str, *words: str, **environment: str) -> Iterator[Running]:
    """A bridge from one to the other; it says nothing of a password."""
    command = [*SLOSH, "bridge", source.url(), *words]
    with Running(command, folder, clean_environment(SLOSH_URL=url, **environment)) as running:
        yield running
    assert PASSWORD not in running.output
    assert "Traceback" not in running.output, running.output


@contextmanager
def watching(folder: Path, url: str, *words: str) -> Iterator[Running]:
    """A reader of topics."""
    with Running([*SLOSH, "sub", *words], folder, clean_environment(SLOSH_URL=url)) as running:
        yield running


def kept(client: Client, topic: str) -> list[object]:
    answer = client.connect().get(f"{client.url}/topics/{topic}?since=earliest&wait=0")
    messages: list[object] = json.loads(answer.content)["res"]
    return messages


def until_subscribed(source: Source, name: str, *, subscribed: bool = True) -> None:
    until(lambda: source.is_subscribed(name), lambda seen: seen is subscribed)


@EACH
def test_it_is_subscribed_while_a_topic_is_watched_and_at_no_other_time(kind: type[Source], tmp_path: Path) -> None:
    with (
        Serving(tmp_path, "--linger=500ms") as serving,
        kind(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "home/*", "--linger=1s") as bridge,
    ):
        for _ in range(2):
            with watching(tmp_path, serving.url, "home/a") as reader:
                until_subscribed(source, "home/a")
                source.send("home/a", b'{"t": 21.5}', b"plain text")
                reader.hear(r'^{"t": 21.5}$')
                reader.hear(r'^"plain text"$')
                assert not source.is_subscribed("home/b")
            until_subscribed(source, "home/a", subscribed=False)
        bridge.tell(signal.SIGTERM)
        assert bridge.end() == 0
        assert "4 messages read, 4 published" in bridge.output


@pytest.mark.parametrize("kind", [Mosquitto, RedisChannels], ids=lambda kind: kind.name)
def test_a_reader_of_a_pattern_alone_gets_what_the_upstream_has(kind: type[Source], tmp_path: Path) -> None:
    """Nobody knows the names before; and what a name and a pattern take in comes once."""
    with (
        Serving(tmp_path, "--linger=500ms") as serving,
        kind(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "rooms/**", "rooms/*", "--linger=1s") as bridge,
    ):
        with watching(tmp_path, serving.url, "rooms/*") as reader:
            until_subscribed(source, "rooms/*")
            source.send("rooms/a/deep", b"0")
            source.send("rooms/a", b"1")
            reader.hear(r"^rooms/a\t1$")
            with watching(tmp_path, serving.url, "rooms/a") as other:
                serving.until_watched(2)
                source.send("rooms/a", b"2")
                source.send("rooms/b", b"3")
                reader.hear(r"^rooms/b\t3$")
                other.hear("^2$")
            assert re.findall(r"^rooms/.*$", reader.output, re.MULTILINE) == [
                "rooms/a\t1",
                "rooms/a\t2",
                "rooms/b\t3",
            ]
        until_subscribed(source, "rooms/*", subscribed=False)
        bridge.tell(signal.SIGTERM)
        assert bridge.end() == 0
        assert "3 messages read, 3 published" in bridge.output


@pytest.mark.parametrize("kind", [Mosquitto, RedisChannels], ids=lambda kind: kind.name)
def test_a_name_that_no_topic_can_have_keeps_none_of_the_others_back(kind: type[Source], tmp_path: Path) -> None:
    """Whoever may publish one to the upstream would stop the bridge for all others."""
    with (
        Serving(tmp_path, "--linger=500ms") as serving,
        kind(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "rooms/*") as bridge,
        watching(tmp_path, serving.url, "rooms/*") as reader,
    ):
        until_subscribed(source, "rooms/*")
        source.send("rooms/b,c", b"1", b"2")
        source.send("rooms/..", b"3")
        if kind is RedisChannels:  # whose names are bytes
            source.send("rooms/\udcff", b"5")
        source.send("rooms/a", b"4")
        reader.hear(r"^rooms/a\t4$")
        bridge.hear("a message is left out, for its name: A topic's name has no comma")
        bridge.tell(signal.SIGTERM)
        assert bridge.end() == 0
        left = 4 if kind is RedisChannels else 3
        assert f"{left} left out, because no topic can have their names" in bridge.output


def test_postgresql_has_no_patterns_and_that_is_told(tmp_path: Path) -> None:
    with (
        Serving(tmp_path) as serving,
        Postgres(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "home/*") as bridge,
        watching(tmp_path, serving.url, "home/*") as reader,
    ):
        bridge.hear(r"postgres has no patterns, so readers of home/\* see")
        with watching(tmp_path, serving.url, "home/a"):
            until_subscribed(source, "home/a")
            source.send("home/a", b"1")
            reader.hear(r"^home/a\t1$")


WITH_TLS = pytest.mark.parametrize("kind", [Mosquitto, RedisChannels], ids=lambda kind: f"{kind.name}s")


@WITH_TLS
def test_with_tls_it_carries_what_an_upstream_sends_that_is_trusted(kind: type[Source], tmp_path: Path) -> None:
    """`SSL_CERT_FILE` names whom to trust, in place of the system's list."""
    authority = Authority(tmp_path / "tls")
    with (
        Serving(tmp_path) as serving,
        kind(tmp_path, authority) as source,
        bridging(tmp_path, source, serving.url, "home/*", SSL_CERT_FILE=str(authority.certificate)),
        watching(tmp_path, serving.url, "home/a") as reader,
    ):
        until_subscribed(source, "home/a")
        source.send("home/a", b"1")
        reader.hear("^1$")


@WITH_TLS
@pytest.mark.parametrize(
    ("host", "trusts", "told"),
    [
        ("127.0.0.1", False, "certificate is not trusted: .*SSL_CERT_FILE"),
        ("127.0.0.2", True, "certificate is for another name: .*127.0.0.2"),
    ],
    ids=["unknown", "other-name"],
)
def test_with_tls_it_tells_nothing_to_an_upstream_that_may_be_another(
    kind: type[Source], host: str, told: str, tmp_path: Path, *, trusts: bool
) -> None:
    authority = Authority(tmp_path / "tls")
    environment = {"SSL_CERT_FILE": str(authority.certificate)} if trusts else {}
    with (
        kind(tmp_path, authority, host) as source,
        bridging(tmp_path, source, "http://127.0.0.1:1", "home/*", **environment) as bridge,
    ):
        bridge.hear(rf"No answer from {source.name}s://{host}:{source.port}: .*{told}")
        assert bridge.end() == EXIT_UNREACHABLE


@ONE_USUALLY
def test_it_comes_back_after_the_upstream_does_and_tells_of_the_gap(kind: type[Source], tmp_path: Path) -> None:
    with (
        Serving(tmp_path) as serving,
        kind(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "home/*") as bridge,
        watching(tmp_path, serving.url, "home/a") as reader,
    ):
        until_subscribed(source, "home/a")
        source.send("home/a", b"1")
        reader.hear("^1$")
        source.kill()
        bridge.hear(r"is lost: .*Its messages are missed meanwhile")
        source.start()
        bridge.hear("answers again")
        until_subscribed(source, "home/a")
        source.send("home/a", b"2")
        reader.hear("^2$")


@ONE_USUALLY
def test_messages_wait_while_the_server_is_away_and_each_comes_once(kind: type[Source], tmp_path: Path) -> None:
    keeps = ("--unwatched=keep", "--linger=10m")
    with kind(tmp_path) as source, ExitStack() as stack:
        port = free_port()
        with Serving(tmp_path, *keeps, port=port) as serving:
            bridge = stack.enter_context(bridging(tmp_path, source, serving.url, "home/*"))
            with watching(tmp_path, serving.url, "home/a") as reader:
                until_subscribed(source, "home/a")
                source.send("home/a", b"1", b"2")
                reader.hear("^2$")
            serving.process.send_signal(signal.SIGKILL)
        source.send("home/a", b"3", b"4")
        with Serving(tmp_path, *keeps, port=port) as serving, Client(serving.url) as client:
            assert until(lambda: kept(client, "home/a"), lambda messages: len(messages) >= 2) == [3, 4]
            bridge.tell(signal.SIGTERM)
            assert bridge.end() == 0
        assert "4 messages read, 4 published" in bridge.output
        assert "Messages wait meanwhile" not in bridge.output, "the command tells it in its own words"


@EACH
def test_a_wrong_password_is_refused_without_being_shown(kind: type[Source], tmp_path: Path) -> None:
    file = tmp_path / "file"
    with kind(tmp_path) as source:
        file.write_text("swordfish\n")
        for words in ((source.url("swordfish"), "a"), (source.url(), "a", "--password-file", str(file))):
            done = CliRunner().invoke(main, ["bridge", *words])
            assert done.exit_code == EXIT_REFUSED, done.output
            assert "refuses this login" in done.output
            assert "swordfish" not in done.output
            assert PASSWORD not in done.output
        file.write_text(f"{PASSWORD}\n")
        right = (source.url("swordfish"), "a", "--password-file", str(file), "--timeout=1s")
        assert CliRunner().invoke(main, ["bridge", *right]).exit_code == EXIT_TIMED_OUT


@pytest.mark.parametrize("scheme", ["mqtt", "redis", "postgres"])
def test_an_upstream_that_is_away_at_the_start_is_told_in_a_sentence(scheme: str) -> None:
    done = CliRunner().invoke(main, ["bridge", f"{scheme}://ann:{PASSWORD}@127.0.0.1:{free_port()}", "a"])
    assert done.exit_code == EXIT_UNREACHABLE, done.output
    assert f"No answer from {scheme}://127.0.0.1:" in done.output
    assert PASSWORD not in done.output


def test_a_name_may_get_a_prefix_and_bytes_that_are_no_text_need_base64(tmp_path: Path) -> None:
    with Serving(tmp_path) as serving, RedisChannels(tmp_path) as source:
        with (
            bridging(tmp_path, source, serving.url, "prices", "--to=market/", "--count=2") as bridge,
            watching(tmp_path, serving.url, "market/prices") as reader,
        ):
            until_subscribed(source, "prices")
            source.send("prices", b"\xff\x00", b"7")
            reader.hear("^7$")
            assert bridge.end() == 0
            assert "--as base64" in bridge.output
            assert "2 messages read, 1 published, 1 left out, because of their form" in bridge.output
        with (
            bridging(tmp_path, source, serving.url, "prices", "--to=market/", "--as=base64", "--count=1") as bridge,
            watching(tmp_path, serving.url, "market/prices") as reader,
        ):
            until_subscribed(source, "prices")
            source.send("prices", b"\xff\x00")
            reader.hear('^"/wA="$')
            assert bridge.end() == 0


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (Mosquitto, "home/+", r"home/\+ cannot be a topic of MQTT"),
        (RedisChannels, "home/secret", "refuses the channel home/secret"),
        (Postgres, "home/" + "x" * 60, "cannot be a channel of PostgreSQL"),
    ],
    ids=["mqtt", "redis", "postgres"],
)
def test_a_name_that_an_upstream_refuses_is_told_and_the_others_go_on(
    kind: type[Source], name: str, told: str, tmp_path: Path
) -> None:
    with (
        Serving(tmp_path) as serving,
        kind(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "home/*") as bridge,
        watching(tmp_path, serving.url, name),
    ):
        bridge.hear(told)
        with watching(tmp_path, serving.url, "home/b") as reader:
            until_subscribed(source, "home/b")
            source.send("home/b", b"1")
            reader.hear("^1$")


def test_a_topic_that_is_active_without_a_watcher_is_not_wanted(tmp_path: Path) -> None:
    """With `unwatched = keep` what is published keeps a topic active; only the list tells that nobody watches."""
    with (
        Serving(tmp_path, "--unwatched=keep", "--linger=10m") as serving,
        RedisChannels(tmp_path) as source,
        Client(serving.url) as client,
        bridging(tmp_path, source, serving.url, "home/*", "--linger=1s"),
    ):
        client.publish("home/a", 1)
        with watching(tmp_path, serving.url, "home/b") as reader:
            until_subscribed(source, "home/b")
            assert not source.is_subscribed("home/a")
            source.send("home/b", b"1")
            reader.hear("^1$")
        until_subscribed(source, "home/b", subscribed=False)
        with watching(tmp_path, serving.url, "home/a"):
            until_subscribed(source, "home/a")


def test_a_server_that_does_not_allow_it_ends_the_bridge(tmp_path: Path) -> None:
    (tmp_path / "slosh.toml").write_text("[access]\npublic = {read = [], publish = []}\n")
    with Serving(tmp_path) as serving, RedisChannels(tmp_path) as source:
        with bridging(tmp_path, source, serving.url, "home/*") as bridge:
            assert bridge.end() == EXIT_REFUSED
        assert "Error: " in bridge.output
        assert "The server refuses what is published" not in bridge.output, (
            "the client's own warnings are not shown too"
        )


def rules_for(**publish: list[str]) -> str:
    """Rules by which everybody reads, and each of these tokens publishes so much."""
    tokens = "".join(
        f"[[access.tokens]]\nname = '{token}'\nsha256 = '{sha256(token.encode()).hexdigest()}'\n"
        f"read = ['**']\npublish = {topics}\n"
        for token, topics in publish.items()
    )
    return f"[access]\npublic = {{read = ['**'], publish = []}}\n{tokens}"


def test_a_server_that_takes_nothing_from_it_ends_the_bridge_with_the_first_message(tmp_path: Path) -> None:
    """It went on for as long as it ran, with exit code 0, and told why with the second message, if one came."""
    (tmp_path / "slosh.toml").write_text(rules_for())
    with (
        Serving(tmp_path) as serving,
        RedisChannels(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "home/*") as bridge,
        watching(tmp_path, serving.url, "home/a"),
    ):
        until_subscribed(source, "home/a")
        source.send("home/a", b"1")
        assert bridge.end() == EXIT_REFUSED
        bridge.hear("^slosh: 1 message read, 0 published, 1 refused$")
        bridge.hear("^Error: This needs a token: set SLOSH_TOKEN")


def test_a_topic_that_it_may_not_publish_to_keeps_none_of_the_others_back(tmp_path: Path) -> None:
    """A reader decides which topics those are. The refusal is told at once, and in the exit code."""
    (tmp_path / "slosh.toml").write_text(rules_for(mine=["home/b"]))
    with (
        Serving(tmp_path) as serving,
        RedisChannels(tmp_path) as source,
        bridging(tmp_path, source, serving.url, "home/*", SLOSH_TOKEN="mine") as bridge,
        watching(tmp_path, serving.url, "home/a"),
        watching(tmp_path, serving.url, "home/b") as reader,
    ):
        until_subscribed(source, "home/a")
        source.send("home/a", b"1")
        bridge.hear("^slosh: the server refuses messages: The token does not allow this")
        until_subscribed(source, "home/b")
        source.send("home/b", b"2")
        reader.hear("^2$")
        bridge.tell(signal.SIGTERM)
        assert bridge.end() == EXIT_REFUSED
        assert "2 messages read, 1 published, 1 refused" in bridge.output
        assert bridge.output.count("The token does not allow this") == 1


def test_messages_that_no_server_took_at_the_end_are_in_the_exit_code(tmp_path: Path) -> None:
    with Serving(tmp_path) as serving, RedisChannels(tmp_path) as source:
        with (
            bridging(tmp_path, source, serving.url, "home/*", "--linger=10m") as bridge,
            watching(tmp_path, serving.url, "home/a"),
        ):
            until_subscribed(source, "home/a")
            serving.process.kill()
            serving.process.wait()
            source.send("home/a", b"1")
            bridge.hear("no answer from")
            bridge.tell(signal.SIGTERM)
            assert bridge.end() == EXIT_UNREACHABLE
        assert "1 message read, 0 published, 1 dropped" in bridge.output


@each_of(
    ("words", "told"),
    [
        (("mqtt://h", "home/+/t"), "home/*/t"),
        (("mqtt://h", "home/#"), "home/**"),
        (("redis://h", "a**b"), "whole segment"),
        (("redis://h", "a", "--to", "market"), "--to market/"),
        (("amqp://h", "a"), "mqtt://"),
        (("mqtt://", "a"), "names no host"),
        (("redis://:x:y@h:p", "a"), "cannot be read"),
        (("redis://h", "a", "--password-file", "/nowhere"), "/nowhere cannot be read"),
    ],
)
def test_a_mistake_is_told_with_what_to_type(words: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(main, ["bridge", *words])
    assert (done.exit_code, told in done.output) == (EXIT_USAGE, True), done.output


def test_an_address_that_a_shell_cut_is_refused_without_its_password() -> None:
    for words in (["mqtt://ann:my", "hunter2@h"], ["--mqtt://ann:hunter2@h", "a"], ["postgres://ann:x?hunter2@h", "a"]):
        done = CliRunner().invoke(main, ["bridge", *words])
        assert done.exit_code in (EXIT_USAGE, EXIT_UNREACHABLE)
        assert PASSWORD not in done.output


@pytest.mark.parametrize("library", ["aiomqtt", "redis", "asyncpg"])
def test_without_its_library_it_says_what_to_install(library: str) -> None:
    scheme = {"aiomqtt": "mqtt", "redis": "redis", "asyncpg": "postgres"}[library]
    script = f"""
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == {library!r} else find(name, *more)
from slosh.cli import main
main(["bridge", "{scheme}://127.0.0.1", "a"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == EXIT_USAGE
    assert "slosh-server[bridges]" in done.stderr
