"""Imports run downwards only, and the core knows nothing of sockets, clocks, loops, Redis or Twisted."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import slosh

PACKAGE = Path(slosh.__file__).parent

# From the ground up; a module may import from its own level and from those before it.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"slosh"}),  # the package itself: the version
    frozenset({"slosh.errors", "slosh.compiled", "slosh.durations"}),
    frozenset({"slosh.setting"}),
    frozenset({"slosh.settings"}),
    frozenset({"slosh.core"}),
    frozenset({"slosh.engine"}),
    frozenset({"slosh.web"}),
    frozenset({"slosh.listening", "slosh.startup"}),
    frozenset({"slosh.server"}),
    frozenset({"slosh.signals"}),
    frozenset({"slosh.doors", "slosh.settings_page", "slosh.workers"}),
    frozenset({"slosh.client"}),  # knows of the core how a place is spelled, and nothing of the server
    frozenset({"slosh.commands"}),
    frozenset({"slosh.cli", "slosh.service", "slosh.testing"}),
    frozenset({"slosh.__main__"}),
)
OUTSIDE = frozenset(
    {"asyncio", "httptools", "redis", "select", "socket", "ssl", "threading", "time", "twisted", "uvloop"}
)
"""What core/ decides without."""


def modules() -> list[str]:
    return sorted(
        ".".join(("slosh", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for file in PACKAGE.rglob("*.py")
    )


def level(module: str) -> int:
    """How high a module stands; a part of a folder stands where the folder does."""
    for height, names in enumerate(LEVELS):
        if any(module == name or (name != "slosh" and module.startswith(f"{name}.")) for name in names):
            return height
    raise AssertionError(f"{module} has no level yet: give it one in tests/test_layers.py")


def imports(module: str) -> Iterator[str]:
    """What a module imports when it runs; names that only the type checker needs bind nobody."""
    file = PACKAGE.joinpath(*module.split(".")[1:])
    source = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    waiting: list[ast.AST] = [ast.parse(source.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            inside = {f"{base}.{each.name}" for each in node.names} & set(modules())
            yield from inside or {base}
        waiting.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_nothing_from_above_itself(module: str) -> None:
    above = [name for name in imports(module) if name.split(".")[0] == "slosh" and level(name) > level(module)]
    assert not above


@pytest.mark.parametrize("module", [each for each in modules() if each.startswith("slosh.core")])
def test_the_core_decides_without_the_outside(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & OUTSIDE
