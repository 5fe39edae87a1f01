"""A token that is taken away while its request waits for a turn of the server is no token when the turn comes."""

from dataclasses import replace
from pathlib import Path

import pytest

from slosh.access.rights import NOTHING
from slosh.access.rules import AccessRules, parse_access
from tests.access.tokens import jwk, sign, token_row, write_jwks
from tests.web.admission.test_gate import ALMIGHTY, NOW, RULES, bearer, reload, with_clock
from tests.web.conftest import MakeSite
from tests.web.harness import Client, Site, request
from tests.web.test_portions import slow_down, turn

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


def test_very_many_that_are_held_are_looked_at_some_in_a_turn(site: Site) -> None:
    """Each of them may have a token whose signature is checked again."""
    clients = [site.connect().get("/topics/mine/a", **bearer(ALMIGHTY)) for _ in range(100)]
    slow_down(site)
    site.settings = site.server.settings = replace(site.settings, access=WITHOUT)
    site.routes.reload(site.settings, site.server)
    turns = 0
    while not all(client.wire.arrived for client in clients):
        turn(site)
        turns += 1
        assert turns < 1000
    assert turns >= len(clients) // 2
    assert {client.next().status for client in clients} == {401}


@pytest.mark.parametrize("path", ["/topics/mine/a?wait=0", "/topics/mine/a?since=epoch000.0&wait=0"])
def test_signatures_of_very_many_new_tokens_are_checked_some_in_a_turn(
    make_site: MakeSite, tmp_path: Path, path: str
) -> None:
    """Also where each comes alone, on a connection that had a request before."""
    write_jwks(tmp_path / "keys", jwk("ES256"))
    site = with_clock(make_site(access=parse_access({"jwt": {"jwks_file": "keys"}}, tmp_path)))
    clients = [site.connect().get("/-/healthy") for _ in range(50)]
    assert {client.next().status for client in clients} == {200}
    slow_down(site)
    for number, client in enumerate(clients):
        client.wire.unread.append(request("GET", path, **bearer(sign("ES256", sub=str(number), exp=NOW + 60))))
        client.wire.feed()
    turns, before = 0, 0
    while before < len(clients):
        answered = sum(bool(client.wire.arrived) for client in clients)
        assert answered - before <= 2
        before = answered
        turn(site)
        turns += 1
        assert turns < 1000
    assert {client.next().status for client in clients} == {200}


@pytest.mark.parametrize("stays", [True, False])
def test_what_is_published_is_looked_at_again_by_its_own_topic_though_its_head_is_known_with_another(
    site: Site, *, stays: bool
) -> None:
    """The right to publish to the topic of the head that came first was looked at."""
    fields = bearer(ALMIGHTY) | {"Content-Type": "application/x-ndjson"}
    client = site.connect().post("/topics/mine/b", b"0", **fields)
    assert client.next().status == 200
    client.wire.unread += [request("POST", "/topics/mine/a", b"1\n" * LINES, **fields)]
    client.wire.feed()
    assert client.silent()
    topic = "mine/a" if stays else "mine/b"
    reload(site, AccessRules(NOTHING, (token_row(ALMIGHTY, read=["**"], publish=[topic]),)))
    site.advance(1)
    answer = client.next()
    assert answer.status == (200 if stays else 403)
    assert site.get("/topics/mine/a?wait=0", **bearer(ALMIGHTY)).json["max"] == (1 + LINES if stays else 1)


def test_topics_of_a_batch_that_were_not_begun_are_refused_when_its_token_is_taken_away(site: Site) -> None:
    """The others went on by the rights that it had."""
    lines = b"".join(b'{"topic":"mine/%d","message":1}\n' % number for number in range(200))
    client = begin(site, request("POST", "/topics", lines, **bearer(ALMIGHTY)))
    while site.hub.find("mine/0", site.loop.time()) is None:
        turn(site)
    reload(site, WITHOUT)
    site.advance(1)
    answer = client.next().json
    assert 0 < answer["accepted"] < 200
    refused = answer["refused"].values()
    assert {each["code"] for each in refused} == {"unauthorized"}
    assert len(refused) == 200 - answer["accepted"] == 200 - len(answer["topics"])
    assert site.hub.find("mine/199", site.loop.time()) is None
