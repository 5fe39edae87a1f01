"""One client against all others: how long a healthy client waits while an attacker does its worst beside it.

bursts.py              bytes that attackers send
kinds.py               what a kind of attack is
http_kinds.py, topic_kinds.py, stream_kinds.py  all of them
targets.py             the servers that are attacked
aiohttp_app.py, uvicorn_app.py  the same small server on other frameworks
healthy.c, attack.c    the healthy client; one crew of an attacker
running.py             one kind at one server
found.py               what that showed, kept as JSON and told as a table
__main__.py            `python -m benchmarks.fairness`
"""

from __future__ import annotations

from benchmarks.fairness.http_kinds import HTTP_KINDS
from benchmarks.fairness.stream_kinds import STREAM_KINDS
from benchmarks.fairness.topic_kinds import TOPIC_KINDS

KINDS = {kind.name: kind for kind in (*HTTP_KINDS, *STREAM_KINDS, *TOPIC_KINDS)}
"""All kinds of attack, in the order of the table."""

__all__ = ["KINDS"]
