"""The programs of a guide, as a person copies them from its page."""

import re
import sys
from pathlib import Path

from benchmarks.ports import free_port
from tests.running import Running, clean_environment

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
READY = r"Uvicorn running on|Listening at"


def programs(page: str) -> dict[str, str]:
    """The blocks of a page that have a title, by their titles. `../embedding` is a page beside the guides."""
    text = (GUIDES / f"{page}.md").read_text(encoding="utf-8")
    return dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', text, flags=re.DOTALL | re.MULTILINE))


def copy(page: str, folder: Path) -> dict[str, str]:
    """Write them into files of those names."""
    found = programs(page)
    for title, text in found.items():
        file = folder / title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return found


class Program(Running):
    """A module of a guide under a server.

    Attributes:
        url: its address.
    """

    def __init__(self, folder: Path, module: str, **environment: str) -> None:
        port = free_port()
        words = ("uvicorn", module, "--port", str(port), "--no-access-log")
        super().__init__((sys.executable, "-m", *words), folder, clean_environment(**environment))
        self.url = f"http://127.0.0.1:{port}"
        self.hear(READY)
