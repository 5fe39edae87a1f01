"""What stands in front of an action, a gate or a proxy's prefix, changes nothing but what it is there for."""

import logging
from collections.abc import Callable

import pytest

from slosh.http1.handler import Action, ByTrust
from slosh.web.admission.guard import Guard
from tests.cases import each_of
from tests.web.admission.test_gate import ALMIGHTY, RULES, bearer
from tests.web.conftest import MakeSite
from tests.web.harness import Site, request

PREFIX = {"X_Forwarded_Prefix": "/slosh"}
OF_ITS_OWN = {
    "is_allowed": "the guard asks the action which rights it needs; nothing asks the guard",
    "count_messages": "the guard asks the action; nothing asks the guard",
}
"""Methods of an action that its guard does not pass on."""


@pytest.mark.parametrize("wrapper", [Guard, ByTrust])
def test_a_wrapper_passes_on_all_that_an_action_is_asked(wrapper: type[Action]) -> None:
    """One that is forgotten is answered by the base class, in silence."""
    asked = {name for name, each in vars(Action).items() if callable(each) and not name.startswith("_")}
    missing = asked - vars(wrapper).keys()
    assert missing == (set(OF_ITS_OWN) if wrapper is Guard else set())


@each_of("fields", [{}, PREFIX], ids=["plain", "below a prefix"])
@each_of(("target", "bound"), [("/topics/mine/a", "max_message"), ("/topics/mine/a?batch=ndjson", "max_body")])
@each_of("rules", [RULES, None], ids=["rules", "no rules"])
def test_a_body_that_is_too_large_is_told_its_own_bound(
    make_site: MakeSite, fields: dict[str, str], target: str, bound: str, rules: object
) -> None:
    site = make_site(access=rules, max_message=10, max_body=20, trusted_proxies="192.0.2.0/24")
    token = bearer(ALMIGHTY) if rules else {}
    refused = site.ask("POST", target, b"1" * 40, **token, **fields)
    assert refused.code == "too_large"
    assert f"({bound})" in refused.json["detail"]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    """The lines of one of the logs, each up to its address."""
    for name in ("slosh.access_log", "slosh.refusals"):
        caplog.set_level(logging.INFO, logger=name)
    return lambda name: [record.getMessage() for record in caplog.records if record.name == f"slosh.{name}"]


@pytest.mark.parametrize("fields", [{}, PREFIX], ids=["plain", "below a prefix"])
def test_the_logs_name_the_topic_of_each_request_and_not_of_the_first_with_such_a_head(
    make_site: MakeSite, told: Callable[[str], list[str]], fields: dict[str, str]
) -> None:
    site = make_site(access=RULES, access_log=1, log_refusals="info", trusted_proxies="192.0.2.0/24")
    client = site.connect()
    for topic in ("mine/a", "mine/b"):
        client.send(request("POST", f"/topics/{topic}", b"{", **bearer(ALMIGHTY), **fields)).next()
        site.advance(11)  # a reason is logged again
    for log in ("access_log", "refusals"):
        assert [line.partition(" from ")[0].rpartition(" ")[2] for line in told(log)] == [
            "/topics/mine/a",
            "/topics/mine/b",
        ]


def test_the_access_log_names_no_token_of_the_request_before(
    make_site: MakeSite, told: Callable[[str], list[str]]
) -> None:
    """Requests of many clients come on one connection of a proxy; a file needs no token."""
    site = make_site(access=RULES, access_log=1)
    client = site.connect()
    client.get("/topics/open/a?wait=0", **bearer(ALMIGHTY)).next()
    client.get("/nothing").next()
    client.get("/-/healthy").next()
    client.get("/topics/open/a?wait=0").next()
    assert ["with the token" in line for line in told("access_log")] == [True, False, False, False]


@pytest.mark.parametrize("fields", [{}, PREFIX], ids=["plain", "below a prefix"])
def test_what_needs_no_right_needs_no_token_that_counts(make_site: MakeSite, fields: dict[str, str]) -> None:
    """A proxy may send a token of its own kind to all that stands behind it."""
    site = make_site(access=RULES, trusted_proxies="192.0.2.0/24")
    for target in ("/harness.py", "/view/mine/a", "/-/slosh.js", "/-/healthy", "/-/ready"):
        assert site.get(target, **bearer("nonsense"), **fields).status == 200, target


@pytest.mark.parametrize("fields", [{}, PREFIX], ids=["plain", "below a prefix"])
def test_probes_have_no_rate(make_site: MakeSite, fields: dict[str, str]) -> None:
    site = make_site(request_rate=1, rate_burst=1, trusted_proxies="192.0.2.0/24")
    assert [site.get("/-/healthy", **fields).status for _ in range(5)] == [200] * 5
    assert [site.get("/nothing", **fields).status for _ in range(3)] == [404, 429, 429]


GUESSES = {
    "whole": lambda token: request("POST", "/topics/mine/a", b"1", **bearer(token)),
    "without its body": lambda token: request("POST", "/topics/mine/a", b"1", **bearer(token))[:-1],
    "in chunks": lambda token: request("POST", "/topics/mine/a", Transfer_Encoding="chunked", **bearer(token)),
    "asking first": lambda token: request("POST", "/topics/mine/a", b"1", Expect="100-continue", **bearer(token))[:-1],
}


def guess(site: Site, sent: bytes) -> int:
    client = site.connect().send(sent)
    status = client.next().status
    client.reset()
    return status


@pytest.mark.parametrize("how", GUESSES)
def test_a_guess_at_a_token_is_counted_however_it_is_sent(make_site: MakeSite, how: str) -> None:
    site = make_site(access=RULES, request_rate=3, rate_burst=1)
    assert [guess(site, GUESSES[how](f"slosh_{number}")) for number in range(6)] == [401] * 3 + [429] * 3


@pytest.mark.parametrize("how", GUESSES)
def test_a_request_that_may_be_run_is_counted_once(make_site: MakeSite, how: str) -> None:
    site = make_site(access=RULES, request_rate=3, rate_burst=1, unwatched="keep")
    sent = GUESSES[how](ALMIGHTY)
    rest = {"whole": b"", "in chunks": b"1\r\n1\r\n0\r\n\r\n"}.get(how, b"1")
    statuses = []
    for _ in range(4):
        client = site.connect().send(sent)
        if how == "asking first":
            client.wire.arrived.clear()  # 100 Continue
        statuses.append(client.send(rest).next().status if rest else client.next().status)
        client.reset()
    assert statuses == [200] * 3 + [429]


def test_a_key_that_is_none_is_refused_before_the_body_below_a_prefix_too(make_site: MakeSite) -> None:
    site = make_site(trusted_proxies="192.0.2.0/24")
    sent = request("POST", "/topics/a", b"1", Expect="100-continue", Idempotency_Key="k" * 300, **PREFIX)[:-1]
    assert site.connect().send(sent).next().status == 400


def test_a_request_that_is_refused_without_its_body_is_counted_whatever_the_reason(make_site: MakeSite) -> None:
    site = make_site(request_rate=3, rate_burst=1)
    sent = request("POST", "/topics/a", Content_Length="5", Expect="100-continue")
    assert [guess(site, sent) for _ in range(4)] == [404] * 3 + [429]
