"""What each command's help says beyond its options, and the one table of exit codes."""

import re
from pathlib import Path

import click
from click.testing import CliRunner

from slosh.cli import Commands, main
from slosh.commands import teaching
from slosh.commands.teaching import EXITS, TeachingCommand
from tests.cases import each_of

PAGE = Path(__file__).parents[2] / "docs" / "shell.md"


def commands() -> list[str]:
    assert isinstance(main, Commands)
    return main.list_commands(click.Context(main))


@each_of("name", commands())
def test_each_command_teaches_by_examples_that_its_parser_takes(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert "Examples:" in done.output
    assert f"slosh {name}" in done.output.partition("Examples:")[2]


@each_of("name", commands())
def test_the_options_of_each_example_exist(name: str) -> None:
    assert isinstance(main, Commands)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    for example, _ in getattr(command, "examples", ()):
        own = re.search(rf"slosh {name}\b([^|)]*)", example)
        assert own is not None, example
        assert set(re.findall(r"(?<=\s)--[a-z-]+", own[1])) <= known, example


def test_the_first_help_is_short_and_shows_first_steps() -> None:
    said = CliRunner().invoke(main, ["--help"]).output
    assert len(said.splitlines()) <= 40
    for word in ("slosh serve", "slosh sub kitchen", "slosh pub kitchen"):
        assert word in said
    for name in commands():
        assert re.search(rf"^  {name}  +\S", said, flags=re.MULTILINE), name


def test_the_page_has_the_table_of_exit_codes() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("| exit code | meaning |")[2].partition("\n\n")[0]
    told = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines()[2:]]
    assert told == list(EXITS)


def test_each_code_has_one_row_and_each_command_names_codes_of_the_table() -> None:
    codes = {str(value) for name, value in vars(teaching).items() if name.startswith("EXIT_")}
    rows = [code for code, _ in EXITS]
    assert sorted(rows) == sorted({*codes, "0"})
    assert isinstance(main, Commands)
    for name in commands():
        command = main.get_command(click.Context(main), name)
        if isinstance(command, TeachingCommand):
            assert set(command.exits) <= set(rows), name
