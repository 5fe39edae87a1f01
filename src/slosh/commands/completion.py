"""`slosh completion`: what a shell needs to complete slosh's commands, options and the names of topics.

click makes it of the commands' own parsers: a shell asks `slosh` itself, with a variable set, what may stand there.
"""

from typing import Final

import click
from click.shell_completion import get_completion_class

from slosh.commands.teaching import TeachingCommand

VARIABLE: Final = "_SLOSH_COMPLETE"
"""What click asks `slosh` by. It follows from the command's name."""


class CompletionCommand(TeachingCommand):
    """The command, with its examples."""

    examples = (
        ('eval "$(slosh completion bash)"', "in ~/.bashrc; bash 4.4 or newer"),
        ('eval "$(slosh completion zsh)"', "in ~/.zshrc, after compinit"),
        ("slosh completion fish | source", "in ~/.config/fish/config.fish"),
    )


@click.command(cls=CompletionCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes slosh's commands, options, and the names of active topics.

    The names come from the server of --url or SLOSH_URL, if it answers within a second.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}; there is one for bash, zsh and fish.")
    click.echo(kind(ctx.find_root().command, {}, "slosh", VARIABLE).source())
