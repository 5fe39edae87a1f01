"""Text that people read has concrete subjects and the field's words, so that it is understood at the first reading.

Looked at: the pages, and of all Python files, those of tests too, docstrings, comments, texts (help, errors) and the
names of functions and classes.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases import each_of

TOP = Path(__file__).parent.parent
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
FOLDERS = ("src", "tests", "benchmarks", "feeders", "example", "examples")
SOURCES = sorted(file for folder in FOLDERS for file in (TOP / folder).rglob("*.py") if file != Path(__file__))

BEGINS = r"(?:^|[.!?:] |\* |\| |# )"
"""Where a sentence begins."""
SUBJECT = rf"{BEGINS}(Who|Whoever|Whatever|Nobody)\b(?![^.\n]*\?)"
"""No concrete noun as the subject. In tests a promise may be short: only the words are looked at there."""
CLAUSE = rf"{BEGINS.replace('|# ', '')}What\b(?![^.|\n]*\?)"
"""A clause as the subject, in pages. A heading may be one."""
CLAUSE_IN_CODE = CLAUSE.replace("^|", "")
"""The same in docstrings and comments, which may begin with a clause that says what something gives."""
BANNED = {
    SUBJECT: "begin with the client, the watcher, the caller: a noun",
    CLAUSE: "begin with the messages, the requests, the cost: a noun",
    CLAUSE_IN_CODE: "begin with the messages, the requests, the cost: a noun",
    r"\b(going|goes|go|went) down\b": "shut down",
    r"\bsigns? of life\b": "heartbeat",
    r"\banew\b": "again",
    r"\bto life\b": "created",
    r"\bowe[sd]?\b": "must call",
    r"\bat hand\b": "open already",
    r"\b(is|are) let go\b|\blet go of\b": "removed, released, dropped",
    r"\bis whose\b": "belongs to",
    r"\b(observer|onlooker|expectant)s?\b": "listener",
    r"\b(the|an) edge\b": "the HTTP server, or the server's state",
    r"\bjudge[sd]? (a|the|each|every) heads?\b": "parse",
    r"\b(four|every|each|that) doors?\b": "entry point, or source of settings",
}
"""What is not written, as a pattern, and what to write instead."""
EXCEPTIONS: dict[str, str] = {}
"""Text that may stay, as `file: words`, each with its reason."""


def texts(file: Path) -> Iterator[str]:
    """What a person reads in a file, a piece at a time."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        yield from re.sub(r"```.*?```", "", text, flags=re.DOTALL).split("\n")
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (line.strip() for line in node.value.split("\n"))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name.replace("_", " ")
    # Comments. A text with such a mark is looked at twice, which is quicker than to tell it from a comment.
    yield from re.findall(r"#[# ]*(.*)", text)


def named(file: Path) -> str:
    return str(file.relative_to(TOP))


def test_it_is_plain() -> None:
    found = [
        f"{named(file)}: {text[match.start() : match.start() + 100]!r}: {instead}"
        for file in (*(page for page in PAGES if page.name != "CHANGELOG.md"), *SOURCES)
        for text in ["\n".join(texts(file))]  # a line for each
        for pattern, instead in BANNED.items()
        if pattern != SUBJECT or file.suffix == ".md" or file.is_relative_to(TOP / "src")
        if pattern != CLAUSE or file.suffix == ".md"
        if pattern != CLAUSE_IN_CODE or file.is_relative_to(TOP / "src")
        for match in re.finditer(pattern, text, re.MULTILINE)
        if f"{named(file)}: {match[0].strip()}" not in EXCEPTIONS
    ]
    assert not found, "\n".join(found)


@each_of(
    "text",
    [
        "Whoever connects may read.",
        "It waits. Nobody is told.",
        "The server goes down.",
        "It owes a `stop`.",
        "The topic comes to life.",
        "expectants of a",
        "It waits. What comes behind it waits too.",
    ],
)
def test_what_is_banned_is_found(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in BANNED)


@pytest.mark.parametrize(
    "text", ["Who may do this?", "The node is shut down.", "It says nobody listens.", "What is it?"]
)
def test_what_is_allowed_is_not_found(text: str) -> None:
    assert not any(re.search(pattern, text) for pattern in BANNED)
