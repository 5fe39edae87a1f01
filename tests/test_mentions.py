"""What a docstring or a comment names between backticks is there: a module, a function, a parameter, a setting."""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import slosh

PACKAGE = Path(slosh.__file__).parent
TOP = Path(__file__).parent.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
FOREIGN = {
    "Expect": "a header field",
    "uv__emfile_trick": "of libuv",
    "no_context_takeover": "of RFC 7692",
    "sentinelIsValidMasterName": "of Redis",
    "b64token": "of RFC 6750",
    "SLOSH_NAME": "stands for any",
    "intern": "of the standard library, as the next two",
    "SSLSocket": "",
    "getpeercert": "",
}
"""Names of others, which our code does not spell."""


@cache
def spelled() -> Counter[str]:
    """How often each word stands anywhere in the package."""
    files = (file for file in PACKAGE.rglob("*") if file.suffix in {".py", ".js", ".lua", ".html", ".css"})
    return Counter(re.findall(r"\w+", "\n".join(file.read_text(encoding="utf-8") for file in files)))


def prose(text: str) -> Iterator[str]:
    """The docstrings and the comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def strangers(text: str) -> Iterator[str]:
    """Names between backticks that stand nowhere else."""
    for name in re.findall(r"`([^`\n]+)`", "\n".join(prose(text))):
        if re.fullmatch(r"[\w./-]+\.(py|lua|js)", name):
            if not any(PACKAGE.rglob(name.rpartition("/")[2])) and not (TOP / name).is_file():
                yield name
        elif re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*(\(\))?", name):
            parts = name.removesuffix("()").split(".")
            yield from (part for part in parts if spelled()[part] < 2 and part not in FOREIGN)


def test_what_is_named_is_there() -> None:
    found = {str(file): list(strangers(file.read_text(encoding="utf-8"))) for file in SOURCES}
    assert not {file: names for file, names in found.items() if names}


@pytest.mark.parametrize(
    "text", ['"""See `redis_mirror` + "s`."""', "# as `gone.py` does", '"""Call `no_such_thing()`."""']
)
def test_what_is_not_there_is_found(text: str) -> None:
    assert list(strangers(text.replace('` + "', "")))
