"""A minimal long-poll server on twisted.web: `python -m benchmarks.servers.twisted_app PORT`."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from twisted.internet import main
from twisted.internet.epollreactor import EPollReactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from benchmarks.servers.ring import Ring

if TYPE_CHECKING:
    from twisted.web.http import Request

rings: defaultdict[bytes, Ring] = defaultdict(Ring)
waiting: defaultdict[bytes, dict[Request, int]] = defaultdict(dict)


class Topic(Resource):
    """One topic: GET holds, POST delivers."""

    isLeaf = True  # noqa: N815 - twisted.web's name

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
        ring.add(request.content.read() if request.content else b"")
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


def make_site() -> QuietSite:
    """The site; twisted.web's constructors carry no types."""
    return QuietSite(Topic(), timeout=None)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    reactor = EPollReactor()
    main.installReactor(reactor)
    reactor.listenTCP(int(sys.argv[1]), make_site(), backlog=4096, interface="127.0.0.1")
    reactor.run()
