"""A Chromium whose tabs are hidden by one another, as a person's are: Playwright keeps all of its own visible."""

import json
import re
import subprocess
import threading
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

from benchmarks.processes import ProcessGroup
from tests.conftest import need
from tests.e2e.conftest import CHROMIUM, PATIENCE


class Tab:
    """A tab; the newest, or the one that was shown last, hides the others."""

    def __init__(self, address: str, facts: dict[str, Any]) -> None:
        self._activate = f"http://{address}/json/activate/{facts['id']}"
        self._socket: str = facts["webSocketDebuggerUrl"]

    def show(self) -> None:
        """Bring it to the front."""
        urllib.request.urlopen(self._activate, timeout=PATIENCE).close()

    def evaluate(self, expression: str) -> Any:
        """What a script comes to on its page."""
        with connect(self._socket, max_size=None, open_timeout=PATIENCE) as socket:
            parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
            socket.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": parameters}))
            while (answer := json.loads(socket.recv(timeout=PATIENCE))).get("id") != 1:
                pass
        return answer["result"]["result"].get("value")

    def crash(self) -> None:
        """Kill its process, as the system does when there is no memory left."""
        with connect(self._socket, open_timeout=PATIENCE) as socket:
            socket.send(json.dumps({"id": 1, "method": "Inspector.enable"}))
            socket.send(json.dumps({"id": 2, "method": "Page.crash"}))
            # Nothing answers; the connection tells that the process is gone.
            while json.loads(socket.recv(timeout=PATIENCE)).get("method") != "Inspector.targetCrashed":
                pass


class Tabs:
    """A browser with one window. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        command = (need("chromium"), "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}")
        self._process: ProcessGroup[str] = ProcessGroup(
            (*command, "--no-first-run", *CHROMIUM, "about:blank"), stderr=subprocess.PIPE, text=True
        )
        lines = iter(self._process.stderr or ())
        self._address = next(found[1] for line in lines if (found := re.search(r"ws://([\d.:]+)/", line)))
        # What it says later is read too, or it would stand still at a pipe that is full.
        self._reader = threading.Thread(target=deque, args=(lines, 0), daemon=True)
        self._reader.start()

    def open(self, url: str) -> Tab:
        """Open a tab in front of all others."""
        request = urllib.request.Request(f"http://{self._address}/json/new?{url}", method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return Tab(self._address, json.load(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()
        self._reader.join(PATIENCE)
        if self._process.stderr:
            self._process.stderr.close()
