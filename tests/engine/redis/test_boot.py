"""A server whose store is away when it starts serves at once, says what is missing, and goes on when it comes."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import PATIENCE, SLOSH, Running, clean_environment
from tests.stores.server import Store, until
from tests.stores.sets import Cluster, Watched

TWISTD = str(Path(sys.executable).with_name("twistd"))


def ask(url: str, body: bytes | None = None) -> tuple[int, str, bytes]:
    """Status, `Retry-After` and body of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=PATIENCE) as answer:
            return answer.status, "", answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Retry-After", ""), error.read()


def alone(folder: Path) -> list[str]:
    return [*SLOSH, "serve", "--port", "0"]


def workers(folder: Path) -> list[str]:
    return [*SLOSH, "serve", "--port", "0", "--workers", "2"]


def twistd(folder: Path) -> list[str]:
    return [TWISTD, "-n", "slosh", "--port", "0"]


def tac(folder: Path) -> list[str]:
    (folder / "slosh.tac").write_text(
        "from slosh.service import install_reactor, make_service\ninstall_reactor()\n"
        "from twisted.application.service import Application\napplication = Application('x')\n"
        "make_service(port=0).setServiceParent(application)\n"
    )
    return [TWISTD, "-ny", "slosh.tac"]


DOORS: dict[str, Callable[[Path], list[str]]] = {"serve": alone, "workers": workers, "twistd": twistd, "tac": tac}


@pytest.mark.parametrize("door", DOORS)
def test_it_serves_at_once_and_goes_on_when_the_store_comes(tmp_path: Path, door: str) -> None:
    store = Store(tmp_path / "store", password="hunter2")
    command = DOORS[door](tmp_path)
    try:
        with Running(command, tmp_path, clean_environment(SLOSH_ENGINE=store.url)) as server:
            at = server.hear(r"is ready on (http://\S+?),? ")[1]
            assert ask(f"{at}/-/healthy")[0] == 200
            status, _, problem = ask(f"{at}/-/ready")
            assert (status, json.loads(problem)["code"]) == (503, "engine_unreachable")
            status, retry, problem = ask(f"{at}/topics/a", b"1")
            assert (status, retry, json.loads(problem)["code"]) == (503, "1", "engine_unreachable")
            assert ask(f"{at}/topics/a?wait=0")[0] == 503
            store.start()
            until(lambda: ask(f"{at}/-/ready")[0] == 200, "it was ready")
            assert ask(f"{at}/topics/a?wait=0")[0] == 200
            until(lambda: ask(f"{at}/topics/a", b"1")[0] == 200, "a message was taken")
        told = [line for line in server.lines if "cannot be reached yet" in line]
        assert len(told) == (2 if door == "workers" else 1)
        assert f"redis://…@127.0.0.1:{store.port}/0" in told[0]
        assert "hunter2" not in server.output
        assert "Traceback" not in server.output
    finally:
        store.kill()


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_password_ends_it_at_once_in_one_sentence(tmp_path: Path, door: str) -> None:
    with Store(tmp_path / "store", password="hunter1") as store:
        environment = clean_environment(SLOSH_ENGINE=store.url.replace("hunter1", "hunter2"))
        with Running(DOORS[door](tmp_path), tmp_path, environment) as server:
            code = server.end()
    assert code == 2 or door in ("twistd", "tac")
    assert "It refuses the user or password." in server.output
    assert "hunter" not in server.output
    assert "Traceback" not in server.output


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_address_ends_it_before_it_listens(tmp_path: Path, door: str) -> None:
    with Running(DOORS[door](tmp_path), tmp_path, clean_environment(SLOSH_ENGINE="redis://:hun/ter2@store")) as server:
        assert server.end() != 0
    assert "has an @ or # behind its host" in server.output
    assert "ter2" not in server.output
    assert "ready on" not in server.output
    assert "Traceback" not in server.output


@pytest.mark.parametrize("many", [Watched, Cluster])
def test_sentinels_and_clusters_are_waited_for_too(tmp_path: Path, many: type[Watched] | type[Cluster]) -> None:
    """Their addresses are known before they run."""
    stores = many(tmp_path / "stores")
    with Running(alone(tmp_path), tmp_path, clean_environment(SLOSH_ENGINE=stores.url)) as server:
        at = server.hear(r"is ready on (http://\S+?),? ")[1]
        assert ask(f"{at}/-/ready")[0] == 503
        assert ask(f"{at}/topics/a", b"1")[0] == 503
        with stores:
            until(lambda: ask(f"{at}/-/ready")[0] == 200, "it was ready")
            assert ask(f"{at}/topics/a?wait=0")[0] == 200
            until(lambda: ask(f"{at}/topics/a", b"1")[0] == 200, "a message was taken")
    assert "Traceback" not in server.output
