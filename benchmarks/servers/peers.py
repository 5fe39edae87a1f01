"""Peers that are no C: Faye, Pushpin, and minimal long-poll servers on twisted.web and on Starlette with uvicorn.

The minimal ones show what the frameworks themselves cost: a ring, cursors and waiting readers, and nothing else.
All of these get a part of the usual load, since at the full load they would only show that they drown.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.building import BUILD
from benchmarks.servers.base import Server

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = BUILD / f"peers-{sys.implementation.cache_tag}"
"""Where `make bench` puts the Python packages that only peers need; some of them fit one version of Python only."""
FAYE = BUILD / "faye" / "node_modules"
"""Where it puts Faye."""
MAKE = "make peers does it; by hand: "


def _lacking(*modules: str) -> list[str]:
    """Those that neither this Python nor the peers' folder has."""
    return [module for module in modules if importlib.util.find_spec(module) is None and not (PEERS / module).is_dir()]


def lacking(*modules: str) -> str | None:
    """What has to be installed first, and how; None when nothing has."""
    names = " ".join(_lacking(*modules))
    return f"{names} ({MAKE}pip install {names})" if names else None


def _missing(*modules: str) -> Callable[[], str | None]:
    return lambda: lacking(*modules)


def _command(program: str) -> Callable[[Path, int], list[str]]:
    def command(_scratch: Path, port: int) -> list[str]:
        return [sys.executable, "-m", f"benchmarks.servers.{program}", str(port)]

    return command


def versions(*packages: str) -> Callable[[], str]:
    """Tells the versions of these packages."""

    def version() -> str:
        found = {
            found.metadata["Name"].lower(): found.version
            for found in importlib.metadata.distributions(path=[str(PEERS), *sys.path])
        }
        return ", ".join(f"{package} {found.get(package, '?')}" for package in packages)

    return version


def _missing_faye() -> str | None:
    if shutil.which("node") is None:
        return "node (Debian: apt-get install nodejs npm)"
    return None if (FAYE / "faye").is_dir() else f"Faye ({MAKE}npm install --prefix {FAYE.parent} faye)"


def _missing_pushpin() -> str | None:
    for program in ("pushpin", "condure", "zurl"):
        if shutil.which(program) is None:
            return f"{program} (Debian: apt-get install pushpin condure zurl)"
    return _missing("uvloop", "zmq")()


def _pushpin_serves(port: int) -> bool:
    """All its processes have found one another once a publish and a poll for it went through them."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        for method, target, body in (("POST", "/topics/ready", "{}"), ("GET", "/topics/ready?since=0", None)):
            connection.request(method, target, body)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                return False
        return True
    return False


def _pushpin_version() -> str:
    told = subprocess.run(["pushpin", "--version"], capture_output=True, text=True, check=False).stdout
    return told.strip().removeprefix("pushpin ")


STARLETTE = Server(
    name="starlette",
    title="Starlette on uvicorn",
    configuration="benchmarks/servers/starlette_app.py on uvicorn with uvloop and httptools, access log off",
    missing=_missing("starlette", "uvicorn", "uvloop", "httptools"),
    command=_command("starlette_app"),
    version=versions("starlette", "uvicorn", "uvloop", "httptools"),
    transports={"longpoll": "plain", "gathered": "plain"},
    share=0.1,
    modules=(PEERS,),
    python=sys.executable,
)
MOUNTED = Server(
    name="slosh-mounted",
    title="slosh, mounted",
    configuration="benchmarks/servers/mounted_app.py: slosh.asgi in Starlette, on uvicorn as above",
    missing=_missing("starlette", "uvicorn", "uvloop", "httptools"),
    command=_command("mounted_app"),
    version=versions("slosh-server", "starlette", "uvicorn", "uvloop", "httptools"),
    transports={"longpoll": "slosh", "gathered": "slosh", "sse": "slosh-sse", "websocket": "slosh-websocket"},
    share=0.1,
    modules=(PEERS,),
    python=sys.executable,
)
TWISTED_WEB = Server(
    name="twisted-web",
    title="twisted.web",
    configuration="benchmarks/servers/twisted_app.py on the epoll reactor, no access log",
    missing=_missing("twisted"),
    command=_command("twisted_app"),
    version=versions("twisted"),
    transports={"longpoll": "plain", "gathered": "plain"},
    share=0.1,
    python=sys.executable,
)
FAYE_NODE = Server(
    name="faye",
    title="Faye",
    configuration="benchmarks/servers/faye_app.cjs: Faye on Node with its in-memory engine, readers by /meta/connect",
    missing=_missing_faye,
    command=lambda _scratch, port: ["node", str(Path(__file__).parent / "faye_app.cjs"), str(port)],
    version=lambda: str(json.loads((FAYE / "faye" / "package.json").read_text())["version"]),
    transports={"longpoll": "bayeux", "gathered": "bayeux"},
    share=0.1,
    variables={"NODE_PATH": str(FAYE)},
)
PUSHPIN = Server(
    name="pushpin",
    title="Pushpin",
    configuration=(
        "Pushpin with the small origin of benchmarks/servers/pushpin_app.py behind it, which keeps the ring and is "
        "asked at each poll; CPU and memory are those of both, all on one core"
    ),
    missing=_missing_pushpin,
    command=_command("pushpin_app"),
    version=_pushpin_version,
    ready=_pushpin_serves,
    transports={"longpoll": "plain", "gathered": "plain"},
    share=0.02,
    modules=(PEERS,),
    python=sys.executable,
)
