"""The guides from other servers: before and after, each with its real server, give a reader the same."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx2
import pytest

from benchmarks.ports import free_port
from benchmarks.processes import run_group
from benchmarks.servers.base import listens
from benchmarks.servers.nchan import MODULES
from slosh.client import Client
from slosh.testing.server import TestingServer
from tests.conftest import lacking, need
from tests.e2e.conftest import CHROMIUM
from tests.e2e.server import Serving, curl, until
from tests.guides.guide import GUIDES, Program, copy, programs
from tests.guides.test_frameworks import django_admin, start_project
from tests.properties import QUICK
from tests.running import PATIENCE, SLOSH, Running, clean_environment


def heard(url: str, publish: Callable[[], object]) -> object:
    """What an EventSource at this address is given first, as JSON. It is published until that has come."""
    has_come = threading.Event()

    def go_on() -> None:
        while not has_come.wait(0.2):
            publish()

    publishing = threading.Thread(target=go_on)
    publishing.start()
    try:
        with httpx2.stream("GET", url, headers={"Accept": "text/event-stream"}, timeout=PATIENCE) as answer:
            for event in httpx2.EventSource(answer):
                if event.event == "message" and event.data:
                    return json.loads(event.data)
    finally:
        has_come.set()
        publishing.join()
    raise AssertionError("the stream ended")


def streams(url: str) -> bool:
    """Whether an EventSource gets a stream there, and no error of a proxy whose parts are not yet together.

    Such a proxy may also say nothing, for ever, so each try is short.
    """
    try:
        with httpx2.stream("GET", url, headers={"Accept": "text/event-stream"}, timeout=PATIENCE / 10) as answer:
            return answer.status_code == 200 and answer.headers.get("Content-Type") == "text/event-stream"
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize(("module", "stream"), [("before", "/events"), ("after", "/live/topics/news")])
def test_from_sse_starlette(tmp_path: Path, module: str, stream: str) -> None:
    need("module:sse_starlette")
    need("module:fastapi")
    copy("from-sse-starlette", tmp_path)
    with Program(tmp_path, f"{module}:app") as program:

        def publish() -> None:
            assert httpx2.post(f"{program.url}/news?title=rain", timeout=PATIENCE).status_code == 200

        assert heard(program.url + stream, publish) == {"title": "rain"}


@pytest.mark.parametrize(("side", "stream"), [("before", "/events/"), ("after", "/live/topics/news")])
def test_from_django_eventstream(tmp_path: Path, side: str, stream: str) -> None:
    need("module:django_eventstream")
    start_project(tmp_path)
    found = copy("from-django-eventstream", tmp_path)
    for name in ("asgi.py", "urls.py"):
        if f"{side}/{name}" in found:
            (tmp_path / "project" / name).write_text(found[f"{side}/{name}"])
    if side == "before":
        with (tmp_path / "project" / "settings.py").open("a") as settings:
            settings.write('INSTALLED_APPS.append("django_eventstream")\n')
    django_admin(tmp_path, "check")
    with Program(tmp_path, "project.asgi:application") as program:

        def publish() -> None:
            assert httpx2.get(f"{program.url}/publish?title=rain", timeout=PATIENCE).status_code == 200

        assert heard(program.url + stream, publish) == {"title": "rain"}


def test_from_socketio_before(tmp_path: Path) -> None:
    need("module:socketio")
    need("module:aiohttp")
    import socketio

    async def talk(url: str) -> object:
        said: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        client = socketio.AsyncClient()
        client.on("said", said.set_result)
        await client.connect(url)
        await client.emit("join", "lobby")
        await client.emit("say", {"room": "lobby", "text": "hello"})
        try:
            return await asyncio.wait_for(said, PATIENCE)
        finally:
            await client.disconnect()

    copy("from-socketio", tmp_path)
    with Program(tmp_path, "before:app") as program:
        assert asyncio.run(talk(program.url)) == {"text": "hello"}


PAGE = """<!doctype html><form><input name="text"></form><pre id="out"></pre>
<script>const show = (text) => (document.getElementById("out").textContent += text + "|");</script>
<script type="module">{script}</script>"""


def test_from_socketio_after(tmp_path: Path) -> None:
    """In a real browser: what was said before, and what the page says itself."""
    need("module:playwright")
    need("module:fastapi")
    from playwright.sync_api import sync_playwright

    script = copy("from-socketio", tmp_path)["after.js"]
    with (
        Program(tmp_path, "after:app") as program,
        Client(f"{program.url}/live") as client,
        sync_playwright() as browsers,
    ):
        client.open("rooms/lobby")
        assert httpx2.post(f"{program.url}/rooms/lobby", json={"text": "first"}, timeout=PATIENCE).status_code == 200
        browser = browsers.chromium.launch(executable_path=need("chromium"), args=list(CHROMIUM))
        tab = browser.new_page()
        tab.route(
            f"{program.url}/page",
            lambda route: route.fulfill(body=PAGE.replace("{script}", script), content_type="text/html"),
        )
        tab.goto(f"{program.url}/page")
        shows = "text => document.getElementById('out').textContent === text"
        tab.wait_for_function(shows, arg="first|", timeout=PATIENCE * 1000)
        tab.evaluate("document.forms[0].text.value = 'hello'; document.forms[0].onsubmit()")
        tab.wait_for_function(shows, arg="first|hello|", timeout=PATIENCE * 1000)
        browser.close()


NGINX = """
{user}
{modules}
daemon off;
pid {folder}/pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


class Nginx(Running):
    """A real nginx with locations of a guide."""

    def __init__(self, folder: Path, locations: str, module: Path | None = None) -> None:
        port = free_port()
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = NGINX.format(
            user="user root;" if os.geteuid() == 0 else "",
            modules=f"load_module {module};" if module else "",
            folder=folder,
            temporary=" ".join(f"{name}_temp_path {folder}/{name};" for name in names),
            port=port,
            locations=locations,
        )
        (folder / "nginx.conf").write_text(text)
        super().__init__((need("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")), folder)
        self.url = f"http://127.0.0.1:{port}"
        self.hear("start worker process ")


def test_from_nchan_before(tmp_path: Path) -> None:
    module = next((each for each in MODULES if each.exists()), None)
    if module is None:
        lacking("nginx has no nchan (Debian: libnginx-mod-nchan)")
    with Nginx(tmp_path, programs("from-nchan")["before.conf"], module) as nginx:
        assert curl(f"{nginx.url}/pub?id=kitchen", data=b'{"t":21.5}').status in (201, 202)
        assert curl(f"{nginx.url}/sub?id=kitchen").json == {"t": 21.5}


def test_from_nchan_after(tmp_path: Path) -> None:
    """With the options of the guide, through nginx, as a poll, as a stream, and to a WebSocket."""
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    (options,) = re.findall(r"^slosh serve --port 8000 (.*)$", (GUIDES / "from-nchan.md").read_text(), re.MULTILINE)
    with Serving(tmp_path, *options.split(), "--root=none") as serving:
        locations = programs("from-nchan")["after.conf"].replace("127.0.0.1:8000", f"127.0.0.1:{serving.port}")
        with Nginx(tmp_path, locations) as nginx:
            topic = f"{nginx.url}/topics/kitchen"
            assert curl(topic, data=b'{"t":21.5}').json["max"] == 1
            assert curl(f"{topic}?since=earliest").json["res"] == [{"t": 21.5}]
            assert heard(topic, lambda: curl(topic, data=b"2")) == 2
            with connect(
                topic.replace("http", "ws") + "?since=earliest", subprotocols=[Subprotocol("slosh")]
            ) as socket:
                assert json.loads(socket.recv(PATIENCE))["res"][0] == {"t": 21.5}


@pytest.mark.parametrize("page", ["from-nchan", "README"])
def test_slosh_doctor_finds_nothing_behind_nginx_as_the_documents_have_it(tmp_path: Path, page: str) -> None:
    text = programs("from-nchan")["after.conf"] if page != "README" else ""
    if not text:
        readme = (GUIDES.parent.parent / "README.md").read_text(encoding="utf-8")
        text = readme.partition("```nginx\n")[2].partition("```")[0]
    with (
        Serving(tmp_path, "--root=none", "--max-wait=50s") as serving,
        Nginx(tmp_path, text.replace("127.0.0.1:8000", f"127.0.0.1:{serving.port}")) as nginx,
    ):
        hold = ("--hold=2s",) if QUICK else ()
        words = [*SLOSH, "doctor", nginx.url, *hold]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=clean_environment())
        assert done.returncode == 0, done.stdout


PUSHPIN = """
[global]
include=/usr/lib/pushpin/internal.conf
rundir={folder}/run
ipc_prefix=guide-
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{port}
logdir={folder}/log
log_level=2
client_buffer_size=8192
client_maxconn=100
[proxy]
routesfile=routes
zurl_out_specs=ipc://{folder}/run/guide-zurl-in
zurl_out_stream_specs=ipc://{folder}/run/guide-zurl-in-stream
zurl_in_specs=ipc://{folder}/run/guide-zurl-out
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port={control}
"""


def test_from_pushpin_before(tmp_path: Path) -> None:
    for program in ("pushpin", "condure", "zurl"):
        need(program)
    port, backend, control = free_port(), free_port(), free_port()
    for title, text in copy("from-pushpin", tmp_path).items():
        (tmp_path / title).write_text(text.replace("5000", str(backend)).replace("5561", str(control)))
    (tmp_path / "routes").write_text(f"* 127.0.0.1:{backend}\n")
    (tmp_path / "pushpin.conf").write_text(PUSHPIN.format(folder=tmp_path, port=port, control=control))
    with (
        Running((sys.executable, "before.py"), tmp_path),
        Running((need("pushpin"), "--merge-output", f"--config={tmp_path}/pushpin.conf"), tmp_path) as pushpin,
    ):
        pushpin.hear(r"zurl\] started")
        for each in (backend, control, port):  # before a reader comes
            until(partial(listens, each), bool)
        events = f"http://127.0.0.1:{port}/events/"
        words = [sys.executable, "publish_before.py", "kitchen", "21.5"]
        try:
            until(partial(streams, f"{events}ready"), bool)
            assert heard(f"{events}kitchen", lambda: run_group(words, cwd=tmp_path)) == {"t": 21.5}
        finally:
            pushpin.tell(signal.SIGTERM)  # its processes have groups of their own, and only it ends them
            pushpin.end()


def test_from_pushpin_after(slosh: TestingServer, tmp_path: Path) -> None:
    copy("from-pushpin", tmp_path)
    words = [sys.executable, "publish_after.py", "kitchen", "21.5"]
    environment = clean_environment(SLOSH_URL=slosh.url)
    said = heard(f"{slosh.url}/topics/kitchen", lambda: run_group(words, cwd=tmp_path, env=environment, check=True))
    assert said == {"t": 21.5}
