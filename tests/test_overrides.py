"""A method that stands in for one of its base names its parameters as that does, so that one thing has one name."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import slosh

PACKAGE = Path(slosh.__file__).parent


class Override(NamedTuple):
    """A method of a class, and the one of a base that it stands in for."""

    where: str
    named: list[str]
    expected: list[str]


def parameters(method: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = method.args
    return [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]


def methods(node: ast.ClassDef) -> dict[str, list[str]]:
    found = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return {each.name: parameters(each) for each in found if each.name != "__init__"}


@cache
def classes() -> dict[str, ast.ClassDef]:
    """All classes by name; a name that two of them have means neither."""
    found: dict[str, list[ast.ClassDef]] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return {name: nodes[0] for name, nodes in found.items() if len(nodes) == 1}


def bases(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """Those of slosh, near ones first."""
    for each in node.bases:
        name = each.value if isinstance(each, ast.Subscript) else each
        base = classes().get(name.id) if isinstance(name, ast.Name) else None
        if base is not None:
            yield base
            yield from bases(base)


def overrides() -> Iterator[Override]:
    for name, node in classes().items():
        for base in bases(node):
            theirs = methods(base)
            for method, named in methods(node).items():
                if method in theirs:
                    yield Override(f"{name}.{method}", named[: len(theirs[method])], theirs[method])


def test_there_are_overrides() -> None:
    assert "Guard.run_with" in {each.where for each in overrides()}


def test_an_override_names_its_parameters_as_the_base_does() -> None:
    differ = [each for each in overrides() if each.named != each.expected]
    assert not [f"{each.where} has {each.named}, its base has {each.expected}" for each in differ]
