"""`slosh topics`: which topics are active, and which settings hold for one."""

import json
from collections.abc import Iterator
from typing import Final

import click

from slosh.client.addresses import refuse_address
from slosh.commands.shared import MORE_TO_LIST, ClientCommand, lists_more, open_client, printable, tell, url_option
from slosh.commands.teaching import FILE
from slosh.core.classes import DEFAULT
from slosh.core.names import check_name
from slosh.core.patterns import matches
from slosh.errors import SloshError
from slosh.settings.classes import TOPICS, called
from slosh.settings.row import show
from slosh.settings.sources import load
from slosh.settings.table import TABLE

_PATIENCE: Final = 2.0
"""Seconds until a server that does not answer is reported. A list takes some milliseconds."""


class TopicsCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh topics", "a table"),
        ("slosh topics --explain gen/a1", "which class of slosh.toml that topic has, and why"),
        ("slosh topics --json | jq -r .name", "an object a line, for programs"),
    )


@click.command(cls=TopicsCommand)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.option(
    "--explain",
    "name",
    metavar="TOPIC",
    help="Tell which class this topic has, and why, from the settings file; no server is asked.",
)
@click.option("--config", type=FILE, help="Settings file for --explain, TOML.  [default: slosh.toml here]")
@url_option
def topics(as_json: bool, name: str | None, config: str | None, url: str | None) -> None:  # noqa: FBT001 - click's flag
    """List the active topics: the number of watchers, the newest offset, and messages a second, or `ended`."""
    if name is not None:
        click.echo("\n".join(_explain(name, config)))
        return
    with open_client(url, _PATIENCE) as client:
        found = client.topics()
        if lists_more(client):
            tell(MORE_TO_LIST)
    if as_json:
        for each in found:
            click.echo(json.dumps(each, ensure_ascii=False))
        return
    rows = [
        (
            printable(str(each["name"])),
            str(each["watchers"]),
            str(each["max"]),
            "ended" if each.get("ended") else f"{float(str(each['rate'])):.1f}",
        )
        for each in found
    ]
    table = [("TOPIC", "WATCHERS", "MAX", "RATE/S"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        first = row[0].ljust(widths[0])
        click.echo("  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]))


def _explain(name: str, config: str | None) -> Iterator[str]:
    """The lines that explain the class of a topic: one for each table, then the settings and their sources."""
    try:
        refuse_address(name)
        check_name(name)
        loaded = load({}, config=config)
    except SloshError as error:
        raise click.UsageError(error.detail) from error
    settings, sources = loaded.settings, loaded.sources
    found = ""
    for pattern in settings.topics:
        if matches(pattern, name):
            yield (
                f"late  {called(pattern)} matches it too, but comes after {called(found)}"
                if found
                else (f"yes   {called(pattern)} is the first that matches it")
            )
            found = found or pattern
        elif not found:
            yield f"no    {called(pattern)} does not match {printable(name)}"
    if not found:
        yield f"{printable(name)} has the class {DEFAULT}: " + (
            "no table matches it." if settings.topics else f'there are no tables, such as [{TOPICS}."gen/**"].'
        )
    own = settings.topics.get(found, {})
    for row in TABLE:
        if row.of_class:
            value = own.get(row.name, getattr(settings, row.name))
            source = called(found) if row.name in own else sources.get(row.name, "default")
            yield f"      {row.name:<12} {show(row, value):<10} {source}"
