"""Going down quietly: held polls are answered bit by bit, so that their clients do not all come back at once."""

import asyncio
import logging
import math
from typing import Final

from slosh.web.connection import Connection
from slosh.web.edge import Edge

logger = logging.getLogger(__name__)

_STEP: Final = 0.05
"""Seconds between two portions of held polls."""
_SPREAD: Final = 0.7
"""Part of the time over which they are spread; the rest is for finishing what is being written."""
_PORTION: Final = 100
"""Polls that are answered at a time at least: few clients are no storm, and need not be made to wait."""


async def drain(edge: Edge, seconds: float) -> None:
    """End all connections within `seconds`; whatever is left then is cut."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    edge.draining = True
    edge.emptied = loop.create_future()
    held = [connection for connection in tuple(edge.connections) if connection.drain() is not None]
    portion = max(_PORTION, math.ceil(len(held) * _STEP / max(seconds * _SPREAD, _STEP)))
    for start in range(0, len(held), portion):
        for connection in held[start : start + portion]:
            _end(connection)
        if start + portion < len(held):
            await asyncio.sleep(_STEP)
    if edge.connections:
        await asyncio.wait((edge.emptied,), timeout=max(0.0, deadline - loop.time()))
    if edge.connections:
        edge.closed["drain"] += len(edge.connections)
        logger.warning("%d connections were not done in %g s (drain) and are cut", len(edge.connections), seconds)
        for connection in tuple(edge.connections):
            connection.abandon()


def _end(connection: Connection) -> None:
    """End what is under way; a mistake of ours with one client does not keep the others, or the process."""
    exchange = connection.drain()
    if exchange is None:
        return
    try:
        exchange.end()
    except Exception:
        logger.exception("could not end an answer quietly; its connection is cut")
        connection.abandon()
