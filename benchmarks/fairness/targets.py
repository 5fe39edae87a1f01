"""The servers that are attacked: slosh in four ways, and the same small server on aiohttp and on uvicorn."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.servers.base import Server
from benchmarks.servers.peers import PEERS, lacking, versions
from benchmarks.servers.slosh import SLOSH, SLOSH_COMPILED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WITHOUT_UVLOOP = """\
import runpy, sys
sys.modules["uvloop"] = None
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""Runs a module in a Python that has no uvloop."""
NGINX = """\
{user}
daemon off;
pid {scratch}/nginx.pid;
error_log stderr crit;
worker_processes 1;
worker_rlimit_nofile 60000;
events {{ worker_connections 40000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 8m;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream slosh {{ server unix:{scratch}/store; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://slosh;
            proxy_http_version 1.1;
            proxy_set_header Host              $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For   $remote_addr;
            proxy_set_header Upgrade           $http_upgrade;
            proxy_set_header Connection        $connection_upgrade;
        }}
    }}
}}
"""
"""As docs/operations.md has it."""


@dataclass(frozen=True)
class Target:
    """A server that is attacked."""

    name: str
    title: str
    server: Callable[[Sequence[str]], Server]
    """(options of `slosh serve`) -> the server. Other servers have none."""
    peer: bool = False
    behind: bool = False
    """Whether the server that is measured is the one behind, which stands where others have their store."""


def _with(server: Server) -> Callable[[Sequence[str]], Server]:
    def made(options: Sequence[str]) -> Server:
        return dataclasses.replace(server, command=lambda scratch, port: [*server.command(scratch, port), *options])

    return made


def _without_uvloop(options: Sequence[str]) -> Server:
    words = [sys.executable, "-c", WITHOUT_UVLOOP, "slosh", "serve"]
    return dataclasses.replace(SLOSH, command=lambda _scratch, port: [*words, "--port", str(port), *options])


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _nginx_command(scratch: Path, port: int) -> list[str]:
    path = scratch / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(NGINX.format(scratch=scratch, port=port, user=user))
    return [_nginx() or "nginx", "-p", str(scratch), "-c", str(path), "-e", "stderr"]


def _behind_nginx(options: Sequence[str]) -> Server:
    def missing() -> str | None:
        return SLOSH.missing() if _nginx() else "nginx (Debian: apt-get install nginx)"

    return dataclasses.replace(
        SLOSH,
        missing=missing,
        command=_nginx_command,
        store=lambda scratch: [
            sys.executable, "-m", "slosh", "serve", "--uds", str(scratch / "store"), *options
        ],
    )  # fmt: skip


def _peer(name: str, *modules: str) -> Callable[[Sequence[str]], Server]:
    server = Server(
        name=name,
        title=name,
        configuration=f"benchmarks/fairness/{name}_app.py on uvloop, access log off",
        missing=lambda: lacking(*modules),
        command=lambda _scratch, port: [sys.executable, "-m", f"benchmarks.fairness.{name}_app", str(port)],
        version=versions(*modules),
        modules=(PEERS,),
        python=sys.executable,
    )
    return lambda _options: server


TARGETS = {
    target.name: target
    for target in (
        Target("slosh", "slosh", _with(SLOSH)),
        Target("slosh-compiled", "compiled", _with(SLOSH_COMPILED)),
        Target("slosh-asyncio", "without uvloop", _without_uvloop),
        Target("slosh-nginx", "behind nginx", _behind_nginx, behind=True),
        Target("aiohttp", "aiohttp", _peer("aiohttp", "aiohttp", "uvloop"), peer=True),
        Target("uvicorn", "uvicorn", _peer("uvicorn", "uvicorn", "starlette", "uvloop", "httptools"), peer=True),
    )
}
TITLES = {name: target.title for name, target in TARGETS.items()}
"""Target -> how it is called in the table's head."""
