"""`slosh doctor`: whether what stands in front of a slosh lets live data through.

Each check asks through the same way as a browser would, with a topic of its own that nobody else uses, and says in one
sentence what was seen. A check that cannot be made, because the one before it failed, is left out.
"""

import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import click

from slosh.client.addresses import find_url
from slosh.commands.checks import Finding, hold_poll, look
from slosh.commands.examining import Examination
from slosh.commands.progress import Progress, count
from slosh.commands.remedies import FRONTS, REMEDIES
from slosh.commands.shared import ClientCommand, has_colour, parse_duration, printable, url_option

EXIT_FAULTS: Final = 1


class DoctorCommand(ClientCommand):
    """The command, with its examples."""

    examples = (
        ("slosh doctor https://live.example", "all checks; holds a poll for 65 seconds"),
        ("slosh doctor https://live.example/slosh --hold 5s", "below a prefix; holds a poll for 5 seconds"),
        ("slosh doctor https://live.example --origin https://app.example", "for pages of another origin"),
    )
    exits = ("0", "1", "2", "4", "5", "130")


@click.command(cls=DoctorCommand)
@click.argument("address", metavar="[URL]", required=False)
@click.option(
    "--hold", metavar="TIME", default="65s", show_default=True, callback=parse_duration, help="How long to hold a poll."
)
@click.option("--origin", metavar="ORIGIN", help="Also test for pages of this origin, such as https://app.example.")
@url_option
@click.pass_context
def doctor(ctx: click.Context, address: str | None, hold: float, origin: str | None, url: str | None) -> None:
    """Test what a browser needs from the slosh at URL, through the proxies in front of it.

    It tests buffering, compression, time-outs, caching, WebSocket, cookies, CORS, sizes, names, and the clock, with
    topics of its own. For each fault it shows the line to change, for nginx, HAProxy and Caddy.

    A server with rules needs a token that may read and publish slosh-doctor/**, in SLOSH_TOKEN.
    """
    target = find_url(address or url)
    topic = f"slosh-doctor/{secrets.token_hex(6)}"
    faults = 0
    with Examination(target, topic, origin=origin) as examination, ThreadPoolExecutor(1) as beside:
        examination.reach()
        held: Future[list[Finding]] = beside.submit(lambda: list(hold_poll(examination, hold)))
        for finding in _all(examination, held, hold):
            _show(finding, examination.front)
            faults += finding.is_fault
    if faults:
        click.echo(f"{count(faults, 'fault')} found.")
        ctx.exit(EXIT_FAULTS)
    click.echo("All is well.")


def _all(examination: Examination, held: Future[list[Finding]], hold: float) -> Iterator[Finding]:
    """What the checks find, the slow one last."""
    yield from look(examination)
    with Progress(lambda: f"holding a poll for {hold:g} s") as progress:
        while not held.done():
            progress.update()
            try:
                held.result(0.2)
            except TimeoutError:
                continue
    yield from held.result()


def _show(finding: Finding, front: str) -> None:
    """One line, and for a fault the lines to change."""
    mark, colour = ("FAULT", "red") if finding.is_fault else ("note", "yellow") if finding.is_note else ("ok", "green")
    label = click.style(f"{mark:5}", fg=colour) if has_colour() else f"{mark:5}"
    click.echo(f"{label}  {finding.check}: {printable(finding.seen)}")
    if finding.remedy:
        click.echo(f"       {finding.remedy}")
    elif finding.is_fault:
        remedies = REMEDIES.get(finding.check, {})
        for name in [front] if front in remedies else [each for each in FRONTS if each in remedies]:
            click.echo(f"       {name}: {remedies[name]}")
    sys.stdout.flush()
