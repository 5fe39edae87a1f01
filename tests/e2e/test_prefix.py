"""The viewer, the example pages and the client below a prefix that a real nginx takes away, and tells nobody of."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from benchmarks.ports import free_port
from tests.conftest import need
from tests.e2e.conftest import Slosh, address, trying
from tests.running import Running

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

Open: TypeAlias = "Callable[[str], Page]"

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream slosh {{ server 127.0.0.1:{port}; }}
    server {{
        listen 127.0.0.1:{listen};
        location /deep/slosh/ {{ proxy_pass http://slosh/; }}
    }}
}}
"""


@pytest.fixture
def below(slosh: Slosh, tmp_path: Path) -> "Iterator[str]":
    """Where the server is to be found behind nginx."""
    nginx = need("nginx")
    listen = free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=slosh.port, listen=listen))
    with Running((nginx, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")), tmp_path) as running:
        running.hear("epoll|start")
        yield f"http://127.0.0.1:{listen}/deep/slosh"


def test_the_viewer_works(slosh: Slosh, new_page: Open, below: str) -> None:
    page = new_page(f"{below}/view/kitchen")
    topics = ("kitchen", "house/kitchen/temp", "view/view", "house/*/temp", "a/b")
    for topic, following in itertools.pairwise(topics):
        with trying(topic):
            expect(page.locator("#topic")).to_have_text(topic)
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            slosh.post_when_watched(topic.replace("*", "a"), 21.5)
            expect(page.locator("#rows td").nth(1)).to_have_text("21.5")
            expect(page.locator("#curl")).to_contain_text(f"'{below}/topics/{topic.replace('*', 'one')}'")
            assert page.locator(".brand").evaluate("(link) => link.href") == f"{below}/"
            page.get_by_label("View").fill(following)
            page.keyboard.press("Enter")
            expect(page.locator("#topic")).to_have_text(following)
            assert address(page) == f"{below}/view/{following}"


def test_the_example_pages_work(slosh: Slosh, new_page: Open, below: str) -> None:
    page = new_page(f"{slosh.url}/favicon.svg")
    for name in ("", "chat.html", "live.html", "replay.html"):
        with trying(name):
            page.goto(f"{below}/{name}")
            expect(page.locator("#state")).to_have_attribute("data-state", "live")
            refused = "performance.getEntriesByType('resource').filter((e) => e.responseStatus >= 400).length"
            assert page.evaluate(refused) == 0
            links = page.evaluate("[...document.querySelectorAll('a[href]')].map(({ href }) => href)")
            own = [link for link in links if link.startswith(below.removesuffix("/deep/slosh"))]
            assert all(link.startswith(f"{below}/") for link in own), own
            commands = page.locator(".command code").all_inner_texts()
            assert all("/topics/" not in command or f"{below}/topics/" in command for command in commands), commands
