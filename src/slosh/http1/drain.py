"""Shutting down quietly: held polls are answered bit by bit, so that their clients do not all come back at once."""

import asyncio
import logging
import math
from typing import Final

from slosh.http1.state import Client, ServerState
from slosh.logs import event

logger = logging.getLogger(__name__)

_STEP: Final = 0.05
"""Seconds between two portions of held polls."""
_SPREAD: Final = 0.7
"""Part of the time over which they are spread; the rest is for finishing what is being written."""
_PORTION: Final = 100
"""Polls that are answered at a time at least: few clients are no storm, and need not be made to wait."""


async def drain(server: ServerState, seconds: float) -> None:
    """End all connections within `seconds`; whatever is left then is cut.

    If a successor serves already its clients need not be kept from coming at once: each moment that one is held here
    it hears nothing of what is published there. A connection on which nothing has come has some time more: a request
    may be on its way, since it was accepted a moment ago, while nobody could see that there was another server.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    server.draining = True
    server.emptied = loop.create_future()
    spares_idle = server.has_successor
    held = [each for each in tuple(server.connections) if each.drain(spares_idle=spares_idle) is not None]
    portion = max(_PORTION, math.ceil(len(held) * _STEP / max(seconds * _SPREAD, _STEP)))
    for start in range(0, len(held), portion):
        for connection in held[start : start + portion]:
            _end(connection)
        if start + portion < len(held):
            await asyncio.sleep(0.0 if server.has_successor else _STEP)
    if server.connections and spares_idle:
        await asyncio.wait((server.emptied,), timeout=max(0.0, deadline - seconds / 2 - loop.time()))
        for connection in tuple(server.connections):
            connection.drain()
    if server.connections:
        await asyncio.wait((server.emptied,), timeout=max(0.0, deadline - loop.time()))
    if server.connections:
        server.closed["drain"] += len(server.connections)
        logger.warning(
            "%d connections were not done in %g s (drain) and are cut",
            len(server.connections),
            seconds,
            extra=event("drain_cut", connections=len(server.connections), seconds=seconds),
        )
        for connection in tuple(server.connections):
            connection.abandon()


def _end(connection: Client) -> None:
    """End what is under way; a mistake of ours with one client does not keep the others, or the process."""
    exchange = connection.drain()
    if exchange is None:
        return
    try:
        exchange.end()
    except Exception:
        logger.exception("could not end an answer quietly; its connection is cut")
        connection.abandon()
