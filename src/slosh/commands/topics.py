"""`slosh topics`: which topics are active."""

import json

import click

from slosh.commands.shared import ClientCommand, open_client, printable, url_option


class TopicsCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh topics", "a table"),
        ("slosh topics --json | jq -r .name", "an object a line, for programs"),
    )


@click.command(cls=TopicsCommand)
@click.option("--json", "as_json", is_flag=True, help="Print an object a line.")
@url_option
def topics(as_json: bool, url: str | None) -> None:  # noqa: FBT001 - click's flag
    """List the active topics: who watches them, their newest offset, and messages a second."""
    with open_client(url) as client:
        found = client.topics()
    if as_json:
        for each in found:
            click.echo(json.dumps(each, ensure_ascii=False))
        return
    rows = [
        (printable(str(each["name"])), str(each["watchers"]), str(each["max"]), f"{float(str(each['rate'])):.1f}")
        for each in found
    ]
    table = [("TOPIC", "WATCHERS", "MAX", "RATE/S"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        first = row[0].ljust(widths[0])
        click.echo("  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]))
