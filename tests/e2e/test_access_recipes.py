"""The recipes of docs/access.md, each as it stands there, with the real program."""

import http.client
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ports import free_port
from benchmarks.processes import run_group
from slosh import Client
from slosh.access.tokens import hash_token, make_token
from slosh.client.errors import Refused
from tests.conftest import need
from tests.e2e.conftest import PATIENCE, Slosh, until
from tests.running import SLOSH, Running, clean_environment, rest_of
from tests.web.harness import request

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
Serve = Callable[..., Slosh]
TOKENS = {name: make_token() for name in ("STATION", "DEVICE", "DASHBOARD", "NGINX")}


def block(heading: str, kind: str) -> str:
    """A block of the recipe under a heading, with this test's tokens in it."""
    recipe = PAGE.read_text(encoding="utf-8").partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    found = re.search(rf"```{kind}\n(.*?)```", recipe, flags=re.DOTALL)
    assert found, heading
    text = found[1]
    for name, token in TOKENS.items():
        text = text.replace(f'"{name}"', f'"{hash_token(token).hex()}"')
    return text


@pytest.fixture
def follow(serve: Serve, tmp_path: Path) -> Callable[[str], Slosh]:
    """Start slosh as a recipe says."""

    def start(heading: str) -> Slosh:
        (tmp_path / "slosh.toml").write_text(block(heading, "toml"))
        server = serve(config=tmp_path / "slosh.toml")
        server.url = f"http://127.0.0.1:{server.port}"
        return server

    return start


def ask(port: int, method: str, target: str, token: str = "", body: Any = None, **fields: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, target, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith(b"{") else text


def flood(port: int, target: str, **fields: str) -> bytes:
    """What is answered to very many messages at once: more than a rate allows, however slow the machine is."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(request("POST", target, b"1", **fields) * 500 + request("GET", "/-/healthy", Connection="close"))
        return rest_of(client)


def test_one_writer_and_the_world_reads(follow: Callable[[str], Slosh], new_page: Any) -> None:
    server = follow("One writer, and the world reads")
    page = new_page(f"{server.url}/view/weather/roof")
    until(
        lambda: ask(server.port, "POST", "/topics/weather/roof", TOKENS["STATION"], {"t": 21.5}), lambda a: a[0] == 200
    )
    page.get_by_text("21.5").first.wait_for()
    assert ask(server.port, "GET", "/topics/weather/roof?since=-1&wait=0")[1]["res"] == [{"t": 21.5}]
    assert ask(server.port, "POST", "/topics/weather/roof", body=1)[0] == 401
    assert ask(server.port, "GET", "/topics/other?wait=0")[0] == 401
    assert ask(server.port, "POST", "/topics/other", TOKENS["STATION"], 1)[0] == 403


def test_topics_of_ones_own_from_an_applications_login(
    follow: Callable[[str], Slosh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(os.urandom(32).hex() + "\n")
    server = follow("Topics of one's own, from an application's login")
    monkeypatch.chdir(tmp_path)
    program: dict[str, Any] = {}
    exec(block("Topics of one's own, from an application's login", "python"), program)
    ann = program["live_token"]("ann")
    assert ask(server.port, "GET", "/topics/users/ann/news?wait=0", ann)[0] == 200
    assert ask(server.port, "GET", "/topics/users/ann/**?wait=0", ann)[0] == 200
    for target in ("users/bob/news", "users/**", "users/annabel", "users/ann/news,users/bob/news"):
        assert ask(server.port, "GET", f"/topics/{target}?wait=0", ann)[0] == 403
    assert ask(server.port, "POST", "/topics/users/ann/news", ann, 1)[0] == 403
    assert ask(server.port, "GET", "/topics/users/ann/news?wait=0")[0] == 401


def test_devices_that_only_post(follow: Callable[[str], Slosh], tmp_path: Path) -> None:
    server = follow("Devices that only post")
    device, dashboard = TOKENS["DEVICE"], TOKENS["DASHBOARD"]
    assert ask(server.port, "GET", "/topics/devices/17/temp?wait=0", dashboard)[0] == 200
    assert ask(server.port, "POST", "/topics/devices/17/temp", device, 21)[0] == 200
    assert ask(server.port, "GET", "/topics/devices/17/temp?since=-1&wait=0", dashboard)[1]["res"] == [21]
    assert ask(server.port, "GET", "/topics/devices/17/temp?wait=0", device)[0] == 403
    assert ask(server.port, "POST", "/topics/devices/18/temp", device, 1)[0] == 403
    assert b"HTTP/1.1 429 " in flood(server.port, "/topics/devices/17/temp", Authorization=f"Bearer {device}")
    # A device that is lost.
    (tmp_path / "slosh.toml").write_text("[access]\n")
    server.process.tell(signal.SIGHUP)
    until(lambda: ask(server.port, "POST", "/topics/devices/17/temp", device, 1)[0], lambda status: status == 401)


def test_the_client_and_the_commands_take_a_token_and_repeat_none(follow: Callable[[str], Slosh]) -> None:
    server = follow("Devices that only post")
    wrong = make_token()

    def slosh(token: str, *words: str) -> int:
        environment = clean_environment(SLOSH_TOKEN=token, SLOSH_URL=server.url)
        done = run_group([*SLOSH, *words], env=environment, timeout=PATIENCE)
        assert token not in done.stdout + done.stderr
        return done.returncode

    topic = "devices/17/temp"
    with Client(server.url, token=TOKENS["DASHBOARD"]) as reader:
        assert ask(server.port, "GET", f"/topics/{topic}?wait=0", TOKENS["DASHBOARD"])[0] == 200
        assert slosh(TOKENS["DEVICE"], "pub", topic, "21") == 0
        with reader.watch(topic, last=1, deadline=PATIENCE) as watch:
            assert next(item.message for item in watch) == 21
        assert [each["name"] for each in reader.topics()] == [topic]
    assert slosh(wrong, "pub", topic, "1") == 4
    assert slosh(wrong, "sub", topic, "--count", "1") == 4
    assert slosh(TOKENS["DEVICE"], "sub", topic, "--count", "1") == 4
    assert slosh(wrong, "topics") == 4
    with Client(server.url, token=wrong) as client, pytest.raises(Refused) as caught:
        client.topics()
    assert wrong not in f"{caught.value!r} {caught.value} {client!r}"


class Application(BaseHTTPRequestHandler):
    """A user who is logged in by a cookie may read the user's own topics."""

    def do_GET(self) -> None:
        """Answer what nginx asks."""
        user = (self.headers.get("Cookie") or "").partition("user=")[2]
        path, method = self.headers["X-Original-URI"].partition("?")[0], self.headers["X-Original-Method"]
        allowed = re.fullmatch(rf"/topics/users/{user}/[a-z]+", path) and method == "GET"
        self.send_response(401 if not user else 204 if allowed else 403)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def application() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_everything_behind_nginx_which_asks_the_application(follow: Callable[[str], Slosh], tmp_path: Path) -> None:
    heading = "Everything behind nginx, which asks your application"
    program = need("nginx")
    server = follow(heading)
    with application() as asked:
        port = free_port()
        http_block = block(heading, "nginx")
        for documented, here in (
            ("listen 80;", f"listen 127.0.0.1:{port};"),
            ("127.0.0.1:8000", f"127.0.0.1:{server.port}"),
            ("127.0.0.1:9000", f"127.0.0.1:{asked}"),
            ("Bearer TOKEN", f"Bearer {TOKENS['NGINX']}"),
        ):
            assert documented in http_block
            http_block = http_block.replace(documented, here)
        folders = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(
            f"{user}\ndaemon off;\npid {tmp_path}/pid;\nerror_log stderr notice;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{folders}{http_block}}}\n"
        )
        command = (program, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))
        with Running(command, tmp_path):
            until(lambda: socket.socket().connect_ex(("127.0.0.1", port)), lambda failed: not failed)
            assert ask(port, "GET", "/topics/users/ann/news?wait=0", Cookie="user=ann")[0] == 200
            assert ask(port, "GET", "/topics/users/bob/news?wait=0", Cookie="user=ann")[0] == 403
            assert ask(port, "POST", "/topics/users/ann/news", body=1, Cookie="user=ann")[0] == 403
            assert ask(port, "GET", "/topics/users/ann/news?wait=0")[0] == 401
            assert ask(port, "GET", "/topics")[0] == 401
            assert ask(port, "GET", "/topics", Cookie="user=ann")[0] == 403  # by the application
            assert ask(server.port, "GET", "/topics/users/ann/news?wait=0")[0] == 401  # past nginx


def test_a_public_demo(follow: Callable[[str], Slosh]) -> None:
    server = follow("A public demo")
    assert ask(server.port, "GET", "/topics/demo/a?wait=0")[0] == 200
    assert ask(server.port, "POST", "/topics/demo/a", body=1)[0] == 200
    assert ask(server.port, "POST", "/topics/demo/a", body="x" * 5000)[0] == 413
    assert ask(server.port, "GET", "/topics/other?wait=0")[0] == 401
    assert b"HTTP/1.1 429 " in flood(server.port, "/topics/demo/a")
