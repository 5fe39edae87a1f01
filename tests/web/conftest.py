"""Sites for the tests of the HTTP server, ended when their test is."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.web.harness import Site
from tests.web.transports import STREAMS, TRANSPORTS, Reader

MakeSite = Callable[..., Site]

CONTENT = bytes(range(256)) * 4
"""Of the binary file in the document root."""


@pytest.fixture
def make_site() -> Iterator[MakeSite]:
    """Makes sites with settings of one's own."""
    with ExitStack() as stack:

        def make(*args: Any, **kwargs: Any) -> Site:
            return stack.enter_context(closing(Site(*args, **kwargs)))

        yield make


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site with all settings at their defaults."""
    return make_site()


@pytest.fixture(params=TRANSPORTS, ids=lambda each: each.transport)
def transport(request: pytest.FixtureRequest) -> type[Reader]:
    """Every way of reading."""
    found: type[Reader] = request.param
    return found


@pytest.fixture(params=STREAMS, ids=lambda each: each.transport)
def stream(request: pytest.FixtureRequest) -> type[Reader]:
    """Every way of reading in which one answer has no end."""
    found: type[Reader] = request.param
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A document root, beside a secret that must not be seen."""
    root = tmp_path / "root"
    (root / "folder" / "deep").mkdir(parents=True)
    (root / "empty folder").mkdir()
    (root / ".git").mkdir()
    (tmp_path / "root-secret").mkdir()  # its name begins with that of the root (CVE-2023-29159)
    for name, content in {
        "root/index.html": b"<p>home",
        "root/folder/index.html": b"<p>folder",
        "root/folder/file.bin": CONTENT,
        "root/empty.txt": b"",
        "root/a b+c%d.txt": b"odd",
        "root/\N{LATIN SMALL LETTER E WITH ACUTE}.txt": b"accent",
        "root/.env": b"secret",
        "root/.git/config": b"secret",
        "secret.txt": b"secret",
        "root-secret/file.txt": b"secret",
    }.items():
        (tmp_path / name).write_bytes(content)
    for link, to in {
        "root/inside.bin": "folder/file.bin",
        "root/link": "folder",
        "root/out.txt": "../secret.txt",
        "root/absolute.txt": str(tmp_path / "secret.txt"),
        "root/outside": "..",
        "root/sideways": "../root-secret",
        "root/hidden": ".git",
        "root/hidden.txt": ".env",
        "root/loop": "loop",
        "root/dangling": "nothing",
    }.items():
        (tmp_path / link).symlink_to(to)
    return root


@pytest.fixture
def files(make_site: MakeSite, root: Path) -> Site:
    """A site that serves it, an hour after it was written."""
    site = make_site(root)
    site.server.wall = lambda: time.time() + 3600
    return site
