"""docs/embedding.md: a server in the program's own loop, and the ends of programs with readers still there."""

import signal
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from slosh.asgi import Slosh
from slosh.client import Client, Item, Note
from tests.conftest import need
from tests.e2e.server import until
from tests.guides.guide import Program, programs
from tests.running import PATIENCE, Running, clean_environment

APP = """\
from contextlib import asynccontextmanager

from fastapi import FastAPI
from slosh.asgi import Slosh

live = Slosh()


@asynccontextmanager
async def lifespan(app):
    live.stop_on_signals()
    yield
    await live.stop()


own = FastAPI(lifespan=lifespan)
own.mount("/live", live)
alone = live  # which is handed the lifespan itself
"""


def test_a_server_in_the_programs_own_loop_has_a_port_of_its_own(tmp_path: Path) -> None:
    """The program of the page: readers elsewhere are served while it goes about its work, and told of its end."""
    port = free_port()
    text = programs("../embedding")["both.py"].replace("8001", str(port))
    with Running((sys.executable, "-c", text), tmp_path, clean_environment()) as running:
        running.hear(f"readers at http://127.0.0.1:{port}")
        with Client(f"http://127.0.0.1:{port}") as client:
            with client.watch("kitchen", deadline=PATIENCE) as watch:
                first, second = next(watch), next(watch)
            assert [first.message, second.message] == [first.message, {"t": first.message["t"] + 1}]  # type: ignore[index]
            running.tell(signal.SIGINT)
            running.end()
        assert "Task was destroyed" not in running.output


@pytest.mark.parametrize("program", ["own", "alone"])
def test_a_signal_ends_readers_before_the_server_waits_for_them(tmp_path: Path, program: str) -> None:
    """The server waits for open requests, without a bound unless it is told one. Its readers try again."""
    need("module:uvicorn")
    need("module:fastapi")
    (tmp_path / "app.py").write_text(APP)
    notes: list[Item | Note] = []
    with Program(tmp_path, f"app:{program}") as running:
        prefix = "/live" if program == "own" else ""
        with Client(running.url + prefix) as client, client.watch("a", notes=True, deadline=PATIENCE) as watch:
            reader = threading.Thread(target=lambda: notes.extend(watch))
            reader.start()
            assert client.watchers("a", wait=PATIENCE)
            running.tell(signal.SIGTERM)
            running.end()
            assert "Traceback" not in running.output, running.output
            until(lambda: watch._reader.watching.failures, bool)
            assert reader.is_alive(), "it tries again"
            watch.close()
            reader.join()


def test_a_handler_that_was_there_is_called_and_one_that_ends_the_process_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import asyncio

    told: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    async def work() -> bool:
        live = Slosh()
        await live.start()
        signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        live.stop_on_signals()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(live._server.wait_closed(), PATIENCE)
        return True

    try:
        assert asyncio.run(work())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert told == [signal.SIGTERM]
