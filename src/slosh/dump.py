"""What a server is doing, in some lines for its log: for people who look why it does not do what they expect.

The rules of this file:

* The lines are few, and of at most `LINE` bytes each, however much there is: counts, and the names that matter most.
* No message, no token and no setting that may hold a password is in it. Names of topics and addresses of clients are.
* It is JSON behind a word, all of it printable ASCII, so that nothing in a name reaches a terminal as it is.
* It takes some milliseconds at most: of very many connections and topics this many are looked at, which it says.
"""

import asyncio
import heapq
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from slosh.core.topic import Topic
from slosh.http1.connection import Connection
from slosh.http1.phases import NAMES
from slosh.http1.state import ServerState
from slosh.server import Server
from slosh.settings.row import show
from slosh.settings.table import TABLE, Settings
from slosh.version import __version__
from slosh.web.overview.process import count_open_files, read_memory

LINE: Final = 2000
"""Bytes of a line at most."""
_MOST: Final = 10
"""Topics or addresses that are named."""
_LOOKED_AT: Final = 20_000
"""Connections and topics that are looked at."""
_NAME: Final = 60
"""Characters of a name that are shown."""


def dump(server: Server) -> list[str]:
    """The lines; none before it has been started."""
    state, engine = server.state, server.engine
    if state is None or engine is None:
        return []
    hub = engine.hub
    trouble = engine.trouble()
    sections = (
        ("process", _process(server)),
        ("settings", _settings(server.settings)),
        ("connections", _connections(state)),
        ("addresses", _addresses(state)),
        ("waiting", _waiting(state)),
        ("topics", _topics(hub)),
        ("most watched", _named(hub, lambda topic: len(topic.watchers), "watchers")),
        ("largest", _named(hub, lambda topic: topic.size, "bytes")),
        ("engine", {"kind": type(engine).__name__, "trouble": trouble.code if trouble is not None else None}),
        ("refused", dict(state.refused.most_common(_MOST))),
        ("closed", dict(state.closed.most_common(_MOST))),
    )
    return [_line(name, facts) for name, facts in sections]


def _line(name: str, facts: object) -> str:
    text = f"{name}: {json.dumps(facts)}"
    return text if len(text) <= LINE else f"{text[: LINE - 3]}..."


def _process(server: Server) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    state = server.state
    return {
        "version": __version__,
        "listens": server.addresses,
        "cpu_seconds": round(time.process_time(), 3),
        "memory": read_memory()[1],
        "files": count_open_files(),
        "tasks": len(asyncio.all_tasks(loop)),
        "loop_lag": round(state.lag.latest, 4) if state is not None else 0.0,
        "draining": state is not None and state.draining,
    }


def _settings(settings: Settings) -> dict[str, str]:
    """Those that are not as they are by default; what may hold a secret is not shown."""
    return {
        row.name: "(set)" if row.is_secret else show(row, value)
        for row in TABLE
        if (value := getattr(settings, row.name)) != row.default
    } | {"topics": f"{len(settings.topics)} tables", "access": "rules" if settings.access is not None else "none"}


def _connections(state: ServerState) -> dict[str, Any]:
    phases: Counter[str] = Counter()
    held: Counter[str] = Counter()
    looked_at = list(islice(state.connections, _LOOKED_AT))
    for each in looked_at:
        if isinstance(each, Connection):
            phases[NAMES[each.phase]] += 1
            if each.held_action is not None:
                held[type(each.held_action).__name__] += 1
    facts: dict[str, Any] = {"open": len(state.connections), "most": state.max_connections, "phases": dict(phases)}
    facts |= {"held": dict(held), "accepted": state.accepted, "requests": state.requests}
    return facts if len(looked_at) == len(state.connections) else facts | {"looked_at": len(looked_at)}


def _addresses(state: ServerState) -> dict[str, int]:
    """Of which addresses there are most connections."""
    found: Counter[str] = Counter()
    for each in islice(state.connections, _LOOKED_AT):
        if isinstance(each, Connection):
            found[each.source or "unix"] += 1
    return dict(found.most_common(_MOST))


def _waiting(state: ServerState) -> dict[str, int]:
    return {
        "turns": len(state.turns),
        "stalled": len(state.stalled),
        "buffered": state.buffered,
        "downloads": state.downloads,
        "beyond_max_connections": len(state.reserved) + len(state.leaving),
    }


def _topics(hub: Iterable[Topic]) -> dict[str, Any]:
    looked_at = list(islice(hub, _LOOKED_AT))
    return {
        "looked_at": len(looked_at),
        "watched": sum(1 for topic in looked_at if topic.watchers),
        "ended": sum(1 for topic in looked_at if topic.ended),
        "watchers": sum(len(topic.watchers) for topic in looked_at),
        "bytes": sum(topic.size for topic in looked_at),
        "classes": dict(Counter(topic.kind.pattern for topic in looked_at).most_common(_MOST)),
    }


def _named(hub: Iterable[Topic], count: Callable[[Topic], int], word: str) -> list[dict[str, Any]]:
    """The topics of which `count` gives most."""
    most = heapq.nlargest(_MOST, islice(hub, _LOOKED_AT), key=count)
    return [{"name": topic.name[:_NAME], word: count(topic), "max": topic.last} for topic in most if count(topic)]
