"""A token that is taken away while its request waits for a turn of the server is no token when the turn comes."""

import pytest

from slosh.access.rights import NOTHING
from slosh.access.rules import AccessRules
from tests.access.tokens import token_row
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request
from tests.web.test_gate import ALMIGHTY, RULES, bearer, reload, with_clock

LINES = 1_900
"""Of a batch, which is checked over several turns."""
WITHOUT = AccessRules(NOTHING, (token_row("slosh_another", read=["**"], publish=["**"]),))
KEPT = AccessRules(NOTHING, (token_row(ALMIGHTY, read=["**"], publish=["**"]),))
WAITING = {
    "a poll of patterns": request("GET", "/topics/mine/**", **bearer(ALMIGHTY)),
    "a stream of patterns": request("GET", "/topics/mine/**?format=sse", **bearer(ALMIGHTY)),
    "an answer of patterns": request("GET", "/topics/mine/**?wait=0", **bearer(ALMIGHTY)),
    "a batch": request("POST", "/topics/mine/a?batch=ndjson", b"1\n" * LINES, **bearer(ALMIGHTY)),
    "a batch for several": request("POST", "/topics", b'{"topic":"mine/a","message":1}\n' * LINES, **bearer(ALMIGHTY)),
}


def begin(site: Site, sent: bytes) -> Client:
    """A request that has come and waits for its turn, because there is other work."""
    client = site.connect()
    site.hub.put_off(lambda _: None)
    client.wire.unread += [sent]
    client.wire.feed()
    assert client.connection.held_action is not None
    assert client.silent()
    return client


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    site = with_clock(make_site(access=RULES, max_batch=LINES, queue=10 * LINES, unwatched="keep", max_body=1 << 21))
    site.ask("POST", "/topics/mine/a", b"0", **bearer(ALMIGHTY))
    return site


@pytest.mark.parametrize("kind", WAITING)
def test_what_waits_is_refused_when_its_token_is_taken_away(site: Site, kind: str) -> None:
    client = begin(site, WAITING[kind])
    reload(site, WITHOUT)
    assert client.next().status == 401
    assert site.server.closed["access"] == 1
    assert not site.watchers("mine/a")
    stored = site.get("/topics/mine/a?since=earliest&wait=0", **bearer("slosh_another")).json
    assert (stored["max"], stored["res"]) == (1, [0])


@pytest.mark.parametrize("kind", WAITING)
def test_what_waits_goes_on_when_its_token_stays(site: Site, kind: str) -> None:
    client = begin(site, WAITING[kind])
    reload(site, KEPT)
    site.advance(1)
    if "batch" in kind:
        assert client.next().json["accepted" if "several" in kind else "max"] in (LINES, LINES + 1)
    elif "answer" in kind:
        assert client.next().status == 200
    else:
        assert site.watchers("mine/a") == 1
    assert not site.server.closed["access"]
