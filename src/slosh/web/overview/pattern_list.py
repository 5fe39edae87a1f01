"""By which patterns topics are read.

A producer that has very many topics, such as a bridge, learns here which of them to make: a reader of a pattern makes
no topic active until there is a message for it.
"""

from itertools import islice
from typing import Final

from slosh.engine.base import Engine
from slosh.http1.connection import Connection
from slosh.http1.response import JSON_ANSWER
from slosh.web.admission.gate import find_rights
from slosh.web.jsontext import write_json

_LISTED: Final = 100
"""Patterns that are looked at for one answer; each is compared with up to 256 that are granted, some 20 ms in all."""


def tell_patterns(connection: Connection, engine: Engine) -> None:
    """Answer `GET /topics?patterns`: those by which somebody reads, as far as the client may know."""
    rights = find_rights(connection)
    found = list(islice(engine.patterns(), _LISTED + 1))
    seen = sorted({each for pattern in found[:_LISTED] for each in rights.visible_parts(pattern)})
    facts: dict[str, object] = {"patterns": seen}
    if len(found) > _LISTED:
        facts["more"] = True
    connection.respond(200, JSON_ANSWER, write_json(facts) + b"\n")
