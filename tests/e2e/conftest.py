"""A real server, a real browser, real feeders: what the end-to-end tests are made of."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

from benchmarks.ports import free_port
from benchmarks.processes import ProcessGroup
from tests.conftest import lacking, need
from tests.properties import QUICK

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

FEEDERS = Path(__file__).parents[2] / "feeders"
#: Seconds that anything may take that is awaited. Generous: it is only reached when something is broken.
PATIENCE = 30
#: What Chromium does for a person alone, in each window: two pages behind its address bar, a process ahead of the next
#: page, searches, hints. More than a third of what the tests with a browser cost was that. Chromium obeys the last list
#: that it is given, so this one has what matters of Playwright's, too.
WITHOUT = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "SpareRendererForSitePerProcess",
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
CHROMIUM = (
    f"--disable-features={','.join(WITHOUT)}",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: A chart goes on with time, up to sixty drawings a second, which cost a quarter of a core for as long as a test looks
#: at it. `make test` has ten, as a slow machine has. Scripts of Playwright's own have the browser's frames.
SLOWER = """{
  const frame = globalThis.requestAnimationFrame.bind(globalThis);
  let last = -Infinity;
  globalThis.requestAnimationFrame = (draw) => {
    const drawn = (time) => ((last = performance.now()), draw(time));
    const pause = last + 100 - performance.now();
    return pause > 0 ? setTimeout(() => frame(drawn), pause) : frame(drawn);
  };
}"""
#: A page of anybody's with charts: `PAGE.format(url=server, elements='<slosh-chart topic="t"></slosh-chart>')`.
PAGE = '<!doctype html><meta charset="utf-8"><script type="module" src="{url}/-/chart.js"></script>{elements}'


class Process:
    """A program whose lines can be awaited. Use as a context manager."""

    def __init__(self, *command: str | Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLOSH_")}
        self._process: ProcessGroup[str] = ProcessGroup(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._lines: Queue[str | None] = Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, containing: str) -> str:
        """Wait for the next line that contains these words."""
        deadline = time.monotonic() + PATIENCE
        while (line := self._lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            self.said.append(line)
            if containing in line:
                return line
        pytest.fail(f"it ended before it said {containing!r}; it said: {self.said}")

    def lines_so_far(self) -> list[str]:
        """The lines that came since they were last asked for."""
        lines: list[str] = []
        while not self._lines.empty():
            line = self._lines.get()
            if line is None:
                pytest.fail(f"it has ended; it said: {self.said}")
            self.said.append(line)
            lines.append(line)
        return lines

    def tell(self, by: signal.Signals) -> None:
        """Send a signal that does not end it."""
        self._process.send_signal(by)

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self._process.send_signal(by)
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()
        self._reader.join(PATIENCE)


class Slosh:
    """`slosh serve` on a free port, or that which is told, which it keeps when it is started again."""

    def __init__(self, *, port: int | None = None, **settings: object) -> None:
        self._options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        self.port = port or free_port()  # which no other program gets while this one is not there
        self.start()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.process = Process(sys.executable, "-m", "slosh", "serve", f"--port={self.port}", *self._options)
        line = self.process.line("is ready on http://")
        self.url = line.split(" is ready on ")[1].split(",")[0].split(" ")[0]
        self.port = int(self.url.rpartition(":")[2])

    def post(self, topic: str, *values: Any) -> dict[str, Any]:
        """Publish these values in order; return the last answer, with its `status`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        answer: dict[str, Any] = {}
        for value in values:
            connection.request("POST", f"/topics/{topic}", json.dumps(value))
            response = connection.getresponse()
            answer = {**json.loads(response.read()), "status": response.status}
        connection.close()
        return answer

    def curl(self, topic: str, text: str) -> dict[str, Any]:
        """Publish these very bytes as `curl -d` does; return the answer."""
        command = [need("curl"), "-sS", "-d", text, f"{self.url}/topics/{topic}"]
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def watchers(self, topic: str) -> int:
        """How many watch a topic."""
        with urllib.request.urlopen(f"{self.url}/topics/{topic}?watchers", timeout=PATIENCE) as answer:
            told: dict[str, int] = json.loads(answer.read())
        return told["watchers"]

    def post_when_watched(self, topic: str, value: Any) -> dict[str, Any]:
        """Publish as soon as somebody watches the topic."""
        return until(lambda: self.post(topic, value), lambda answer: answer["status"] == 200)


T = TypeVar("T")


def address(page: "Page") -> str:
    """The address that a page has by its own word. Playwright hears a moment later that a script has changed it."""
    found: str = page.evaluate("location.href")
    return found


def until(look: Callable[[], T], right: Callable[[T], bool]) -> T:
    """Look again and again until it is right, and return what was seen then."""
    deadline = time.monotonic() + PATIENCE
    while not right(seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE} s; last seen: {seen!r}")
        time.sleep(0.05)
    return seen


@contextlib.contextmanager
def trying(case: object) -> Iterator[None]:
    """Name the case in what fails: for a loop on one server and one page, where each of its own would cost a second."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"with {case!r}")
        raise


@pytest.fixture
def serve() -> Iterator[Callable[..., Slosh]]:
    """Start servers: `serve(linger=1)`."""
    servers: list[Slosh] = []

    def start(*, port: int | None = None, **settings: object) -> Slosh:
        servers.append(Slosh(port=port, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.process.__exit__()


@pytest.fixture
def slosh(serve: Callable[..., Slosh]) -> Slosh:
    """One server as it comes."""
    return serve()


@pytest.fixture
def feeder() -> Iterator[Callable[..., Process]]:
    """Start feeders: `feeder("machine.py", "--url", url)`."""
    running: list[Process] = []

    def start(script: str, *options: str) -> Process:
        running.append(Process(sys.executable, FEEDERS / script, *options))
        return running[-1]

    yield start
    for process in running:
        process.__exit__()


@pytest.fixture
def npm_folder(tmp_path: Path) -> Path:
    """A folder for programs of Node.js that import the packages of `clients/package.json`."""
    need("node")
    packages = Path(sys.prefix, "npm", "node_modules")
    if not packages.is_dir():
        lacking(f"there is no {packages} (make test installs it where npm is)")
    folder = tmp_path / "npm"
    folder.mkdir()
    (folder / "node_modules").symlink_to(packages)
    return folder


#: Pages that tests are done with, which are empty again, the newest last. See `Person`.
_idle_pages: "list[tuple[Browser, Page]]" = []
#: What a test may do to a page that it then leaves as it was: its place, its size and the pointer are set back.
_LEAVES_NO_TRACE = {
    *("bring_to_front", "content", "evaluate", "expect_download", "expect_navigation", "expect_request", "url"),
    *("expect_response", "get_by_label", "get_by_role", "get_by_text", "goto", "keyboard", "locator", "mouse", "title"),
    *("screenshot", "set_viewport_size", "viewport_size", "wait_for_function", "wait_for_timeout", "wait_for_url"),
}
_SIZE: "ViewportSize" = {"width": 1280, "height": 720}


def _watched(page: "Page") -> None:
    """Have a page note what is asked of it, so that it is known whether another test may have it."""
    kind = type(page)

    def ask(self: "Page", name: str) -> Any:
        if not name.startswith("_") and name not in _LEAVES_NO_TRACE:
            self.__dict__["_is_used_up"] = True
        return kind.__getattribute__(self, name)

    page.__class__ = type(kind.__name__, (kind,), {"__getattribute__": ask})


class Person:
    """A page with a context of its own, which another test has after this one, where that leaves no trace in it.

    A new context and its process are a third of what it costs to look at a page once. `make test` alone saves that: all
    other words of the Makefile give each test new ones, and so does a test that has asked a page for its context, a
    route, a listener or anything else that is not in `_LEAVES_NO_TRACE`, or that has failed.
    """

    def __init__(self, browser: "Browser", errors: list[str]) -> None:
        kept = next((each for each in reversed(_idle_pages) if each[0] is browser), None)
        if kept is not None:
            _idle_pages.remove(kept)
            self.page = kept[1]
        else:
            self.page = prepare(browser.new_context()).new_page()
            _watched(self.page)
        self._browser = browser
        self._context = self.page.context
        self._hears = lambda event: errors.append(str(event.error))
        self._context.on("weberror", self._hears)
        self.page.__dict__["_is_used_up"] = False

    def leave(self, *, is_clean: bool) -> None:
        """Give the page to the next test, as if it were new; or close it."""
        if not is_clean or self.page.__dict__["_is_used_up"] or len(self._context.pages) != 1:
            self._context.close()
            return
        self.page.mouse.move(-1, -1)
        if self.page.url.startswith("http"):
            self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        self.page.goto("about:blank")
        self.page.set_viewport_size(_SIZE)
        self._context.clear_cookies()
        self._context.remove_listener("weberror", self._hears)
        _idle_pages.append((self._browser, self.page))


class KeptBrowser:
    """Chromium, one for all files of a worker; it starts when a test first asks for it, and again where it has ended.

    Playwright's synchronous interface takes the event loop that it runs in this thread for one that is always running,
    and where one runs, other tests could not run their own. So it is known as that within `lent` alone.
    """

    def __init__(self) -> None:
        from playwright.sync_api import expect, sync_playwright

        expect.set_options(timeout=PATIENCE * 1000)
        self._playwright = sync_playwright().start()
        self._loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        self._browser: Browser | None = None

    @contextlib.contextmanager
    def lent(self) -> "Iterator[Browser]":
        """The browser, for as long as no other event loop runs."""
        asyncio._set_running_loop(self._loop)
        try:
            if self._browser is None or not self._browser.is_connected():
                launch = self._playwright.chromium.launch
                self._browser = launch(executable_path=need("chromium"), args=CHROMIUM)
            yield self._browser
        finally:
            asyncio._set_running_loop(None)

    def close(self) -> None:
        """End it."""
        asyncio._set_running_loop(self._loop)
        if self._browser is not None:
            self._browser.close()
        self._playwright.stop()
        asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def kept_browser() -> Iterator[KeptBrowser]:
    """The browser of all files."""
    need("module:playwright")
    kept = KeptBrowser()
    yield kept
    kept.close()


@pytest.fixture(scope="module")
def browser(kept_browser: KeptBrowser) -> "Iterator[Browser]":
    """Chromium; each test has contexts of its own."""
    with kept_browser.lent() as browser:
        yield browser


def prepare(context: "BrowserContext") -> "BrowserContext":
    """Have a context wait with patience, and draw no more than it has to."""
    context.set_default_timeout(PATIENCE * 1000)
    if QUICK:
        context.add_init_script(SLOWER)
    return context


@pytest.fixture
def new_context(browser: "Browser") -> "Iterator[Callable[..., BrowserContext]]":
    """Make browser contexts: a person each, with storage and cookies of their own; Playwright's options may be given.

    A script error on any of their pages fails the test.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(**options: Any) -> "BrowserContext":
        context = prepare(browser.new_context(**options))
        context.on("weberror", lambda event: errors.append(str(event.error)))
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def new_page(
    request: pytest.FixtureRequest, browser: "Browser", new_context: "Callable[[], BrowserContext]"
) -> "Iterator[Callable[[str], Page]]":
    """Open a page as a person of one's own."""
    persons: list[Person] = []
    errors: list[str] = []
    failed = request.session.testsfailed

    def open_page(url: str) -> "Page":
        if QUICK:
            persons.append(Person(browser, errors))
        page = persons[-1].page if QUICK else new_context().new_page()
        page.goto(url)
        return page

    yield open_page
    for person in persons:
        person.leave(is_clean=request.session.testsfailed == failed)
    assert not errors


@pytest.fixture
def chart_page(
    serve: Callable[..., Slosh], new_page: "Callable[[str], Page]", tmp_path: Path
) -> "Callable[..., tuple[Slosh, Page]]":
    """Serve a page with these elements, settings too, and open it; gives the server and the page."""

    def open_page(elements: str, **settings: object) -> "tuple[Slosh, Page]":
        (tmp_path / "index.html").write_text(PAGE.format(url="", elements=elements), encoding="utf-8")
        slosh = serve(root=tmp_path, **settings)
        return slosh, new_page(f"{slosh.url}/")

    return open_page
