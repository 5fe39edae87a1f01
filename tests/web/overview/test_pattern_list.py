"""By which patterns topics are read: a bridge learns here what to bring, and nobody learns of what it may not see."""

from slosh.access.rights import NOTHING
from slosh.access.rules import AccessRules
from tests.access.tokens import token_row
from tests.web.conftest import MakeSite
from tests.web.harness import Site
from tests.web.transports import Ndjson


def patterns(site: Site, token: str = "") -> dict[str, object]:
    fields = {"Authorization": f"Bearer {token}"} if token else {}
    told: dict[str, object] = site.get("/topics?patterns", **fields).json
    return told


def test_each_pattern_is_told_once_while_somebody_reads_by_it(site: Site) -> None:
    assert patterns(site) == {"patterns": []}
    readers = [Ndjson(site, topics) for topics in ("b/*", "b/*,a/**", "c")]
    assert patterns(site) == {"patterns": ["a/**", "b/*"]}
    readers[1].cut()
    assert patterns(site) == {"patterns": ["b/*"]}
    readers[0].cut()
    assert patterns(site) == {"patterns": []}


def test_of_a_pattern_that_part_is_told_that_the_client_may_see(make_site: MakeSite) -> None:
    rows = (
        token_row("slosh_reads", read=["**"]),
        token_row("slosh_bridge", publish=["home/**", "a/b"]),
        token_row("slosh_other", read=["theirs/*"]),
    )
    site = make_site(access=AccessRules(NOTHING, rows))
    headers = {"Authorization": "Bearer slosh_reads"}
    for topics in ("**", "*/secret", "a/*"):
        site.connect().get(f"/topics/{topics}?format=ndjson", **headers)
    assert patterns(site, "slosh_reads")["patterns"] == ["**", "*/secret", "a/*"]
    assert patterns(site, "slosh_bridge")["patterns"] == ["a/b", "home/**", "home/secret"]
    assert patterns(site, "slosh_other")["patterns"] == ["theirs/*", "theirs/secret"]
    assert site.get("/topics?patterns").status == 401


def test_where_there_are_very_many_that_is_told(site: Site) -> None:
    for first in range(2):
        Ndjson(site, ",".join(f"a{number}/*" for number in range(60 * first, 60 * first + 60)))
    told = patterns(site)
    assert (len(told["patterns"]), told["more"]) == (100, True)  # type: ignore[arg-type]  # a list


def test_it_is_told_as_a_whole(site: Site) -> None:
    assert site.get("/topics?patterns&limit=3").code == "bad_query"
    assert site.get("/topics?patterns&lmit=3")["Slosh-Ignored"] == "lmit"
