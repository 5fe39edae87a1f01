"""The types of the client, the mount and the fixture, as a user's own type checker sees them."""

import re
import sys
from pathlib import Path

import pytest

from benchmarks.processes import run_group
from tests.conftest import need
from tests.running import clean_environment

USER = """\
import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import slosh
from slosh.asgi import Access, Slosh
from slosh.client import Publisher
from slosh.client.log_handler import Handler
from slosh.testing.server import TestingServer


def read() -> None:
    for item in slosh.watch("kitchen", "sensors/*", since="10m", limit=3, every=0.5):
        reveal_type(item)  # slosh.client.items.Item
        reveal_type(item.message)  # object
        reveal_type(item.offset)  # int | None
    for each in slosh.watch("kitchen", notes=True):
        reveal_type(each)  # slosh.client.items.Item | slosh.client.items.Note
    with slosh.Client("http://127.0.0.1:8000", token="secret") as client:
        reveal_type(client.publish("kitchen", {"t": 21.5}, strict=True).taken)  # bool
        reveal_type(client.history("kitchen", 60.0).series[0].mean)  # list[float | None]
        reveal_type(client.watchers("kitchen"))  # int
    with Publisher(when_full="drop_newest") as publisher:
        publisher.send("kitchen", 1)
    logging.getLogger().addHandler(Handler("log/app"))


def tokens() -> Iterator[str]:
    for token in slosh.guard(iter(["a"]), "answer"):
        reveal_type(token)  # str
        yield token


async def read_too() -> None:
    async with slosh.AsyncClient() as client, client.watch("kitchen", deadline=5) as watch:
        async for item in watch:
            reveal_type(item)  # slosh.client.items.Item
        async for each in client.watch("kitchen", notes=True):
            reveal_type(each)  # slosh.client.items.Item | slosh.client.items.Note

        async def numbers() -> AsyncIterator[int]:
            yield 1

        async for number in slosh.guard(numbers(), "numbers", client=client):
            reveal_type(number)  # int


async def mount() -> None:
    live = Slosh(authorize=lambda scope: Access("ann", read=["news/*"]), queue=1000)
    reveal_type((await live.publish("kitchen", 1)).watchers)  # int
    server = slosh.Server(port=0)
    await server.start()


def test_mine(slosh: TestingServer) -> None:
    with slosh.watch("kitchen") as seen:
        reveal_type(seen.wait(1))  # list[object]
    slosh.overflow("kitchen", lost=7)


asyncio.run(read_too())
"""
WRONG = """\
import slosh
from slosh.client import Publisher

slosh.publish(5, 1)
slosh.publish("kitchen", 1, ends=True)
slosh.watch("kitchen", since=[1])
slosh.watch("kitchen", limits=3)
Publisher(when_full="explode")
slosh.Client().history("kitchen").to_arrays("median")
for each in slosh.watch("kitchen", notes=True):
    each.message
"""


@pytest.mark.long  # the type checker reads the package and its libraries again
@pytest.mark.timeout(600)  # a minute on a machine that does nothing else
def test_a_users_file_is_strictly_typed(tmp_path: Path) -> None:
    need("module:mypy")
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "wrong.py").write_text(WRONG)
    words = (sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "user.py", "wrong.py")
    done = run_group(words, cwd=tmp_path, env=clean_environment(), timeout=500)
    told = [line for line in done.stdout.splitlines() if line.startswith("user.py")]
    revealed = {int(line.split(":")[1]): line for line in told}
    assert [line for line in told if "Revealed type is" not in line] == [], done.stdout + done.stderr
    for number, line in enumerate(USER.splitlines(), 1):
        if "reveal_type" in line:
            assert f'Revealed type is "{line.partition("# ")[2]}"' in bare(revealed[number]), number
    wrong = {int(line.split(":")[1]) for line in done.stdout.splitlines() if re.match(r"wrong.py:\d+: error", line)}
    assert wrong == {number for number in range(4, 12) if number != 10}, done.stdout


def bare(told: str) -> str:
    """As users write the types, whichever words the version of the type checker has for them."""
    return told.replace("builtins.", "").replace("*", "")
