"""slosh: live topics over plain HTTP. GET waits, POST delivers.

The public names, each exported here and nowhere else:

    Settings       every setting of a server, with its default
    Server         the server: bind(), start(), stop(), addresses
    SloshError     the root of every error that slosh raises on purpose
    SettingError   a setting that cannot be used: says which, from where, and what to write instead
    Client         a client of one server, for publishers and readers
    AsyncClient    the same for programs with an event loop
    publish        publish one message to the server that SLOSH_URL names
    publish_many   publish several messages to it, all or none
    watch          watch topics of that server: an iterator over their messages
    history        the history of the numbers in a topic's messages, in columns
    to_dataframe   messages as a pandas data frame
    chart          a live chart for a notebook
    guard          publish the items of a generator, and stop it when nobody reads
    run            a training run: its values, step by step, as a topic
    ClientError    the root of all errors that the client raises

Importing slosh changes nothing in the process: no event loop, no reactor, no signal handler,
no logging set-up. The names are loaded when first asked for, so `import slosh` is quick too.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from slosh.version import __version__

if TYPE_CHECKING:
    from slosh.client import (
        AsyncClient,
        Client,
        ClientError,
        chart,
        guard,
        history,
        publish,
        publish_many,
        run,
        to_dataframe,
        watch,
    )
    from slosh.errors import SettingError, SloshError
    from slosh.server import Server
    from slosh.settings import Settings

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Server",
    "SettingError",
    "Settings",
    "SloshError",
    "__version__",
    "chart",
    "guard",
    "history",
    "publish",
    "publish_many",
    "run",
    "to_dataframe",
    "watch",
]

_HOME = {
    "AsyncClient": "slosh.client",
    "Client": "slosh.client",
    "ClientError": "slosh.client",
    "Server": "slosh.server",
    "SettingError": "slosh.errors",
    "Settings": "slosh.settings.table",
    "SloshError": "slosh.errors",
    "chart": "slosh.client",
    "guard": "slosh.client",
    "history": "slosh.client",
    "publish": "slosh.client",
    "publish_many": "slosh.client",
    "run": "slosh.client",
    "to_dataframe": "slosh.client",
    "watch": "slosh.client",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module the first time somebody asks for it (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'slosh' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name the public names, loaded or not."""
    return sorted({*globals(), *__all__})
