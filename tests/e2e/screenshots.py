"""Pictures of the viewer with sixteen kinds of data, to be looked at: `python -m tests.e2e.screenshots FOLDER`.

It takes a minute. A test cannot say whether a page looks right; a person can, in a minute more.
"""

import http.client
import json
import math
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from tests.conftest import need
from tests.e2e.conftest import CHROMIUM, Slosh

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Seconds for which the topics are fed before the first picture.
FED = 40

Message = Callable[[int], Any]
"""The message that is posted as the n-th one."""


def _normal(n: int) -> dict[str, Any]:
    wave = math.sin(n / 15)
    return {"t": time.time(), "temp": round(21.5 + wave, 2), "humidity": round(48 - 6 * wave, 1), "fan": 700 + n % 40}


def _nulls(n: int) -> dict[str, Any]:
    value = round(10 + 5 * math.sin(n / 10), 2)
    return {"a": None if 60 < n % 100 < 80 else value, "b": value + 3} | ({"c": value - 3} if n % 60 < 40 else {})


def _boiler(n: int) -> dict[str, Any]:
    phase = n / 25
    return {
        "flow_temp_c": round(48 + 14 * math.sin(phase), 1),
        "return_temp_c": round(39 + 9 * math.sin(phase - 0.5), 1),
        "gas_percent": round(50 + 45 * math.sin(phase + 0.4)),
        "pump": math.sin(phase + 0.4) > -0.6,
        "mode": ("idle", "warm water", "heating")[int(phase) % 3],
    }


def _bus(n: int) -> dict[str, Any]:
    """Two buses on loops around a town; one drives through a tunnel."""
    bus, turn = n % 2, n / 60
    place = {
        "lat": 52.52 + 0.02 * math.sin(turn + bus) * (1 + bus / 2),
        "lon": 13.4 + 0.05 * math.cos(turn) - 0.02 * bus,
    }
    is_seen = bus or n % 60 < 45
    return {"bus": "AB"[bus], "position": place if is_seen else None, "speed_kmh": 30 + n % 7}


def _loss(number: int, n: int) -> dict[str, float]:
    noise = random.random() * 0.2
    return {"step": n * 10, "loss": round((2 + number) * math.exp(-n / 60) + noise + 0.02, 4)}


def _rising(number: int, n: int) -> float:
    return number + math.sin(n / 5)


KINDS: dict[str, tuple[float, Message]] = {
    "normal": (0.2, _normal),
    "steps": (0.2, lambda n: {"value": round(-10 + 17.4 * abs(math.sin(n / 20)), 3)}),
    "offsets": (0.2, lambda n: {"counter": 1_000_003 + n % 7, "bytes": 8_000_000_000 + n * 4096}),
    "tiny": (0.2, lambda n: {"lr": 1e-9 * (1 + math.cos(n / 30)), "huge": 1e15 + n}),
    "nulls": (0.2, _nulls),
    "restart": (0.2, lambda n: {"value": 20 + n % 10}),
    "silence": (0.2, lambda n: {"value": round(math.sin(n / 8), 3)}),
    "late": (0.05, lambda n: {"value": round(math.sin(n / 80), 4)}),
    "boiler": (0.2, _boiler),
    "buses": (0.3, _bus),
    "hosts": (0.1, lambda n: {"host": f"web{n % 3}", "step": n // 3, "load": round(n % 3 + random.random(), 3)}),
}


def feed(port: int, topic: str, pause: float, message: Message, over: threading.Event) -> None:
    """Post to a topic until it is over, whether somebody watches or not."""
    count = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not over.is_set():
        try:
            connection.request("POST", f"/topics/{topic}", json.dumps(message(count)))
            connection.getresponse().read()
            count += 1
        except (OSError, http.client.HTTPException):
            connection.close()
        time.sleep(pause)


def flood(port: int, topic: str, rate: int, over: threading.Event) -> None:
    """Post batches to a topic, so many messages a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began, count = time.monotonic(), 0
    while not over.is_set():
        due = int((time.monotonic() - began) * rate) - count
        lines = "\n".join(json.dumps({"v": round(math.sin((count + i) / 3000), 5)}) for i in range(due))
        if due:
            connection.request("POST", f"/topics/{topic}?batch=ndjson", lines)
            connection.getresponse().read()
        count += due
        time.sleep(0.02)


def take(browser: "Browser", folder: Path) -> None:
    """Feed the topics, open their pages, and take the pictures."""
    slosh = Slosh(queue=20_000)
    other = Slosh()
    pages: dict[str, Page] = {}

    def view(name: str, topic: str, server: Slosh = slosh, width: int = 1200, **options: Any) -> None:
        page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        page.goto(f"{server.url}/view/{topic}")
        pages[name] = page

    for topic in KINDS:
        if topic != "late":
            view(topic, topic, other if topic == "restart" else slosh)
    view("overflow", "overflow")
    view("fifty", "many/*/temp")
    view("phone", "normal", width=390)
    view("dark", "boiler", color_scheme="dark")
    view("topics", "")
    view("training", "runs/*/loss?x=step&log&smooth=0.8")
    view("options", "normal")
    view("embedded", "boiler?embed", width=700)
    threads = []
    over, silent = threading.Event(), threading.Event()
    for topic, (pause, message) in KINDS.items():
        port = (other if topic == "restart" else slosh).port
        arguments = (port, topic, pause, message, silent if topic == "silence" else over)
        threads.append(threading.Thread(target=feed, args=arguments))
    threads.append(threading.Thread(target=flood, args=(slosh.port, "overflow", 2000, over)))
    for number in range(3):
        feeding = (slosh.port, f"runs/{'abc'[number]}/loss", 0.1, partial(_loss, number), over)
        threads.append(threading.Thread(target=feed, args=feeding))
    for number in range(50):
        message = partial(_rising, number)
        arguments = (slosh.port, f"many/{number}/temp", 1.0, message, over)
        threads.append(threading.Thread(target=feed, args=arguments))
    keeper = browser.new_page()
    keeper.goto(f"{slosh.url}/view/late")
    for thread in threads:
        thread.start()
    time.sleep(FED / 2)
    silent.set()
    other.process.end()
    time.sleep(4)
    other.start()
    time.sleep(FED / 2 - 4)
    view("late", "late")
    shoot(pages, folder)
    over.set()
    for thread in threads:
        thread.join()
    for server in (slosh, other):
        server.process.end()


def shoot(pages: "dict[str, Page]", folder: Path) -> None:
    """Take a picture of each page, of one with the pointer on its chart."""
    for name, page in pages.items():
        if name in ("normal", "dark"):
            box = page.locator(".u-over").first.bounding_box() or {"x": 0, "y": 0}
            page.mouse.move(box["x"] + 330, box["y"] + 60)
        if name == "options":
            page.locator("#menu summary").click()
        page.wait_for_timeout(300)
        page.screenshot(path=folder / f"{name}.png", full_page=name == "phone")


def main() -> None:
    """Take all pictures into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=CHROMIUM)
        take(browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
