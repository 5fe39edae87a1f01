"""The guides for FastAPI, Django and Flask, by the programs that stand in them."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from benchmarks.ports import free_port
from slosh.client import Client
from tests.conftest import need
from tests.e2e.conftest import CHROMIUM
from tests.e2e.server import Serving, until
from tests.guides.guide import Program, copy, programs
from tests.running import PATIENCE, Running, clean_environment

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def tab() -> Iterator["Page"]:
    """A page of a real browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=list(CHROMIUM))
        yield browser.new_page()
        browser.close()


def shown(tab: "Page", text: str) -> None:
    """Wait until the page shows this."""
    tab.wait_for_function("text => document.body.innerText.includes(text)", arg=text, timeout=PATIENCE * 1000)


def test_fastapi_serves_a_page_that_shows_what_it_publishes(tmp_path: Path, tab: "Page") -> None:
    need("module:fastapi")
    copy("fastapi", tmp_path)
    with Program(tmp_path, "app:app") as program:
        nobody = httpx2.post(f"{program.url}/rooms/kitchen?t=1", timeout=PATIENCE)
        assert nobody.json() == {"somebody watches": False}
        tab.goto(program.url)
        with Client(f"{program.url}/live") as client:
            assert client.watchers("rooms/kitchen", wait=PATIENCE)
        somebody = httpx2.post(f"{program.url}/rooms/kitchen?t=21.5", timeout=PATIENCE)
        assert somebody.json() == {"somebody watches": True}
        shown(tab, "21.5")
        program.tell(signal.SIGTERM)  # with the page's stream open
        program.end()
        assert "Traceback" not in program.output, program.output
        tab.goto("about:blank")


def test_the_same_in_starlette(tmp_path: Path) -> None:
    need("module:starlette")
    (line,) = re.findall(
        r"In Starlette the same is `(.*?)`", (Path(__file__).parents[2] / "docs/guides/fastapi.md").read_text()
    )
    own = "\n".join(
        (
            "from starlette.applications import Starlette",
            "from starlette.routing import Mount",
            "from app import lifespan, live",
            f"starlette = {line}",
        )
    )
    copy("fastapi", tmp_path)
    (tmp_path / "own.py").write_text(own)
    with Program(tmp_path, "own:starlette") as program, Client(f"{program.url}/live") as client:
        client.open("a")
        assert client.publish("a", 1).max == 1


SETTINGS = """
from project.original import *
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "project.urls"
LOGGING = {}
"""
MAKE_USER = """
from django.contrib.auth import get_user_model, login
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
user = get_user_model().objects.create_user("ann", password="secret")
request = HttpRequest()
request.session = SessionStore()
login(request, user, backend="django.contrib.auth.backends.ModelBackend")
request.session.save()
print("session", user.pk, request.session.session_key)
"""


def django_admin(folder: Path, *words: str, stdin: str = "") -> str:
    environment = clean_environment(DJANGO_SETTINGS_MODULE="project.settings", PYTHONPATH=str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "django", *words],
        cwd=folder,
        env=environment,
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_project(folder: Path) -> None:
    """A project as `django-admin startproject` makes it."""
    environment = clean_environment()
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "project", str(folder)],
        cwd=folder,
        env=environment,
        check=True,
    )
    settings = folder / "project" / "settings.py"
    settings.rename(folder / "project" / "original.py")
    settings.write_text(SETTINGS)


def test_django_reads_by_its_own_login_and_publishes_from_both_kinds_of_views(tmp_path: Path) -> None:
    need("module:django")
    start_project(tmp_path)
    copy("django", tmp_path / "project")
    django_admin(tmp_path, "migrate", "--verbosity", "0")
    found = re.search(r"session (\d+) (\w+)", django_admin(tmp_path, "shell", "-c", MAKE_USER))
    assert found
    user, session = found.groups()
    ann = {"Cookie": f"sessionid={session}"}
    with Program(tmp_path, "project.asgi:application") as program, httpx2.Client(timeout=PATIENCE) as http:
        live = f"{program.url}/live/topics"
        assert http.get(f"{live}/users/{user}/inbox?wait=0").status_code == 403
        assert http.get(f"{live}/users/{user}/inbox?wait=0", headers=ann).status_code == 200
        assert http.get(f"{live}/users/{user}1/inbox?wait=0", headers=ann).status_code == 403
        assert http.post(f"{live}/news/today", content=b"1", headers=ann).status_code == 403
        assert http.get(f"{program.url}/news/publish?title=rain").json() == {"watchers": 0}
        got: list[object] = []
        with http.stream("GET", f"{live}/news/*?since=earliest", headers={"Accept": "text/event-stream"}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:") and "message" in line:
                    got.append(json.loads(line.removeprefix("data:"))["message"])
                    if len(got) == 2:
                        break
                    http_published = httpx2.get(f"{program.url}/news/publish?title=sun", timeout=PATIENCE)
                    assert http_published.json() == {"watchers": 1}
        assert got == [{"title": "rain"}, {"title": "sun"}]
        assert http.get(f"{program.url}/greet", headers=ann).status_code == 200
        kept = http.get(f"{live}/users/{user}/inbox?since=earliest&wait=0", headers=ann).json()
        assert kept["res"] == ["hello"]
        assert http.get(f"{program.url}/nothing").headers["x-frame-options"] == "DENY", "Django answers all else"


def test_flask_publishes_from_threads_of_forked_workers(tmp_path: Path, tab: "Page") -> None:
    """Two processes of gunicorn that are forked after the import, of eight threads each."""
    need("module:flask")
    need("module:gunicorn")
    server_port, port = free_port(), free_port()
    (page,) = programs("flask").values()
    (tmp_path / "app.py").write_text(page.replace("127.0.0.1:8000", f"127.0.0.1:{server_port}"))
    words = re.findall(
        r"^gunicorn --bind 127.0.0.1:5000 (.*)$",
        (Path(__file__).parents[2] / "docs/guides/flask.md").read_text(),
        re.MULTILINE,
    )
    command = (sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *words[0].split())
    origin = f"http://127.0.0.1:{port}"
    with (
        Serving(tmp_path, "--origins", origin, "--queue=1000", port=server_port) as serving,
        Running(command, tmp_path, clean_environment(SLOSH_URL=serving.url)) as running,
        Client(serving.url) as client,
    ):
        running.hear("Booting worker")
        running.hear("Booting worker")
        until(lambda: _answers(origin), bool)
        order = httpx2.post(f"{origin}/orders", data={"number": "0"}, timeout=PATIENCE)
        assert order.json() == {"watchers": 0}
        tab.goto(origin)
        assert client.watchers("orders/new", wait=PATIENCE) == 1

        def post(first: int) -> None:
            with httpx2.Client(timeout=PATIENCE) as http:
                for number in range(first, first + 10):
                    assert http.post(f"{origin}/orders", data={"number": str(number)}).json() == {"watchers": 1}

        with ThreadPoolExecutor(8) as pool:  # whose errors come out here
            list(pool.map(post, range(100, 180, 10)))
        with client.watch("orders/new", since="earliest", deadline=PATIENCE) as watch:
            items = [next(watch) for _ in range(80)]
        assert sorted(item.message["number"] for item in items if isinstance(item.message, dict)) == list(
            range(100, 180)
        )
        shown(tab, '{"number":179}')
        tab.goto("about:blank")


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=PATIENCE).status_code == 200
    except httpx2.TransportError:
        return False
