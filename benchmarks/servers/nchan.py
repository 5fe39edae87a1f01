"""nchan, nginx's C module for this work, as Debian ships it.

Its configuration, and why:

* `worker_processes 1`, since the comparison is of one core; connections enough for every reader.
* `access_log off`, `keepalive_requests` without an end in practice: a log line or a reconnect is not what is measured.
* exact locations with the channel's name in an argument, which cost nginx less than a pattern with a capture.
* a buffer of 100 messages (`nchan_message_buffer_length`), kept for an hour, like slosh's ring.
* a reader without a place starts at the next message (`nchan_subscriber_first_message newest`), as with slosh.
* readers give their place by If-Modified-Since and If-None-Match, the way of its documentation.
* its answer to a publish is the short JSON or text that it always gives: there is no setting for less.
* multipart answers (`nchan_longpoll_multipart_response`) carry all waiting messages at once. Plain long-poll gives one
  a round trip and loses most messages at saturation, so that scenario (kind `gathered`) asks for multipart.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.machine import raise_file_limit
from benchmarks.servers.base import Server

MODULES = [Path(folder, "ngx_nchan_module.so") for folder in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")]
CONFIGURATION = """\
{user}
load_module {module};
daemon off;
pid {scratch}/nginx.pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; use epoll; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    nchan_max_reserved_memory 512M;
    nchan_message_buffer_length 100;
    nchan_message_timeout 1h;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /pub {{ nchan_publisher http; nchan_channel_id $arg_id; }}
        location = /sub {{
            nchan_subscriber longpoll; nchan_channel_id $arg_id; nchan_subscriber_first_message newest;
        }}
        location = /sse {{
            nchan_subscriber eventsource; nchan_channel_id $arg_id; nchan_subscriber_first_message newest;
        }}
        location = /ws {{
            nchan_subscriber websocket; nchan_channel_id $arg_id; nchan_subscriber_first_message newest;
        }}
        location = /multipart {{
            nchan_subscriber longpoll; nchan_channel_id $arg_id; nchan_subscriber_first_message newest;
            nchan_longpoll_multipart_response on;
        }}
    }}
}}
"""


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _module() -> Path | None:
    return next((module for module in MODULES if module.exists()), None)


def _missing() -> str | None:
    if _nginx() is None:
        return "nginx (Debian: apt-get install nginx libnginx-mod-nchan)"
    if _module() is None:
        return "nginx's nchan module (Debian: apt-get install libnginx-mod-nchan)"
    return None


def _version() -> str:
    told = subprocess.run([_nginx() or "nginx", "-v"], capture_output=True, text=True, check=False).stderr
    debian = shutil.which("dpkg-query")
    module = (
        subprocess.run(
            [debian, "-W", "-f", "${Version}", "libnginx-mod-nchan"], capture_output=True, text=True, check=False
        ).stdout
        if debian
        else ""
    )
    return f"{told.rpartition('/')[2].strip()}, nchan {module or 'of unknown version'}"


def _command(scratch: Path, port: int) -> list[str]:
    nginx, module, files = _nginx(), _module(), raise_file_limit()
    if nginx is None or module is None:
        raise FileNotFoundError(_missing())
    user = "user root;" if os.geteuid() == 0 else ""
    connections = files * 5 // 4  # when a sixteenth is left, nginx closes idle keep-alive connections, publishers first
    path = scratch / "nginx.conf"
    path.write_text(
        CONFIGURATION.format(user=user, module=module, scratch=scratch, files=files, connections=connections, port=port)
    )
    return [nginx, "-p", str(scratch), "-c", str(path), "-e", "stderr"]


_WORDS = (
    "nginx with libnginx-mod-nchan: one worker, access log off, buffer of 100 messages, exact locations, "
    "If-Modified-Since and If-None-Match as the place"
)
NCHAN = Server(
    name="nchan",
    title="nchan",
    configuration=f"{_WORDS}; plain long-poll, multipart answers at saturation",
    missing=_missing,
    version=_version,
    command=_command,
    transports={"longpoll": "nchan", "gathered": "multipart", "sse": "nchan-sse", "websocket": "nchan-websocket"},
)
NCHAN_MULTIPART = Server(
    name="nchan-multipart",
    title="nchan, multipart",
    configuration=f"{_WORDS}; multipart answers everywhere",
    missing=_missing,
    version=_version,
    command=_command,
    transports={"longpoll": "multipart", "gathered": "multipart"},
)
