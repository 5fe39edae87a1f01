"""A minimal long-poll server on twisted.web: `python twisted_app.py PORT`."""

from __future__ import annotations

import sys
from collections import defaultdict

from ring import Ring
from twisted.internet import reactor
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

rings: defaultdict[bytes, Ring] = defaultdict(Ring)
waiting: defaultdict[bytes, dict[Request, int]] = defaultdict(dict)


class Topic(Resource):
    """One topic: GET holds, POST delivers."""

    isLeaf = True

    def render_GET(self, request: Request) -> object:  # noqa: N802 - twisted.web's name
        """Holds until something is newer than `since`."""
        name, since = request.path, request.args.get(b"since", [b"now"])[0]
        ring = rings[name]
        place = ring.newest if since == b"now" else int(since)
        if place < ring.newest:
            return answer(request, ring, place)
        waiting[name][request] = place
        request.notifyFinish().addErrback(lambda _: waiting[name].pop(request, None))
        return NOT_DONE_YET

    def render_POST(self, request: Request) -> bytes:  # noqa: N802 - twisted.web's name
        """Takes a message and answers everybody who waits."""
        name, ring = request.path, rings[request.path]
        ring.add(request.content.read())
        woken, waiting[name] = waiting[name], {}
        for reader, place in woken.items():
            reader.write(answer(reader, ring, place))
            reader.finish()
        return b'{"max":%d}' % ring.newest


def answer(request: Request, ring: Ring, place: int) -> bytes:
    """Sets the headers of the answer and gives its body."""
    body = ring.after(place)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.setHeader(b"Slosh-Next", b"%d" % ring.newest)
    return body


class QuietSite(Site):
    """Without an access log, and without a limit on how long a poll may be held."""

    def log(self, request: Request) -> None:
        """Writes nothing."""


if __name__ == "__main__":
    reactor.listenTCP(int(sys.argv[1]), QuietSite(Topic(), timeout=None), interface="127.0.0.1", backlog=4096)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
