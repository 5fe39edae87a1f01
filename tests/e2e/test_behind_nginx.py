"""The configuration for nginx that the documents give, with a real nginx and a real browser."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.ports import free_port
from tests.conftest import need
from tests.e2e.conftest import PATIENCE, Slosh, until
from tests.http1.certificates import Issuer
from tests.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
PREFIXED = """
    location /slosh/ {
        proxy_pass http://slosh/;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Prefix /slosh;
    }
"""

FOLLOW = """() => {
    Object.assign(window, { seen: [], codes: [], stopped: 0 });
    window.source = new EventSource("/topics/es");
    source.onmessage = (event) => seen.push(JSON.parse(event.data));
    source.addEventListener("refused", (event) => codes.push(JSON.parse(event.data).code));
    source.onerror = () => { stopped += source.readyState === EventSource.CLOSED; };
}"""


def configuration(folder: Path, port: int, upstream: int, *, tls: bool) -> str:
    """The documents' configuration, with the places of this test in it.

    Args:
        tls: whether it speaks TLS, with a certificate that nobody vouches for.
    """
    listen = f"listen 127.0.0.1:{port};"
    if tls:
        certificate, key = Issuer(folder).issue("127.0.0.1")
        listen = f"listen 127.0.0.1:{port} ssl;\nssl_certificate {certificate};\nssl_certificate_key {key};"
    text = OPERATIONS.read_text(encoding="utf-8").partition("## Behind nginx")[2]
    found = re.search(r"```nginx\n(.*?)```", text, flags=re.DOTALL)
    assert found
    http = found[1]
    for documented, here in (
        ("server unix:/run/slosh.sock;", f"server 127.0.0.1:{upstream};"),
        ("listen 80;", listen),
        ("server_name slosh.example;", PREFIXED),
    ):
        assert documented in http
        http = http.replace(documented, here)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    return (
        f"{user}\ndaemon off;\npid {folder}/pid;\nerror_log stderr notice;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{http}}}\n"
    )


@pytest.fixture
def nginx(serve: Callable[..., Slosh], tmp_path: Path) -> Iterator[Callable[..., tuple[str, Slosh]]]:
    """Start slosh with these settings and nginx before it; the address of the one, and the other."""
    program = need("nginx")
    running: list[Running] = []

    def start(*, tls: bool = False, **settings: object) -> tuple[str, Slosh]:
        slosh, port = serve(**settings), free_port()
        (tmp_path / "nginx.conf").write_text(configuration(tmp_path, port, slosh.port, tls=tls))
        command = (program, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"))
        running.append(Running(command, tmp_path))
        running[-1].hear("start worker process ")
        return f"http{'s' if tls else ''}://127.0.0.1:{port}", slosh

    yield start
    for each in running:
        each.__exit__()


def told(page: "Page", name: str) -> Callable[[], Any]:
    return lambda: page.evaluate(f"window.{name}")


@pytest.mark.timeout(180)
def test_a_page_that_was_refused_is_admitted_when_there_is_room_and_pages_outlive_a_restart(
    nginx: Callable[..., tuple[str, Slosh]], new_page: "Callable[[str], Page]"
) -> None:
    url, slosh = nginx(max_watchers=1, linger="1m", drain="1s")
    first, second = new_page(f"{url}/-/healthy"), new_page(f"{url}/-/healthy")
    first.evaluate(FOLLOW)
    until(lambda: slosh.post("es", 1)["status"], lambda status: status == 200)
    until(told(first, "seen"), lambda seen: seen == [1])
    second.evaluate(FOLLOW)
    until(told(second, "codes"), lambda codes: codes[:1] == ["too_many_watchers"])
    first.evaluate("source.close()")
    until(lambda: slosh.post("es", 2)["watchers"] and second.evaluate("window.seen"), bool)

    # A restart with a gap that is longer than any pause: nginx answers in its place.
    slosh.process.end()
    until(told(second, "codes"), lambda codes: "away" in codes)
    slosh.start()
    until(lambda: slosh.post("es", 3)["status"] == 200 and second.evaluate("window.seen").count(3), bool)
    assert second.evaluate("window.stopped") == 0
    assert second.evaluate("source.readyState") == 1


def curl(*words: str) -> str:
    result = subprocess.run([need("curl"), "-s", *words], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return result.stdout


def test_everybody_else_gets_the_status_while_slosh_is_not_there(nginx: Callable[..., tuple[str, Slosh]]) -> None:
    url, slosh = nginx()
    assert curl(f"{url}/-/healthy") == "ok\n"
    slosh.process.end()
    status = ("-o", "/dev/null", "-w", "%{http_code} %{content_type}")
    assert curl(*status, f"{url}/topics/es").startswith("502 ")
    assert curl(*status, "-d", "1", f"{url}/topics/es").startswith("502 ")
    assert (
        curl(*status, "-H", "Accept: text/event-stream", f"{url}/topics/es") == "200 text/event-stream; charset=utf-8"
    )


def test_below_a_prefix_the_cookie_comes_back(nginx: Callable[..., tuple[str, Slosh]], tmp_path: Path) -> None:
    """The cookie example of the documents: without the prefix in its path curl and browsers never send it again."""
    url, slosh = nginx()
    jar = ("-b", str(tmp_path / "jar"), "-c", str(tmp_path / "jar"))
    curl(*jar, f"{url}/slosh/topics/test?wait=0")
    slosh.post("test", 1, 2, 3)
    assert '"res":[1,2,3]' in curl(*jar, f"{url}/slosh/topics/test")
    slosh.post("test", 4)
    assert '"res":[4]' in curl(*jar, f"{url}/slosh/topics/test")


READ = "async () => (await (await fetch('/topics/test?wait=0')).json()).res"


@pytest.mark.parametrize("tls", [True, False])
def test_over_tls_the_cookie_is_secure_and_comes_back(
    nginx: Callable[..., tuple[str, Slosh]], new_context: "Callable[..., BrowserContext]", tls: bool
) -> None:
    """In a browser, which sends a cookie that is `Secure` over TLS alone, and keeps none that came otherwise."""
    url, slosh = nginx(tls=tls)
    context = new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{url}/-/healthy")
    assert page.evaluate(READ) == []
    (cookie,) = context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        tls,
        True,
        "Lax",
        "/topics/test",
    )
    slosh.post("test", 1, 2)
    assert page.evaluate(READ) == [1, 2]
    slosh.post("test", 3)
    assert page.evaluate(READ) == [3]
