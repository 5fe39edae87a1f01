"""A chart in a real JupyterLab and in a real Streamlit, in Chromium."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from benchmarks.ports import free_port
from tests.conftest import need
from tests.e2e.conftest import Slosh
from tests.running import Running, clean_environment, get

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

Context: TypeAlias = "Callable[[], BrowserContext]"
EXAMPLE = Path(__file__).parents[2] / "examples" / "streamlit"
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


#: Seconds for programs that load very much before they say or show anything.
PATIENCE = 150


def wait_for(program: Running, address: str) -> None:
    """Wait until a program answers at this address."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            get(address)
        except OSError:
            assert program.process.poll() is None, program.output
            assert time.monotonic() < deadline, program.output
            time.sleep(0.2)
        else:
            return


def opened(new_context: "Context", address: str) -> "Page":
    page = new_context().new_page()
    page.goto(address, timeout=PATIENCE * 1000, wait_until="commit")
    return page


def notebook(code: str) -> str:
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "a",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": code,
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    return json.dumps(
        {"cells": [{**cell, "outputs": list[str]()}], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    )


def test_a_chart_moves_in_jupyterlab(serve: Callable[..., Slosh], new_context: Context, tmp_path: Path) -> None:
    need("module:jupyterlab")
    need("module:anywidget")
    port = free_port()
    slosh = serve(origins=f"http://127.0.0.1:{port}")
    code = f'import slosh\nslosh.chart("kitchen", fields=["temp"], heading="Kitchen", server="{slosh.url}")'
    (tmp_path / "chart.ipynb").write_text(notebook(code), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    options = ["--IdentityProvider.token=", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={tmp_path}"]
    folder = str(tmp_path)
    home = clean_environment(HOME=folder, JUPYTER_CONFIG_DIR=folder, XDG_RUNTIME_DIR=folder)
    with Running([*command, *options], tmp_path, home) as lab:
        wait_for(lab, f"http://127.0.0.1:{port}/api")
        page = opened(new_context, f"http://127.0.0.1:{port}/doc/tree/chart.ipynb")
        # A cell that is run before its kernel is there stays as it is.
        expect(page.get_by_role("button", name=re.compile(r"\| Idle"))).to_be_visible(timeout=PATIENCE * 1000)
        cell = page.locator(".jp-CodeCell .cm-content").first
        cell.click(timeout=PATIENCE * 1000)
        page.keyboard.press("Shift+Enter")
        chart = page.locator("slosh-chart")
        expect(chart.locator("figcaption")).to_contain_text("Kitchen", timeout=PATIENCE * 1000)
        slosh.post_when_watched("kitchen", {"temp": 21.5, "rain": 1})
        expect(chart.locator(".key b")).to_have_text("21.5")
        slosh.post("kitchen", {"temp": 22.5})
        expect(chart.locator(".key b")).to_have_text("22.5")
        expect(chart.locator(".key")).to_have_count(1)


def test_a_chart_moves_in_streamlit(serve: Callable[..., Slosh], new_context: Context, tmp_path: Path) -> None:
    need("module:streamlit")
    port = free_port()
    slosh = serve(origins=f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "streamlit", "run", str(EXAMPLE / "app.py"), "--server.headless=true"]
    options = [f"--server.port={port}", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
    environment = clean_environment(HOME=str(tmp_path), SLOSH_URL=slosh.url)
    with Running([*command, *options], tmp_path, environment) as app:
        wait_for(app, f"http://127.0.0.1:{port}/")
        page = opened(new_context, f"http://127.0.0.1:{port}/")
        chart = page.frame_locator("iframe").locator("slosh-chart")
        expect(chart.locator("figcaption")).to_contain_text("kitchen", timeout=PATIENCE * 1000)
        slosh.post_when_watched("kitchen", {"temp": 21.5})
        expect(chart.locator(".key b")).to_have_text("21.5")
        page.get_by_label("Topic").fill("cellar")
        page.keyboard.press("Enter")
        slosh.post_when_watched("cellar", {"temp": 12})
        expect(chart.locator(".key b")).to_have_text("12")
