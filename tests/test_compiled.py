"""The compiled build: which modules it compiles, that they are the ones used, and that it is seen which build runs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import distribution
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import slosh
from slosh import __version__
from slosh.compiled import describe_build, describe_version, is_compiled, mypyc_attr
from tests.cases import each_of

ROOT = Path(__file__).parent.parent


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def patterns() -> list[str]:
    """What pyproject.toml lists to be compiled, below src."""
    listed: list[str] = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return listed


def modules() -> list[str]:
    files = {file.relative_to(ROOT / "src") for pattern in patterns() for file in (ROOT / "src").glob(pattern)}
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files)


@each_of("pattern", patterns())
def test_what_is_to_be_compiled_is_there(pattern: str) -> None:
    assert list((ROOT / "src").glob(pattern)), f"{pattern} names no module: the compiled wheel cannot be built"


@each_of("module", modules())
def test_a_module_is_compiled_in_the_compiled_build_and_in_no_other(module: str) -> None:
    file = import_module(module).__file__
    assert file is not None
    assert file.endswith(tuple(EXTENSION_SUFFIXES)) == is_compiled()


def interpreted_subclasses() -> Iterator[tuple[str, str]]:
    """Each class outside the list with a base in it, and that base."""
    listed = set(modules())
    for found in walk_packages(slosh.__path__, "slosh."):
        if found.name not in listed and not found.name.startswith("slosh.example"):
            for kind in vars(import_module(found.name)).values():
                if isinstance(kind, type) and kind.__module__ == found.name:
                    for base in kind.__mro__:
                        if base.__module__ in listed:
                            yield f"{found.name}.{kind.__name__}", f"{base.__module__}.{base.__name__}"


def test_a_compiled_class_is_the_base_of_others_only_if_the_compiler_is_told() -> None:
    """Else the first object of the other class raises a TypeError, in the compiled build alone."""
    told = {
        f"{module}.{node.name}"
        for module in modules()
        for path in [Path("src", *module.split("."))]
        for file in [ROOT / path.with_suffix(".py"), ROOT / path / "__init__.py"]
        if file.is_file()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        if any("allow_interpreted_subclasses=True" in ast.unparse(each) for each in node.decorator_list)
    }
    assert told
    assert not [(kind, base) for kind, base in interpreted_subclasses() if base not in told]


def test_the_version_says_which_build_it_is() -> None:
    assert describe_version() == (f"{__version__} (compiled)" if is_compiled() else __version__)


def test_the_ready_line_says_how_to_get_the_faster_build() -> None:
    assert describe_build() == "compiled" if is_compiled() else "make wheel" in describe_build()


def test_the_wheel_says_on_which_systems_it_runs() -> None:
    """A tag `linux_x86_64` would be refused by the package index: it says nothing of the C library."""
    tags = re.findall(r"^Tag: (\S+)$", distribution("slosh-server").read_text("WHEEL") or "", re.MULTILINE)
    if not is_compiled():
        assert tags == ["py3-none-any"]
    elif sys.platform == "linux":
        assert tags
        assert all(re.search(r"-(many|musl)linux", tag) for tag in tags)


def test_each_python_that_is_named_has_a_compiled_wheel() -> None:
    named = {
        re.sub(r"\D", "", each.rpartition("::")[2]) for each in project()["project"]["classifiers"] if ":: 3." in each
    }
    built = set(re.findall(r"cp(3\d+)-", project()["tool"]["cibuildwheel"]["build"]))
    assert named <= built


def test_what_is_said_to_the_compiler_means_nothing_to_python() -> None:
    class Plain:
        """Just a class."""

    assert mypyc_attr(allow_interpreted_subclasses=True)(Plain) is Plain
