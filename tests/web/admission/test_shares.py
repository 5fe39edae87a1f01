"""One client cannot use up what all clients share."""

import pytest

from tests.web.conftest import MakeSite
from tests.web.harness import Site, request
from tests.web.posting import kept

HERE, THERE = ("192.0.2.1", 1), ("192.0.2.2", 1)


def ask(site: Site, peer: object, target: str, **fields: str) -> int:
    client = site.connect(peer).get(target, **fields)
    status = client.next().status
    client.reset()
    return status


def test_a_client_creates_no_more_topics_than_its_share(make_site: MakeSite) -> None:
    site = make_site(max_topics_per_address=3)
    assert [ask(site, HERE, f"/topics/{name}?wait=0") for name in "abcd"] == [200, 200, 200, 429]
    assert ask(site, ("192.0.2.1", 2), "/topics/d?wait=0") == 429  # another connection of the same client
    assert ask(site, HERE, "/topics/a?wait=0") == 200  # it is active already
    assert ask(site, THERE, "/topics/d?wait=0") == 200
    assert ask(site, HERE, "/topics/d?wait=0") == 200
    answer = site.connect(HERE).get("/topics/e?wait=0").next()
    assert (answer.code, "max_topics_per_address" in answer.json["detail"]) == ("share_used_up", True)
    assert int(answer["Retry-After"]) > 0


def test_several_in_one_request_are_created_or_none_is(make_site: MakeSite) -> None:
    site = make_site(max_topics_per_address=3)
    assert ask(site, HERE, "/topics/a,b?wait=0") == 200
    assert ask(site, HERE, "/topics/c,d?wait=0") == 429
    assert [topic.name for topic in site.hub] == ["a", "b"]
    assert ask(site, HERE, "/topics/a,b,c?wait=0") == 200


def test_it_has_room_again_when_a_topic_has_ended(make_site: MakeSite) -> None:
    site = make_site(max_topics_per_address=1)
    for name in "abc":
        assert ask(site, HERE, f"/topics/{name}?wait=0") == 200
        assert ask(site, HERE, "/topics/x?wait=0") == 429
        site.advance(31)
    assert site.hub.shares.count_of("192.0.2.1") == 0
    assert not site.hub.shares.by_opener


def test_publishers_have_the_same_share(make_site: MakeSite) -> None:
    """Where a message creates a topic: with `keep`, and where a pattern takes it in."""
    site = make_site(max_topics_per_address=1, unwatched="keep")
    statuses = [site.connect(HERE).send(request("POST", f"/topics/{name}", b"1")).next().status for name in "aba"]
    assert statuses == [200, 429, 200]
    site = make_site(max_topics_per_address=1)
    site.connect(THERE).get("/topics/*?format=sse")
    statuses = [site.connect(HERE).send(request("POST", f"/topics/{name}", b"1")).next().status for name in "ab"]
    assert statuses == [200, 429]
    assert site.connect(HERE).send(request("POST", "/topics/x/y", b"1")).next().status == 404


def test_behind_a_trusted_proxy_each_of_its_clients_has_a_share(make_site: MakeSite) -> None:
    site = make_site(max_topics_per_address=1)
    proxy = ("127.0.0.1", 1)
    assert ask(site, proxy, "/topics/a?wait=0", X_Forwarded_For="198.51.100.1") == 200
    assert ask(site, proxy, "/topics/b?wait=0", X_Forwarded_For="198.51.100.1") == 429
    assert ask(site, proxy, "/topics/b?wait=0", X_Forwarded_For="198.51.100.2") == 200


@pytest.mark.parametrize("peer", ["", ("127.0.0.1", 1), ("::1", 1, 0, 0)])
def test_clients_that_no_address_tells_apart_have_none(make_site: MakeSite, peer: object) -> None:
    site = make_site(max_topics_per_address=1)
    assert [ask(site, peer, f"/topics/{name}?wait=0") for name in "abc"] == [200] * 3


def test_a_client_that_watches_its_own_topics_leaves_memory_for_the_others(make_site: MakeSite) -> None:
    """All rings together are full of what one client watches: another client's messages are taken all the same."""
    site = make_site(max_bytes=65_536, max_message=8_000, queue=100)
    body = b'"' + b"x" * 7_000 + b'"'

    def post(topic: str) -> int:
        return site.connect(THERE).send(request("POST", f"/topics/{topic}", body)).next().status

    site.connect(HERE).get("/topics/a,b?format=sse")
    assert [post(topic) for topic in "ababababa"] == [200] * 9
    assert post("a") == 503, "it takes no more than all there is"
    site.connect(THERE).get("/topics/c?format=sse")
    assert [post("c") for _ in range(4)] == [200] * 4
    assert post("c") == 503, "beyond its part, half of it, the other takes nothing away"
    assert post("a") == 503
    assert site.metrics()["slosh_held_bytes"] <= 65_536
    assert site.metrics()["slosh_shortened_messages_total"] == 4


def test_0_is_no_share(make_site: MakeSite) -> None:
    site = make_site(max_topics_per_address=0)
    assert [ask(site, HERE, f"/topics/{name}?wait=0") for name in "abc"] == [200] * 3


def test_what_a_head_looks_at_does_not_count(make_site: MakeSite) -> None:
    site = make_site(max_topics_per_address=1)
    kept(site)
    for name in "abc":
        assert site.ask("HEAD", f"/topics/{name}").status == 200
    assert len(site.hub) == 1


def publish(site: Site, peer: object, key: str, topic: str = "a", **fields: str) -> bool:
    """Publish with an idempotency key. Gives whether that was known."""
    client = site.connect(peer)
    answer = client.send(request("POST", f"/topics/{topic}", b"1", Idempotency_Key=key, **fields)).next()
    client.reset()
    assert answer.status == 200
    return "Idempotent-Replayed" in answer


def test_a_client_that_sends_many_keys_pushes_out_its_own(make_site: MakeSite) -> None:
    site = make_site(max_keys=6)
    kept(site)
    publish(site, THERE, "order")
    for number in range(20):
        assert not publish(site, HERE, f"key {number}")
    assert publish(site, THERE, "order")
    assert publish(site, HERE, "key 19")
    assert not publish(site, HERE, "key 0")
    assert site.metrics()["slosh_forgotten_keys_total"] == 16


def test_keys_of_a_batch_for_many_topics_count_alike(make_site: MakeSite) -> None:
    site = make_site(max_keys=6)
    kept(site)
    publish(site, THERE, "order")
    for number in range(10):
        kept(site, topic=f"t{number}")
    lines = b"".join(b'{"topic":"t%d","message":1}\n' % number for number in range(10))
    assert site.connect(HERE).send(request("POST", "/topics", lines, Idempotency_Key="all")).next().status == 200
    assert publish(site, THERE, "order")


def test_keys_of_those_behind_a_proxy_count_for_each_of_them(make_site: MakeSite) -> None:
    site = make_site(max_keys=6)
    kept(site)
    proxy = ("127.0.0.1", 1)
    publish(site, proxy, "order", X_Forwarded_For="198.51.100.1")
    for number in range(20):
        publish(site, proxy, f"key {number}", X_Forwarded_For="198.51.100.2")
    assert publish(site, proxy, "order", X_Forwarded_For="198.51.100.1")


def test_all_addresses_of_a_network_of_64_bits_are_one_client(make_site: MakeSite) -> None:
    """An IPv6 client has all of them."""
    peers = [(f"2001:db8::{number:x}", 1, 0, 0) for number in range(1, 21)]
    other = ("2001:db8:0:1::1", 1, 0, 0)
    site = make_site(max_topics_per_address=2, max_keys=6)
    assert [ask(site, peer, f"/topics/{name}?wait=0") for peer, name in zip(peers, "abc", strict=False)] == [
        200,
        200,
        429,
    ]
    assert ask(site, other, "/topics/c?wait=0") == 200
    publish(site, other, "order")
    for number, peer in enumerate(peers):
        publish(site, peer, f"key {number}")
    assert publish(site, other, "order")
    site = make_site(max_connections_per_address=2)
    kept_open = [site.connect(peer) for peer in peers[:2]]
    assert site.connect(peers[2]).next().code == "too_many_connections"
    assert all(each.silent() for each in (*kept_open, site.connect(other)))
