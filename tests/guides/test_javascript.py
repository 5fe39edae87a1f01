"""The programs of docs/javascript.md: its pages in a browser, the others in Node with the package as npm packs it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slosh.client import Client
from tests.conftest import need
from tests.e2e.conftest import (  # noqa: F401 - fixtures, which pytest finds by their names
    Process,
    Slosh,
    browser,
    kept_browser,
    new_context,
    new_page,
    npm_folder,
    serve,
    until,
)
from tests.guides.guide import programs

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOP = Path(__file__).parents[2]
PROGRAMS = programs("../javascript")
#: Just enough of each framework to mount a component, print what it shows, and take it away after the second item.
FRAMEWORKS = {
    "react": """let leave;
const show = ({ message }) => (console.log("shows", message), message === "last" && leave());
export const useState = () => [undefined, show];
export const useEffect = (effect) => (leave = effect());""",
    "vue": """let leave;
export const onUnmounted = (call) => (leave = call);
const show = ({ message }) => (console.log("shows", message), message === "last" && leave());
export const ref = () => ({ set value(item) { show(item); } });""",
    "svelte": """export const readable = (_, start) => {
  const leave = start(({ message }) => (console.log("shows", message), message === "last" && leave()));
};""",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder in which `slosh-client` is installed."""
    folder = tmp_path / "node_modules" / "slosh-client"
    shutil.copytree(TOP / "src" / "slosh" / "web" / "static", folder)
    shutil.copy(TOP / "js" / "package.json", folder)
    return tmp_path


def start(folder: Path, name: str, slosh: Slosh, more: str = "") -> Process:
    """Run a program of the page with Node."""
    (folder / name).write_text(PROGRAMS[name].replace("http://127.0.0.1:8000", slosh.url) + more, encoding="utf-8")
    return Process(need("node"), folder / name)


def test_each_program_is_run_here() -> None:
    others = {"index.html", "resume.html", "elsewhere.html", "vite.config.mjs", "reader.mjs", "publisher.mjs"}
    assert PROGRAMS.keys() == others | {f"{name}.js" for name in FRAMEWORKS}


def test_those_who_need_the_page_find_it() -> None:
    for page in ("README.md", "docs/protocol.md", "docs/viewer.md", "js/README.md"):
        assert "javascript.md)" in (TOP / page).read_text(encoding="utf-8"), page


def test_the_first_page_and_the_one_that_goes_on(
    serve: Callable[..., Slosh],  # noqa: F811 - the fixture
    new_page: "Callable[[str], Page]",  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    for name in ("index.html", "resume.html"):
        (tmp_path / name).write_text(PROGRAMS[name], encoding="utf-8")
    slosh = serve(root=tmp_path, unwatched="keep")
    slosh.post("kitchen", 1)
    first, resumed = new_page(f"{slosh.url}/"), new_page(f"{slosh.url}/resume.html")
    expect(first.locator("li")).to_have_text(["1"])
    expect(resumed.locator("#out")).to_have_text("1")
    resumed.reload()
    slosh.post("kitchen", 2)
    expect(first.locator("li")).to_have_text(["1", "2"])
    expect(resumed.locator("#out")).to_have_text("2")
    slosh.process.end()
    slosh.start()
    slosh.post("kitchen", 3)
    expect(first.locator("li")).to_have_text(["1", "2", "the topic started again", "3"])


def test_a_page_of_another_origin_reads_what_origins_allows(
    serve: Callable[..., Slosh],  # noqa: F811 - the fixture
    new_page: "Callable[[str], Page]",  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    pages = serve(root=tmp_path)
    for allowed, shown in ((pages.url, "21"), ("https://app.example", f"does not allow pages of {pages.url} to read")):
        slosh = serve(origins=allowed, unwatched="keep")
        text = PROGRAMS["elsewhere.html"].replace("http://127.0.0.1:8000", slosh.url)
        (tmp_path / "index.html").write_text(text, encoding="utf-8")
        page = new_page(f"{pages.url}/")
        if allowed == pages.url:
            slosh.post_when_watched("kitchen", 20)
            until(lambda: slosh.watchers("kitchen"), bool)  # noqa: B023 - asked at once
            slosh.post("kitchen", 21)
        expect(page.locator("#out")).to_contain_text(shown)


def test_the_reader_prints_messages_losses_and_a_refusal(serve: Callable[..., Slosh], package: Path) -> None:  # noqa: F811 - the fixture
    slosh = serve(queue=2, unwatched="keep")
    slosh.post("kitchen", 1, 2, 3)
    with start(package, "reader.mjs", slosh) as reader:
        reader.line("kitchen 3 3")
        slosh.post_when_watched("house/hall", 7)
        reader.line("house/hall 1 7")
        slosh.process.end()
        reader.line("state: offline")
        slosh.start()
        slosh.post("kitchen", 9)
        reader.line("kitchen started again")
        reader.line("kitchen 1 9")


def test_the_publisher_stores_what_is_watched_and_ends_a_topic(serve: Callable[..., Slosh], package: Path) -> None:  # noqa: F811 - the fixture
    slosh = serve(linger=60)
    with start(package, "publisher.mjs", slosh) as publisher:
        publisher.line("no_watchers")
        with Client(slosh.url) as client, client.watch("build/1", since="earliest", deadline=30) as watch:
            assert [item.message for item in watch] == ["compiling", "linking", "done"]
            assert watch.ended


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_component_shows_the_newest_and_closes_its_connection(
    name: str,
    serve: Callable[..., Slosh],  # noqa: F811 - the fixture
    package: Path,
) -> None:
    slosh = serve(unwatched="keep")
    slosh.post("kitchen", "newest")
    path = package / "node_modules" / name
    path.mkdir()
    (path / "package.json").write_text('{"type": "module", "exports": {".": "./index.js", "./store": "./index.js"}}')
    (path / "index.js").write_text(FRAMEWORKS[name])
    (package / "package.json").write_text('{"type": "module"}')
    call = {"svelte": "topicStore"}.get(name, "useTopic")
    with start(package, f"{name}.js", slosh, f'\n{call}("kitchen", "{slosh.url}");') as component:
        component.line("shows newest")
        slosh.post("kitchen", "last")
        component.line("shows last")
        assert until(lambda: slosh.watchers("kitchen"), lambda count: not count) == 0


VITE = """import { createServer } from "vite";
const vite = await createServer({ server: { host: "127.0.0.1", port: 0, strictPort: false }, clearScreen: false });
await vite.listen();
console.log(`vite at http://127.0.0.1:${vite.httpServer.address().port}`);"""
PAGE = """<!doctype html><ul></ul>
<script type="module" src="/-/signin.js" vite-ignore></script>
<script type="module">
  import { watch } from "slosh-client";
  const show = (textContent) =>
    document.querySelector("ul").append(Object.assign(document.createElement("li"), { textContent }));
  for await (const { message } of watch("kitchen", { server: location.origin, since: "earliest" })) {
    show(message);
    break;
  }
  const socket = new WebSocket(`ws://${location.host}/topics/kitchen?since=earliest`);
  socket.onmessage = ({ data }) => show(`socket ${JSON.parse(data).res[0]}`);
</script>"""


def test_vite_passes_on_what_is_sloshs(
    serve: Callable[..., Slosh],  # noqa: F811 - the fixture
    new_page: "Callable[[str], Page]",  # noqa: F811 - the fixture
    npm_folder: Path,  # noqa: F811 - the fixture
) -> None:
    """A page that a bundler serves while it is developed reads topics from its own origin."""
    slosh = serve(unwatched="keep")
    slosh.post("kitchen", "first")
    page = npm_folder / "page"
    shutil.copytree(TOP / "src" / "slosh" / "web" / "static", page / "node_modules" / "slosh-client")
    shutil.copy(TOP / "js" / "package.json", page / "node_modules" / "slosh-client")
    (page / "index.html").write_text(PAGE)
    (page / "vite.config.mjs").write_text(PROGRAMS["vite.config.mjs"].replace("http://127.0.0.1:8000", slosh.url))
    (page / "serve.mjs").write_text(VITE)
    with Process("env", "-C", page, need("node"), "serve.mjs") as vite:
        address = vite.line("vite at ").rpartition(" ")[2]
        shown = new_page(f"{address}/")
        expect(shown.locator("li")).to_have_text(["first", "socket first"])
        scripts = [shown.request.get(f"{server}/-/signin.js").text() for server in (address, slosh.url)]
        assert scripts[0] == scripts[1], "Vite left it to the server"
