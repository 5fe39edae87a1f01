"""`slosh check`: whether a server would start with these settings, and every mistake in them."""

import asyncio
import sys
from dataclasses import replace
from typing import Any

import click

from slosh.commands.progress import count
from slosh.commands.serve import EXIT_SETTING, check_system, option_of
from slosh.commands.teaching import FILE, SettingsCommand, TeachingCommand
from slosh.descriptors import raise_file_limit
from slosh.errors import SloshError
from slosh.listening import find_impossible
from slosh.settings.row import hide_login
from slosh.settings.sources import find_mistakes, load
from slosh.settings.table import TABLE, Settings


class CheckCommand(SettingsCommand, TeachingCommand):
    """The command, with its examples."""

    examples = (
        ("slosh check", "slosh.toml in this folder, and the environment"),
        ("slosh check --config /etc/slosh.toml && systemctl reload slosh", "reload only if the file has no mistake"),
        ("slosh check --host 0.0.0.0", "whether it would start with this option"),
    )


@click.command(cls=CheckCommand, params=[option_of(row) for row in TABLE])
@click.option("--config", type=FILE, help="Settings file, TOML.  [default: slosh.toml here, where there is one]")
def check(config: str | None, **said: Any) -> None:  # noqa: ANN401 - one keyword for each row of the table
    """Check slosh.toml, the environment and these options, as `slosh serve` reads them, and start nothing.

    Prints every mistake, and exits with 2 if there is one. Reads the files that the settings name (certificates, keys,
    tokens), but opens no port, and asks no store.
    """
    mistakes = find_mistakes(said, config=config)
    loaded = None if mistakes else load(said, config=config)
    limit = ""
    if loaded is not None:
        try:
            limit = raise_file_limit(loaded.settings)
            asyncio.run(_try(loaded.settings))
        except SloshError as error:
            mistakes.append(error.detail)
        mistakes += find_impossible(loaded.settings)
    for mistake in mistakes:
        click.echo(f"Error: {hide_login(mistake)}", err=True)
    if mistakes:
        click.echo(f"{count(len(mistakes), 'mistake')} found.", err=True)
        sys.exit(EXIT_SETTING)
    if loaded is not None:
        for warning in filter(None, (*loaded.warnings, limit)):
            click.echo(f"Warning: {warning}", err=True)
        sources = ", ".join([*sorted(loaded.sources.values()), *loaded.tables]) or "nothing, so all defaults hold"
        click.echo(f"All is well. Set: {sources}.")


async def _try(settings: Settings) -> None:
    """Make all that a server is made of, without its sockets and its store.

    Raises:
        SloshError: it cannot be made.
    """
    from slosh.private_store import find_program  # noqa: PLC0415 - only if the settings are sound
    from slosh.server import Server  # noqa: PLC0415 - as above

    check_system(settings)
    if settings.workers > 1 and settings.engine == "memory":
        find_program()
    Server(settings)  # looks at the engine's address
    server = Server(replace(settings, engine="memory", workers=1))
    await server.start(listening=False)
    await server.stop()
