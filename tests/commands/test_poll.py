"""`slosh poll`: an address is asked while somebody watches, and its answers are published."""

import codecs
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.ports import free_port
from slosh.client import Client
from slosh.commands.poll import _ask, _ByProxy
from slosh.commands.shared import EXIT_USAGE
from tests.client.scripted import Trickling
from tests.client.test_connections import ENDLESS, ENDLESS_HEAD
from tests.e2e.server import Serving, until
from tests.running import PATIENCE, SLOSH, Running, clean_environment


class Source:
    """A web server whose answers a test sets."""

    def __init__(self) -> None:
        source = self
        self.status, self.body, self.asked = 200, b"1", 0
        self.kind = "text/plain"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.asked += 1
                self.send_response(source.status)
                self.send_header("Content-Type", source.kind)
                self.end_headers()
                self.wfile.write(source.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Serving(tmp_path_factory.mktemp("server"), "--linger=100ms") as serving, Client(serving.url) as client:
        yield client


def test_a_proxy_of_the_environment_is_for_other_machines_and_is_named(
    client: Client, source: Source, tmp_path: Any
) -> None:
    dead = "http://127.0.0.1:1"
    words = ("--every=50ms", "poll/proxy")
    environment = clean_environment(SLOSH_URL=client.url, HTTP_PROXY=dead)
    with (
        Running((*SLOSH, "poll", source.url, *words), tmp_path, environment),
        client.watch("poll/proxy", deadline=PATIENCE) as watch,
    ):
        assert next(watch).message == 1
    with (
        Running((*SLOSH, "poll", "http://a.test/x", *words), tmp_path, environment) as polling,
        client.watch("poll/proxy", deadline=PATIENCE) as watch,
    ):
        threading.Thread(target=list, args=(watch,), daemon=True).start()
        polling.hear(rf"http://a\.test/x \(through the proxy {dead}\) did not answer")


def poll(client: Client, source: Source, topic: str, tmp_path: Any, *more: str) -> Running:
    words = (*SLOSH, "poll", source.url, topic, "--every=50ms", *more)
    return Running(words, tmp_path, clean_environment(SLOSH_URL=client.url))


def test_nothing_is_asked_until_somebody_watches_and_it_stops_with_them(
    client: Client, source: Source, tmp_path: Any
) -> None:
    with poll(client, source, "poll/a", tmp_path):
        until(lambda: client.watchers("poll/a"), lambda count: count == 0)
        assert source.asked == 0
        with client.watch("poll/a", deadline=PATIENCE) as watch:
            assert [next(watch).message, next(watch).message] == [1, 1]
        quiet = until(lambda: (source.asked, _later(source)), lambda pair: pair[0] == pair[1])[0]
        with client.watch("poll/a", deadline=PATIENCE) as watch:
            next(watch)
        assert source.asked > quiet


def _later(source: Source) -> int:
    threading.Event().wait(0.3)  # several times `every`: time in which it would have asked
    return source.asked


def test_only_changes_and_what_goes_wrong_is_told_once(client: Client, source: Source, tmp_path: Any) -> None:
    with (
        client.watch("poll/b", deadline=PATIENCE) as watch,
        poll(client, source, "poll/b", tmp_path, "--changed", "--count=2") as running,
    ):
        assert next(watch).message == 1
        source.status = 500
        running.hear("answered 500")
        source.status, source.body = 200, b"plain"
        assert next(watch).message == "plain"
        assert running.end() == 0
        assert running.output.count("answered 500") == 1


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("body", [b"x" * 1_100_000, b"[" * 2000 + b"]" * 2000], ids=["too large", "too deep"])
def test_an_answer_that_the_server_does_not_take_is_told_once_and_the_next_one_is_published(
    client: Client, source: Source, tmp_path: Any, body: bytes, changed: bool
) -> None:
    topic = f"poll/{len(body)}/{changed}"
    with poll(client, source, topic, tmp_path, *["--changed"] * changed) as running:
        with client.watch(topic, deadline=PATIENCE) as watch:
            assert next(watch).message == 1
            source.body = body
            said = running.hear(r"gave an answer that is left out: (.*) Trying again")[1]
            assert "Line" not in said
            _ask_again(source)
            assert running.output.count("left out") == 1
            source.body = b"2"
            assert next(item for item in watch if item.message != 1).message == 2
            source.body = body
            _ask_again(source)
        until(lambda: (source.asked, _later(source)), lambda pair: pair[0] == pair[1])  # nobody watches any more


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("text/plain; charset=iso-8859-1", "21 °C".encode("latin-1"), "21 °C"),
        ("text/plain; charset=iso-8859-1", "21 °C".encode(), "21 °C"),
        ("text/plain; charset=utf-16", codecs.BOM_UTF16_BE + "21 °C\n".encode("utf-16-be"), "21 °C"),
        ("application/json; charset=windows-1252", '{"t": "21 °C"}'.encode("cp1252"), {"t": "21 °C"}),
        ("application/json", b'\xef\xbb\xbf{"t": 21}', {"t": 21}),
    ],
)
def test_an_answer_is_read_in_the_character_set_that_it_is_in(
    client: Client, source: Source, tmp_path: Any, kind: str, body: bytes, message: object
) -> None:
    source.kind, source.body = kind, body
    topic = f"poll/set/{len(body)}/{kind[-4:]}"
    with client.watch(topic, deadline=PATIENCE) as watch, poll(client, source, topic, tmp_path, "--count=1") as running:
        assert next(watch).message == message
        assert running.end() == 0
        assert "UTF-8" not in running.output


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=unheard-of", "; charset=rot13"])
def test_bytes_that_are_no_text_are_told_once(client: Client, source: Source, tmp_path: Any, charset: str) -> None:
    source.kind, source.body = f"text/plain{charset}", b"21 \xb0C"
    topic = f"poll/none/{charset[-4:].strip('; =')}x"
    with client.watch(topic, deadline=PATIENCE) as watch, poll(client, source, topic, tmp_path, "--count=2") as running:
        assert [next(watch).message for _ in range(2)] == ["21 \ufffdC"] * 2
        assert running.end() == 0
        assert running.output.count("answered what is no UTF-8") == 1


def _ask_again(source: Source) -> None:
    """Wait until the address was asked some times more."""
    asked = source.asked
    until(lambda: source.asked, lambda count: count > asked + 2)


@pytest.mark.parametrize("address", ["printer/status", "ftp://printer/status", "http://:s3cret@", "http://[::"])
def test_an_address_that_is_none_is_a_sentence(client: Client, source: Source, tmp_path: Any, address: str) -> None:
    """At once, before anybody watches, and without what may be a secret in it."""
    source.url = address
    with poll(client, source, "poll/c", tmp_path) as running:
        assert running.end() == EXIT_USAGE
        assert "http://printer/status.json" in running.output
        assert "s3cret" not in running.output


def test_what_an_address_holds_of_secrets_is_not_told(client: Client, source: Source, tmp_path: Any) -> None:
    source.status = 500
    source.url = source.url.replace("http://", "http://me:s3cret@") + "status?key=s3cret"
    with client.watch("poll/d", deadline=PATIENCE) as watch, poll(client, source, "poll/d", tmp_path) as running:
        threading.Thread(target=lambda: list(watch), daemon=True).start()
        assert "s3cret" not in running.hear("(.*/status) answered 500")[0]


def test_an_answer_that_trickles_ends_in_its_time() -> None:
    """Each byte gave the next one the whole time, so no other answer was ever asked for, and nothing was told."""
    for head in (ENDLESS, ENDLESS_HEAD):
        with Trickling(head) as server, httpx2.Client(transport=_ByProxy()) as http:
            answer = _ask(http, server.url, server.url, "auto", 0.3)
        assert answer.message is None
        assert "did not answer (" in answer.failure


def test_a_restart_of_the_server_is_waited_for(source: Source, tmp_path: Path) -> None:
    """As long as it takes, and what was asked meanwhile is not published when it is old."""
    with ExitStack() as stack:
        with Serving(tmp_path, "--unwatched=keep", port=free_port()) as serving, Client(serving.url) as client:
            polling = stack.enter_context(poll(client, source, "poll/b", tmp_path))
            with client.watch("poll/b", deadline=PATIENCE) as watch:
                assert next(watch).message == 1
        polling.hear("Trying again")
        source.body = b"2"
        stack.enter_context(Serving(tmp_path, "--unwatched=keep", port=serving.port))
        client = stack.enter_context(Client(serving.url))
        with client.watch("poll/b", since="earliest", deadline=PATIENCE) as watch:
            assert next(watch).message == 2
