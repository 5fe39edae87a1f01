"""Imports run downwards only, and the core knows nothing of sockets, clocks, loops, Redis or Twisted.

Imports for the type checker alone count like all others: two modules that need each other's types belong together.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import slosh
from tests.cases import each_of

PACKAGE = Path(slosh.__file__).parent
ARCHITECTURE = Path(__file__).parents[1] / "ARCHITECTURE.md"


def inside(folder: str, *names: str) -> frozenset[str]:
    """Modules of one folder that share a level."""
    return frozenset(f"slosh.{folder}.{name}" for name in names)


# From the ground up. A module may import from its own level and from those before it. A folder stands for all of its
# modules that have no level of their own.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset(
        {"slosh.errors", "slosh.version", "slosh.durations", "slosh.logs", "slosh.schemes", "slosh.standard_files"}
    ),
    frozenset({"slosh.compiled", "slosh.stalls"}),
    # The core. Settings and rights name topics, so that much of it stands below them.
    inside("core", "cursor", "names", "patterns"),
    frozenset({"slosh.access"}),
    inside("settings", "row"),
    inside("settings", "classes", "fields", "relations"),
    inside("settings", "table") | {"slosh.settings"},
    inside("settings", "meanings"),
    inside("settings", "sources"),
    inside("core", "budget", "classes", "histogram", "members", "timers"),
    inside("core", "buckets"),
    inside("core", "groups", "window"),
    inside("core", "rollups"),
    inside("core", "topic"),
    inside("core", "deadlines", "histories", "portions", "reading", "topics"),
    inside("core", "listeners", "reclaiming"),
    inside("core", "waking"),
    inside("core", "rings"),
    inside("core", "hub"),
    inside("core", "subscription"),
    inside("core", "several") | {"slosh.core"},
    # Where messages live.
    frozenset({"slosh.engine", "slosh.engine.base"}),
    inside("engine", "idempotency"),
    inside("engine", "memory"),
    inside("engine", "snapshot"),
    # How a store is reached: this knows no script and no topic.
    inside("engine.redis.client", "address", "backoff", "command", "refusals") | {"slosh.engine.redis.client"},
    inside("engine.redis.client", "outage", "wire"),
    inside("engine.redis.client", "listener"),
    inside("engine.redis.client", "link"),
    inside("engine.redis.client", "servers"),
    inside("engine.redis.client", "cluster"),
    inside("engine.redis", "keys", "mirror", "scripts", "time") | {"slosh.engine.redis"},
    inside("engine.redis", "view"),
    inside("engine.redis", "doubts", "facts"),
    inside("engine.redis", "collecting", "foreign", "syncing"),
    inside("engine.redis", "directory"),
    inside("engine.redis", "mirrors"),
    inside("engine.redis", "engine"),
    # An HTTP/1.1 server, which knows no topics.
    inside(
        "http1",
        "bodies",
        "exchange",
        "lag",
        "lingering",
        "outlet",
        "phases",
        "proxy_protocol",
        "response",
        "shortage",
        "tls",
        "turns",
    )
    | {"slosh.http1"},
    inside("http1", "fields"),
    inside("http1", "head"),
    inside("http1", "accept", "proxies", "refusal_log"),
    inside("http1", "access_log"),
    inside("http1", "state"),
    inside("http1", "wire"),
    inside("http1", "accepting", "connection", "drain"),
    inside("http1", "arrivals", "handler", "reserve"),
    inside("http1", "heads"),
    inside("http1", "request_reader"),
    inside("http1", "protocol"),
    # Topics over HTTP.
    inside(
        "web",
        "pages.conditions",
        "pages.error_page",
        "admission.held",
        "admission.hosts",
        "jsontext",
        "later",
        "admission.origins",
        "query",
        "admission.shares",
    )
    | {"slosh.web", "slosh.web.overview.process"},
    inside("web.readers", "cookies", "envelope", "formats", "room", "state")
    | {"slosh.web.publishing.longtext", "slosh.web.readers.websocket", "slosh.web.readers.websocket.deflate"},
    inside("web", "publishing.checking", "admission.credentials", "pages.files", "publishing.post_head")
    | {"slosh.web.readers.request", "slosh.web.readers.websocket.conversation"},
    inside(
        "web", "pages.assets", "admission.gate", "publishing.publish", "refusals", "readers.opening", "readers.shared"
    ),
    inside(
        "web",
        "publishing.ends",
        "admission.guard",
        "pages.reserved",
        "publishing.publish_several",
        "admission.sign_in",
        "readers.history",
        "readers.longpoll",
        "readers.stream",
    ),
    inside("web.readers", "websocket.websocket") | {"slosh.web.readers"},  # transports
    inside("web", "overview.pattern_list"),
    inside("web", "overview.topic_list", "overview.topic_news", "overview.watcher_count"),
    inside("web", "routes"),
    # A server, and the programs around it.
    frozenset({"slosh.descriptors", "slosh.listening", "slosh.parts", "slosh.reloading", "slosh.startup"}),
    frozenset({"slosh.server"}),
    frozenset({"slosh.dump"}),
    frozenset({"slosh.private_store", "slosh.signals", "slosh.supervisor", "slosh.takeover"}),
    frozenset({"slosh.settings.page", "slosh.workers"}),
    frozenset({"slosh.client"}),  # knows of the core how a cursor is spelled, and nothing of the server
    frozenset({"slosh.asgi", "slosh.commands"}),
    frozenset({"slosh.cli", "slosh.service", "slosh.testing"}),
    frozenset({"slosh.manual"}),
    frozenset({"slosh.__main__", "slosh"}),  # the package exports what is loaded when first asked for
)
OUTSIDE = frozenset(
    {"asyncio", "httptools", "redis", "select", "socket", "ssl", "threading", "time", "twisted", "uvloop"}
)
"""What core/ decides without."""
STRICT = ("slosh.core", "slosh.engine.redis", "slosh.http1", "slosh.web")
"""Folders in which each module has a level of its own."""


@cache
def modules() -> list[str]:
    return sorted(
        ".".join(("slosh", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for file in PACKAGE.rglob("*.py")
    )


HEIGHTS = {name: height for height, names in enumerate(LEVELS) for name in names}


def level(module: str) -> int:
    """How high a module stands; a part of a folder stands where the folder does, unless it has a level of its own."""
    name = module
    while name not in HEIGHTS:
        name = name.rpartition(".")[0]
        assert name not in {"", "slosh", *STRICT}, f"{module} has no level yet: give it one in tests/test_layers.py"
    return HEIGHTS[name]


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports, wherever the import stands."""
    file = PACKAGE.joinpath(*module.split(".")[1:])
    source = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    return frozenset(_imports(ast.parse(source.read_text(encoding="utf-8"))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            parts = {f"{base}.{each.name}" for each in node.names} & set(modules())
            yield from parts or {base}


def test_a_module_imports_nothing_from_above_itself() -> None:
    above = [
        f"{module} imports {name}"
        for module in modules()
        for name in imports(module)
        if name.split(".")[0] == "slosh" and level(name) > level(module)
    ]
    assert not above


def test_a_level_names_modules_that_there_are() -> None:
    assert not frozenset[str]().union(*LEVELS) - set(modules())


def test_no_modules_import_each_other_in_a_circle() -> None:
    """What imports nothing that is left is taken away, until nothing is left; a circle stays."""
    left = {module: imports(module) & set(modules()) - {module} for module in modules()}
    while free := [module for module, needed in left.items() if not needed & left.keys()]:
        for module in free:
            del left[module]
    assert not left


def test_the_core_decides_without_the_outside() -> None:
    for module in modules():
        if module.startswith("slosh.core"):
            assert not {name.split(".")[0] for name in imports(module)} & OUTSIDE, module


@pytest.mark.parametrize(
    ("folder", "unknown"),
    [
        (
            "slosh.http1",
            ("slosh.web", "slosh.engine", "slosh.core.hub", "slosh.core.reading", "slosh.core.subscription"),
        ),
        ("slosh.engine.redis.client", ("slosh.core", "slosh.engine.redis.scripts", "slosh.engine.base")),
        ("slosh.access", ("slosh.http1", "slosh.web", "slosh.engine")),
        ("slosh.client", ("slosh.http1", "slosh.web", "slosh.engine", "slosh.server", "slosh.settings")),
    ],
)
def test_a_folder_does_not_know_what_is_no_affair_of_it(folder: str, unknown: tuple[str, ...]) -> None:
    known = {name for module in modules() if f"{module}.".startswith(f"{folder}.") for name in imports(module)}
    assert not [name for name in known if f"{name}.".startswith(tuple(f"{each}." for each in unknown))]


class Layer(NamedTuple):
    """A row of the table in ARCHITECTURE.md."""

    name: str
    files: tuple[str, ...]
    imports: frozenset[str]


@cache
def told_layers() -> list[Layer]:
    """The table of layers in ARCHITECTURE.md, from the top."""
    rows: list[Layer] = []
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("## Layers")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("|") and "`" in line:
            name, files, _, below = (cell.strip() for cell in line.strip("|").split("|"))
            found = tuple(re.findall(r"`([^`]+)`", files))
            if name:
                rows.append(Layer(name, found, frozenset(below.split(", "))))
            else:
                rows[-1] = rows[-1]._replace(files=rows[-1].files + found)
    return rows


def owner(module: str) -> str:
    """The layer that a module belongs to: the entry that names it most exactly."""
    path = module.removeprefix("slosh.").replace(".", "/") + ".py"
    folder = path.removesuffix(".py") + "/"
    found = [
        (len(file), layer.name)
        for layer in told_layers()
        for file in layer.files
        if path == file or (file.endswith("/") and (path.startswith(file) or folder == file))
    ]
    return max(found)[1] if found else ""


PUBLIC = frozenset({"slosh", "slosh.__main__"})
"""What stands above the table: the names that the package exports."""


def test_the_architecture_places_each_module() -> None:
    nowhere = [module for module in modules() if module not in PUBLIC and not owner(module)]
    assert not nowhere, "these stand in no layer of ARCHITECTURE.md"


@each_of("layer", told_layers(), ids=lambda layer: layer.name)
def test_the_architecture_says_what_a_layer_imports(layer: Layer) -> None:
    mine = [module for module in modules() if module not in PUBLIC and owner(module) == layer.name]
    needed = {owner(name) for module in mine for name in imports(module) & set(modules()) - PUBLIC} - {layer.name}
    order = [each.name for each in told_layers()]
    assert ", ".join(name for name in order if name in needed) == ", ".join(n for n in order if n in layer.imports)
    assert all(order.index(name) > order.index(layer.name) for name in needed), "a layer imports from above itself"


def test_the_architecture_names_only_files_that_there_are() -> None:
    assert not [file for layer in told_layers() for file in layer.files if not (PACKAGE / file).exists()]
