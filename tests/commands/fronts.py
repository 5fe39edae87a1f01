"""nginx and HAProxy in front of a slosh, with a configuration that may have a fault in it."""

import os
from pathlib import Path

from benchmarks.ports import free_port
from tests.conftest import need
from tests.running import Running


class Front(Running):
    """A proxy in front of a server.

    Args:
        folder: for its configuration.
        upstream: the port of the slosh behind it.
        faults: what is changed in its configuration: what stands there, and what instead.

    Attributes:
        url: its address.
    """

    name = ""
    program = ""
    configuration = ""
    ready = ""
    arguments: tuple[str, ...] = ()

    def __init__(self, folder: Path, upstream: int, *faults: tuple[str, str]) -> None:
        port = free_port()
        text = self.configuration
        for documented, fault in faults:
            assert documented in text, documented
            text = text.replace(documented, fault)
        temporary = "".join(
            f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        for name, value in {
            "PORT": str(port),
            "UPSTREAM": str(upstream),
            "FOLDER": str(folder),
            "TEMPORARY": temporary,
            "USER": user,
        }.items():
            text = text.replace(f"@{name}@", value)
        file = folder / "front.conf"
        file.write_text(text)
        super().__init__((need(self.program), *(each.replace("@", str(file)) for each in self.arguments)), folder)
        self.url = f"http://127.0.0.1:{port}"
        self.hear(self.ready)


class Nginx(Front):
    """A real nginx."""

    name = program = "nginx"
    ready = "start worker process "
    arguments = ("-e", "stderr", "-c", "@")
    configuration = """
@USER@
daemon off;
pid @FOLDER@/pid;
error_log stderr notice;
events {}
http {
    access_log off;
    @TEMPORARY@
    proxy_cache_path @FOLDER@/cache keys_zone=cache:1m;
    # http
    server {
        listen 127.0.0.1:@PORT@;
        client_max_body_size 8m;
        location / {
            proxy_pass http://127.0.0.1:@UPSTREAM@;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 60s;
            # location
        }
    }
}
"""


class HAProxy(Front):
    """A real HAProxy."""

    name = "HAProxy"
    program = "haproxy"
    ready = "Loading success|New worker"
    arguments = ("-W", "-db", "-f", "@")
    configuration = """
global
    maxconn 200
    tune.bufsize 16384
    # global
cache stale
    total-max-size 4
    max-age 60
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option abortonclose
frontend front
    bind 127.0.0.1:@PORT@
    # frontend
    default_backend slosh
backend slosh
    # backend
    server one 127.0.0.1:@UPSTREAM@
"""
