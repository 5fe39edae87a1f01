"""What a running server takes of settings that are read again, and what waits for a restart. Nothing is done here."""

from dataclasses import replace
from typing import Final, NamedTuple

from slosh.settings.row import show
from slosh.settings.table import TABLE, Settings

_TLS: Final = ("tls_cert", "tls_key", "tls_client_ca")


class ReloadReport(NamedTuple):
    """What became of settings that were read again.

    Attributes:
        taken: those that have another value now, each with it and the former one.
        waiting: the names of those that need a restart.
    """

    taken: list[str]
    waiting: list[str]


def plan_reload(former: Settings, settings: Settings) -> tuple[Settings, ReloadReport]:
    """Decide what becomes of `settings`, which were read again, in a server that runs with `former`.

    Returns:
        The settings to go on with, and what to tell of them.
    """
    changed = _merge(former, settings)
    rows = [row for row in TABLE if getattr(settings, row.name) != getattr(former, row.name)]
    waiting = [row.name for row in rows if not row.reloads]
    if (settings.access is None) != (former.access is None):
        waiting.append("access")
    if changed.tls_cert != settings.tls_cert:
        rows = [row for row in rows if row.name not in _TLS]
        waiting.append("tls_cert")
    taken = [
        f"{row.name}={show(row, getattr(settings, row.name))} (was {show(row, getattr(former, row.name))})"
        for row in rows
        if row.reloads
    ]
    if settings.topics != former.topics:
        taken.append("the [topics] tables")
    if changed.access != former.access:
        taken.append("the [access] rules")
    return changed, ReloadReport(taken, waiting)


def _merge(former: Settings, settings: Settings) -> Settings:
    """The settings of a running server that is given new ones, of which it can take some alone.

    Rules, and TLS, are changed and neither begun nor ended: what was decided without them would go on without.
    """
    taken = {row.name: getattr(settings, row.name) for row in TABLE if row.reloads}
    if settings.access is not None and former.access is not None:
        taken["access"] = settings.access
    if bool(settings.tls_cert) != bool(former.tls_cert):
        taken |= {name: getattr(former, name) for name in _TLS}
    return replace(former, topics=settings.topics, **taken)
