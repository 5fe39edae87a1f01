"""Scripts are called by what Redis calls them."""

import ast
import itertools
import re
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest

import slosh
from slosh.engine.redis.scripts import ALL, FACTS, PUBLISH, SYNC, Script
from tests.stores.server import Store

FOLDER = Path(slosh.__file__).parent / "engine" / "redis"


def test_a_script_is_called_by_the_digest_of_its_text() -> None:
    assert SYNC.call(["a", "b"], "c", 3) == ("EVALSHA", sha1(SYNC.text.encode()).hexdigest(), 2, "a", "b", "c", 3)


def test_they_share_what_stands_before_each() -> None:
    assert len({script.digest for script in ALL}) == len(ALL)
    assert all(script.text.startswith("-- What the scripts share") for script in ALL)


def test_a_server_knows_each_by_that_digest(store: Store) -> None:
    for script in ALL:
        assert store.ask("SCRIPT", "LOAD", script.text) == script.digest.encode()


def test_a_script_is_a_file_beside_the_shared_one() -> None:
    assert Script("publish").text.count("local function clock") == 1


@pytest.mark.parametrize("script", ["publish", "sync", "facts", "enlist", "listed"])
def test_a_script_names_what_it_is_given_in_its_first_line(script: str) -> None:
    text = (FOLDER / "lua" / f"{script}.lua").read_text(encoding="utf-8")
    named = re.search(r"unpack\(ARGV, 1, (\d+)\)", text)
    assert named is not None
    assert int(named[1]) == len(Script(script).arguments)
    assert "ARGV[" not in text.partition("unpack(")[2].replace("ARGV[at", "")


def test_where_the_messages_begin_is_behind_what_has_a_name() -> None:
    text = (FOLDER / "lua" / "publish.lua").read_text(encoding="utf-8")
    assert f"local FIRST = {len(PUBLISH.arguments) + 1}\n" in text


def calls() -> Iterator[tuple[str, int]]:
    """Each call of a script in the source, and how many arguments it gives before the messages."""
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"PUBLISH.call", "SYNC.call", "FACTS.call"}:
                plain = list(itertools.takewhile(lambda each: not isinstance(each, ast.Starred), node.args[1:]))
                rest = node.args[1 + len(plain) :]
                if all(isinstance(each, ast.Starred) for each in rest):
                    yield ast.unparse(node.func).partition(".")[0], len(plain)


def test_a_caller_gives_a_script_as_much_as_it_names() -> None:
    scripts = {"PUBLISH": PUBLISH, "SYNC": SYNC, "FACTS": FACTS}
    found = list(calls())
    assert {name for name, _ in found} == scripts.keys()
    assert not [(name, count) for name, count in found if count != len(scripts[name].arguments)]
