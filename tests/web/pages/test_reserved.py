"""What the server says of itself under `/-/`."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import slosh.web
from slosh import __version__
from slosh.compiled import is_compiled
from slosh.errors import EngineFailed, EngineFull, EngineUnreachable, SloshError
from slosh.web.pages.assets import load
from tests.web.conftest import MakeSite
from tests.web.harness import Site, SiteEngine


def test_healthy_and_ready(site: Site) -> None:
    for path in ("/-/healthy", "/-/ready"):
        answer = site.get(path)
        assert answer.status == 200
        assert answer["Cache-Control"] == "no-store"
        assert answer["Content-Type"].startswith("text/plain")
        assert site.ask("HEAD", path)["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize(
    "why", [EngineUnreachable("The store is away."), EngineFull("It is full."), EngineFailed("It is a replica.")]
)
def test_not_ready_while_the_engine_takes_no_messages(
    site: Site, monkeypatch: pytest.MonkeyPatch, why: SloshError
) -> None:
    monkeypatch.setattr(SiteEngine, "trouble", lambda _: why)
    answer = site.get("/-/ready")
    assert (answer.status, answer.code) == (503, why.code)
    assert why.detail in answer.body.decode()
    assert "Retry-After" in answer
    assert site.get("/-/healthy").status == 200
    assert site.metrics()["slosh_engine_up"] == 0
    monkeypatch.undo()
    assert site.metrics()["slosh_engine_up"] == 1


def test_the_javascript_client_is_the_one_of_the_package(site: Site) -> None:
    answer = site.get("/-/slosh.js")
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.body == load(Path(slosh.web.__file__).with_name("static") / "slosh.js").plain
    assert site.get("/-/slosh.js", If_None_Match=answer["ETag"]).status == 304


def test_pages_of_any_origin_may_import_the_scripts_and_nothing_else(site: Site) -> None:
    """A module is imported from elsewhere by CORS alone; whether its topics may be read, the setting origins says."""
    field, elsewhere = "Access-Control-Allow-Origin", {"Origin": "https://elsewhere.example"}
    answer = site.get("/-/slosh.js", **elsewhere)
    assert answer[field] == "*"
    assert site.get("/-/slosh.js", If_None_Match=answer["ETag"], **elsewhere)[field] == "*"
    assert site.ask("HEAD", "/-/slosh.js")[field] == "*"
    for path in ("/-/slosh/wire.js", "/-/chart.js", "/-/uplot/uPlot.min.js"):
        assert site.get(path, **elsewhere)[field] == "*"
    for path in ("/-/metrics", "/-/healthy", "/view/a", "/harness.py", "/topics", "/topics/a?wait=0"):
        assert field not in site.get(path, **elsewhere)


@pytest.mark.parametrize("path", ["/-/", "/-/nothing", "/-/metrics/", "/-/../secret", "/-/slosh.py"])
def test_whatever_else_is_asked_there_is_not_found(site: Site, path: str) -> None:
    assert site.get(path).code == "not_found"


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/-/metrics", "/-/slosh.js"])
def test_they_are_only_looked_at(site: Site, path: str) -> None:
    answer = site.post(path, b"1")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer["Allow"].split(", "))


def test_metrics_are_what_prometheus_reads(site: Site) -> None:
    answer = site.get("/-/metrics")
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    assert {"slosh_topics", "slosh_watchers", "slosh_connections", "slosh_refused"} <= families.keys()
    assert all(family.documentation.endswith(".") for family in families.values())


def test_the_metrics_say_which_build_it_is(site: Site) -> None:
    told = site.get("/-/metrics").body.decode()
    compiled = "yes" if is_compiled() else "no"
    assert f'slosh_build_info{{compiled="{compiled}",version="{__version__}"}} 1.0' in told


def test_metrics_count_what_happened(make_site: MakeSite) -> None:
    site = make_site(queue=2)
    site.connect().get("/topics/a?since=earliest")
    for number in range(5):
        site.post("/topics/a", b"%d" % number)  # the reader takes the first
    waiting = [site.connect().get("/topics/a") for _ in range(3)]
    site.get("/topics/a?since=earliest&wait=0")
    site.get("/topics/a?n=0&wait=0")
    site.post("/topics/nobody", b"1")
    metrics = site.metrics()
    assert metrics["slosh_published_messages_total"] == 5
    assert metrics["slosh_fell_off_messages_total"] == 3
    assert metrics["slosh_answers_total"] == 3
    assert metrics["slosh_delivered_messages_total"] == 1 + 2 + 2
    assert metrics["slosh_lost_messages_total"] == 3 + 3
    assert metrics['slosh_refused_total{code="no_watchers"}'] == 1
    assert metrics["slosh_topics"] == 1
    assert metrics["slosh_watchers"] == 3
    assert metrics["slosh_ring_bytes"] == 2
    assert metrics["slosh_connections"] == 1 + 3 + 1  # the first reader's, those that wait, and who asks
    assert metrics["slosh_connections_accepted_total"] == 1 + 5 + 3 + 2 + 1 + 1
    for each in waiting:
        each.reset()
    assert site.metrics()["slosh_watchers"] == 0
