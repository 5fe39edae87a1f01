"""The pages of the README, as they stand there, in a browser: messages, losses, and that a topic started again."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.e2e.conftest import Slosh

need("module:playwright")
from playwright.sync_api import expect  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

README = Path(__file__).parents[2] / "README.md"
PAGES = re.findall(r"```html\n(<!doctype html>.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", PAGES, ids=["follow", "EventSource"])
def test_a_page_shows_messages_losses_and_a_new_start(
    text: str, serve: Callable[..., Slosh], new_page: "Callable[[str], Page]", tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(text, encoding="utf-8")
    slosh = serve(root=tmp_path, queue=2)
    page = new_page(f"{slosh.url}/")
    shown = page.locator("#out")
    slosh.post_when_watched("kitchen", 21)
    expect(shown).to_contain_text("21")
    slosh.process.end(signal.SIGKILL)
    slosh.start()
    expect(shown).to_contain_text("the topic started again")
    slosh.post_when_watched("kitchen", 22)
    expect(shown).to_contain_text("22")
    assert "[" not in shown.inner_text(), "each message by itself, and no empty answer"
