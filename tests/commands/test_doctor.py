"""`slosh doctor`, through real proxies: a sound one has no fault, and each fault is found and named."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from slosh.access.tokens import hash_token, make_token
from slosh.cli import main
from slosh.client.errors import Unreachable
from slosh.commands import checks
from slosh.commands.examining import Examination
from slosh.commands.remedies import FRONTS, REMEDIES
from slosh.commands.shared import EXIT_REFUSED, EXIT_UNREACHABLE
from tests.cases import each_of
from tests.client.scripted import Trickling
from tests.commands.fronts import Front, HAProxy, Nginx
from tests.e2e.server import Serving
from tests.running import SLOSH, clean_environment

NGINX_FAULTS: dict[str, tuple[tuple[str, str], ...]] = {
    "streams": (("http_version 1.1", "http_version 1.0"), ("# location", "proxy_ignore_headers X-Accel-Buffering;")),
    "compression": (("# location", "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any;"),),
    "held polls": (("proxy_read_timeout 60s", "proxy_read_timeout 1s"),),
    "WebSocket": (("proxy_set_header Upgrade $http_upgrade;", ""), ("Connection upgrade", "Connection close")),
    "own pages": (("proxy_set_header Host $http_host;", ""),),
    "cookies": (("# location", "proxy_cookie_path / /elsewhere/;"),),
    "CORS": (("# location", "add_header Access-Control-Allow-Origin *;"),),
    "large messages": (("client_max_body_size 8m", "client_max_body_size 100k"),),
    "long addresses": (("# http", "large_client_header_buffers 4 2k;"),),
    "caching": (
        ("# location", "proxy_cache cache; proxy_cache_valid 200 1m; proxy_ignore_headers Cache-Control Set-Cookie;"),
    ),
    "clients that leave": (("# location", "proxy_ignore_client_abort on;"),),
    "topics' names": (("@UPSTREAM@;", "@UPSTREAM@$uri$is_args$args;"),),
}
HAPROXY_FAULTS: dict[str, tuple[tuple[str, str], ...]] = {
    "held polls": (("timeout server 60s", "timeout server 1s"),),
    "WebSocket": (("# frontend", "http-request del-header Upgrade\n    http-request del-header Connection"),),
    "own pages": (("# frontend", "http-request set-header Host 127.0.0.1:1"),),
    "cookies": (("# backend", "http-response del-header Set-Cookie"),),
    "CORS": (("# backend", "http-response add-header Access-Control-Allow-Origin *"),),
    "large messages": (
        ("# frontend", "http-request deny deny_status 413 if { req.hdr(content-length) -m int gt 100000 }"),
    ),
    "long addresses": (("tune.bufsize 16384", "tune.bufsize 4096"),),
    "caching": (
        (
            "# backend",
            (
                "http-request cache-use stale\n    http-response set-header Cache-Control max-age=60\n"
                "    http-response del-header Set-Cookie\n    http-response cache-store stale"
            ),
        ),
    ),
    "clients that leave": (("option abortonclose", "no option abortonclose"),),
    "topics' names": (("# frontend", "http-request set-path %[path,url_dec]"),),
    # It leaves alone what says `no-transform`, as every stream of slosh does, unless a proxy before it takes that away.
    "compression": (
        (
            "server one 127.0.0.1:@UPSTREAM@",
            (
                "compression algo gzip\n    compression type text/event-stream\n    server one abns@inner-@PORT@\n"
                "listen inner\n    bind abns@inner-@PORT@\n    http-response del-header Cache-Control\n"
                "    server one 127.0.0.1:@UPSTREAM@"
            ),
        ),
    ),
    "streams": (("# backend", "http-response wait-for-body time 5s"),),
}


@pytest.fixture(scope="module")
def slosh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("server"), "--origins=*", "--linger=2s") as serving:
        yield serving


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Of whose pages none but its own may post."""
    with Serving(tmp_path_factory.mktemp("strict"), "--linger=2s") as serving:
        yield serving


def doctor(url: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SLOSH, "doctor", url, "--hold=2s", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=clean_environment(**environment),
    )


def faults(report: str) -> list[str]:
    """The checks that found one."""
    return re.findall(r"^FAULT  ([^:]+):", report, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", [Nginx, HAProxy])
def test_nothing_is_found_behind_a_sound_proxy(kind: type[Front], slosh: Serving, tmp_path: Path) -> None:
    with kind(tmp_path, slosh.port) as front:
        done = doctor(front.url, "--origin=https://app.example")
    assert (done.returncode, faults(done.stdout)) == (0, []), done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "All is well."


@pytest.mark.parametrize(
    ("kind", "check", "changes"),
    [
        *((Nginx, check, changes) for check, changes in NGINX_FAULTS.items()),
        *((HAProxy, check, changes) for check, changes in HAPROXY_FAULTS.items()),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else each if isinstance(each, str) else "",
)
def test_each_fault_is_found_and_its_line_is_shown(
    kind: type[Front],
    check: str,
    changes: tuple[tuple[str, str], ...],
    slosh: Serving,
    strict: Serving,
    tmp_path: Path,
) -> None:
    serving = strict if check == "own pages" else slosh
    with kind(tmp_path, serving.port, *changes) as front:
        done = doctor(front.url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert check in faults(done.stdout), done.stdout
    assert REMEDIES[check][kind.name] in done.stdout
    assert "Traceback" not in done.stderr


def test_a_server_without_a_proxy_is_well(slosh: Serving) -> None:
    done = doctor(slosh.url)
    assert (done.returncode, faults(done.stdout)) == (0, []), done.stdout


@pytest.mark.parametrize("kind", [Nginx, HAProxy])
def test_the_pages_of_the_address_itself_need_no_cors(kind: type[Front], strict: Serving, tmp_path: Path) -> None:
    """Whether they may post depends on `Host`, and the setting `origins` would be the wrong cure."""
    for changes in ((), (NGINX_FAULTS if kind is Nginx else HAPROXY_FAULTS)["own pages"]):
        folder = tmp_path / str(len(changes))
        folder.mkdir()
        with kind(folder, strict.port, *changes) as front:
            done = doctor(front.url, f"--origin={front.url}", "--hold=1s")
        assert faults(done.stdout) == (["own pages"] if changes else []), done.stdout
        assert "setting origins" not in done.stdout


def test_what_is_no_slosh_is_told_in_one_sentence(slosh: Serving, tmp_path: Path) -> None:
    """A wrong prefix, and a proxy whose server is away."""
    wrong = doctor(f"{slosh.url}/prefix")
    with Nginx(tmp_path, 1) as front:
        away = doctor(front.url)
    assert (wrong.returncode, away.returncode) == (EXIT_UNREACHABLE, EXIT_UNREACHABLE)
    assert "prefix" in wrong.stderr
    assert "proxy_pass" in away.stderr


@each_of("said", [b'{"topics":[7],"times":["x"]}', b'{"topics":[],"times":[%s]}' % (b"9" * 400)])
def test_what_answers_with_other_json_is_a_fault_and_no_traceback(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_CHECKS", (checks._clock, checks._names))
    with answering(said) as server, Examination(server.url, "doctor") as examination:
        found = list(checks.look(examination))
    assert [each.is_fault for each in found] == [False, True, True]


def test_what_answers_with_very_deep_json_is_told_in_one_sentence() -> None:
    deep = b'{"topics":' + b"[" * 100_000
    with (
        answering(deep) as server,
        Examination(server.url, "doctor") as examination,
        pytest.raises(Unreachable, match="not as a slosh does"),
    ):
        examination.reach()


def answering(body: bytes) -> Trickling:
    """A server that gives each request this answer."""
    return Trickling(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), then=b""
    )


def test_a_missing_right_is_no_fault_of_a_proxy(tmp_path: Path) -> None:
    """It was told as seven faults, each with lines for nginx, HAProxy and Caddy to change."""
    names = {"all": "slosh-doctor/**", "other": "a/**"}
    secrets = {name: make_token() for name in names}
    rows = (
        f'[[access.tokens]]\nname = "{name}"\nsha256 = "{hash_token(secrets[name]).hex()}"\n'
        f'read = ["{names[name]}"]\npublish = ["{names[name]}"]\n'
        for name in names
    )
    (tmp_path / "rules.toml").write_text("".join(rows))
    with Serving(tmp_path, "--config", str(tmp_path / "rules.toml")) as serving:
        for environment in ({}, {"SLOSH_TOKEN": secrets["other"]}, {"SLOSH_TOKEN": make_token()}):
            done = doctor(serving.url, "--hold=1s", **environment)
            assert (done.returncode, done.stdout) == (EXIT_REFUSED, ""), done.stderr
            assert "a token that may read and publish slosh-doctor/**" in done.stderr
        done = doctor(serving.url, "--hold=1s", SLOSH_TOKEN=secrets["all"])
        assert (done.returncode, faults(done.stdout)) == (0, []), done.stdout + done.stderr


def test_a_clock_that_is_off_is_a_fault_with_the_line_to_run(slosh: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a note, and all was well, two hours off: tokens that have a time are refused then."""
    for off, mark in ((7200, "FAULT"), (-60, "FAULT"), (7, "note"), (0, "ok")):
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=time.sleep, time=lambda off=off: time.time() + off)
        monkeypatch.setattr(checks, "time", clock)
        done = CliRunner().invoke(main, ["doctor", slosh.url, "--hold=1s"])
        assert re.search(rf"^{mark} +clock: ", done.output, re.MULTILINE), done.output
        is_fault = mark == "FAULT"
        assert (done.exit_code, "`timedatectl set-ntp true`" in done.output) == (int(is_fault), is_fault), done.output
        assert done.output.splitlines()[-1] == ("1 fault found." if is_fault else "All is well.")


def test_haproxy_compresses_no_stream_that_it_is_not_told_to(slosh: Serving, tmp_path: Path) -> None:
    """With its compression on, `no-transform` is what keeps streams as they are."""
    compresses = ("# backend", "compression algo gzip\n    compression type text/event-stream application/json")
    with HAProxy(tmp_path, slosh.port, compresses) as front:
        done = doctor(front.url)
    assert (done.returncode, faults(done.stdout)) == (0, []), done.stdout


def test_each_fault_has_a_line_for_each_proxy() -> None:
    assert set(NGINX_FAULTS) == set(HAPROXY_FAULTS) == set(REMEDIES)
    assert all(tuple(lines) == FRONTS for lines in REMEDIES.values())
