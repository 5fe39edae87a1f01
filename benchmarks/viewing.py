"""How the viewer does in a real Chromium: `python -m benchmarks.viewing` prints it, and writes results/viewing.json.

What is measured, by the browser's own counts (Chrome DevTools Protocol):

* Frames a second, and the main thread's time for each, at 2,000 messages a second: on one topic, and on 50 with 40
  each; over a minute, of which a new picture is due at each half a pixel, and over ten seconds, of which one is due at
  each frame. A machine that does other things spoils the first; the second says what the page itself needs.
* The heap over a simulated day: the page's clock is set forward, and it is handed a day of messages in some minutes.
* When the first chart stands, from the page's request on and from its `load` event on, and what the main
  thread did for it.
"""

import argparse
import datetime as dt
import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from benchmarks.processes import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, CDPSession, Page

RESULT: Final = Path(__file__).with_name("results") / "viewing.json"
CHROMIUM: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-precise-memory-info")
RATE: Final = 2000
TOPICS: Final = 50
#: Messages of the simulated day: each second so many.
A_SECOND: Final = 10
HOURS: Final = 24

FRAMES: Final = """(ms) => new Promise((resolve) => {
  const began = performance.now();
  const drawn = sloshView.drawings();
  let frames = 0;
  requestAnimationFrame(function count() {
    frames++;
    const passed = performance.now() - began;
    if (passed < ms) requestAnimationFrame(count);
    else {
      const [seconds, drawings] = [passed / 1000, sloshView.drawings() - drawn];
      resolve({ frames, seconds, drawings, received: sloshView.feed.received });
    }
  });
})"""

#: An hour of messages, handed to the page as answers of the server, with a drawing for each minute.
AN_HOUR: Final = """async ([hour, rate]) => {
  globalThis.realNow ??= performance.now.bind(performance);
  globalThis.began ??= Date.now();
  for (let minute = 0; minute < 60; minute++) {
    for (let second = 0; second < 60; second++) {
      const passed = (hour * 60 + minute) * 60 + second;
      const at = began + passed * 1000;
      performance.now = () => realNow() + passed * 1000;
      const times = Array.from({ length: rate }, (_, i) => at + (1000 * i) / rate);
      const one = (time) => ({ temp: 20 + Math.sin(time / 1e6), load: Math.random(), on: passed % 600 < 300 });
      const res = times.map(one);
      sloshView.feed.take({ res, times, date: at, saw: rate, next: "x" });
    }
    await new Promise(requestAnimationFrame);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return [...sloshView.lines.all.values()].map(({ series }) => series.length);
}"""

FIRST_CHART: Final = """() => {
  const look = () => {
    if (document.querySelector(".chart canvas")) globalThis.firstChart = performance.now();
    else requestAnimationFrame(look);
  };
  look();
}"""


THERE: Final = """() => new Promise((resolve) => {
  const look = () => (globalThis.firstChart ? resolve() : requestAnimationFrame(look));
  look();
})"""


@contextmanager
def serving() -> "Iterator[str]":
    """A server on a free port; gives its address."""
    command = [sys.executable, "-m", "slosh", "serve", "--port", "0", "--queue", "20000", "--queue-bytes", "8MiB"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLOSH_")}
    server: ProcessGroup[str] = ProcessGroup(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if " is ready on " in line:
                yield line.split(" is ready on ")[1].split(",")[0].split()[0]
                return
        raise RuntimeError("the server did not start")
    finally:
        server.end()


def feed(url: str, topics: list[str], rate: float, over: threading.Event) -> None:
    """Post to the topics in turn, in batches, so many messages a second to each."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    began, count = time.monotonic(), 0
    while not over.is_set():
        due = int((time.monotonic() - began) * rate) - count
        for topic in topics if due else ():
            lines = "\n".join(f'{{"v": {math.sin((count + i) / 300):.5f}}}' for i in range(due))
            connection.request("POST", f"/topics/{topic}?batch=ndjson", lines)
            connection.getresponse().read()
        count += due
        time.sleep(0.02)


def main_thread(session: "CDPSession") -> dict[str, float]:
    """What the page's main thread did so far, in seconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def heap(session: "CDPSession") -> int:
    """Bytes of the page's heap that are in use, after what is unused was collected."""
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


def opened(browser: "Browser", url: str) -> "tuple[Page, CDPSession]":
    """A page of a person of its own, and what tells of it."""
    page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
    session = page.context.new_cdp_session(page)
    # The main thread's own time, and not how long it waited for a core.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url, timeout=120_000, wait_until="commit")
    page.wait_for_selector("#state[data-state=live]", timeout=60_000)
    return page, session


def frames(
    browser: "Browser", url: str, pattern: str, topics: list[str], rate: float, seconds: float
) -> dict[str, Any]:
    """Frames a second while messages come."""
    page, session = opened(browser, f"{url}/view/{pattern}")
    over = threading.Event()
    feeder = threading.Thread(target=feed, args=(url, topics, rate, over))
    feeder.start()
    page.wait_for_selector(".chart canvas", timeout=60_000)
    page.wait_for_timeout(5000)
    before, had = main_thread(session), page.evaluate("sloshView.feed.received")
    found = page.evaluate(FRAMES, seconds * 1000)
    after = main_thread(session)
    over.set()
    feeder.join()
    result = {
        "frames_per_second": round(found["frames"] / found["seconds"], 1),
        "drawings_per_second": round(found["drawings"] / found["seconds"], 1),
        "messages_per_second": round((found["received"] - had) / found["seconds"]),
        "missed": page.evaluate("sloshView.feed.missed"),
        "drawing_ms": round(page.evaluate("sloshView.cost()"), 2),
        "main_thread_ms_per_frame": round(1000 * (after["TaskDuration"] - before["TaskDuration"]) / found["frames"], 2),
        "script_ms_per_frame": round(1000 * (after["ScriptDuration"] - before["ScriptDuration"]) / found["frames"], 2),
        "main_thread_share": round((after["TaskDuration"] - before["TaskDuration"]) / found["seconds"], 3),
    }
    page.context.close()
    return result


def day(browser: "Browser", url: str) -> dict[str, Any]:
    """The heap, hour by hour."""
    page, session = opened(browser, f"{url}/view/day?span=24h")
    sizes, points = [heap(session)], []
    for hour in range(HOURS):
        points = page.evaluate(AN_HOUR, [hour, A_SECOND])
        sizes.append(heap(session))
    page.context.close()
    told = [round(size / 2**20, 1) for size in sizes]
    return {"messages": HOURS * 3600 * A_SECOND, "heap_mib": told, "points": points}


def first_chart(browser: "Browser", url: str, times: int) -> dict[str, Any]:
    """When the first chart of a topic with a past stands, and how long the main thread worked until then."""
    keeper, _ = opened(browser, f"{url}/view/past")
    over = threading.Event()
    feeder = threading.Thread(target=feed, args=(url, ["past"], 50.0, over))
    feeder.start()
    keeper.wait_for_selector(".chart canvas", timeout=60_000)
    from_request, from_load, worked = [], [], []
    for _ in range(times):
        page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.add_init_script(f"({FIRST_CHART})()")
        page.goto(f"{url}/view/past", timeout=120_000, wait_until="commit")
        page.evaluate(THERE)
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventStart")
        at = page.evaluate("firstChart")
        from_request.append(at)
        from_load.append(at - loaded)
        worked.append(1000 * main_thread(session)["TaskDuration"])
        page.context.close()
    over.set()
    feeder.join()
    keeper.context.close()
    return {
        "from_request_ms": [round(statistics.median(from_request)), round(max(from_request))],
        "from_load_ms": [round(statistics.median(from_load)), round(max(from_load))],
        "main_thread_ms": [round(statistics.median(worked)), round(max(worked))],
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="that frames are counted for (default: 15)")
    seconds: float = parser.parse_args().seconds
    many, more = ([f"{name}/{number}" for number in range(TOPICS)] for name in ("many", "more"))
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        result = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "load_average": os.getloadavg()[0],
            "first_chart": first_chart(browser, url, 9),
            "one_topic": frames(browser, url, "one", ["one"], RATE, seconds),
            "fifty_topics": frames(browser, url, "many/*", many, RATE / TOPICS, seconds),
            "one_topic_10_s": frames(browser, url, "quick?span=10", ["quick"], RATE, seconds),
            "fifty_topics_10_s": frames(browser, url, "more/*?span=10", more, RATE / TOPICS, seconds),
            "day": day(browser, url),
        }
        browser.close()
    print(json.dumps(result, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
