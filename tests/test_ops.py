"""What is in ops/ for those who watch a server: validated by Prometheus' own tool, and against the server's metrics."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.web.harness import Site

TOP = Path(__file__).parents[1]
RULES = TOP / "ops" / "prometheus" / "slosh.rules.yml"
TESTS = RULES.with_name("slosh.test.yml")
DASHBOARD = TOP / "ops" / "grafana" / "slosh.json"
OPERATIONS = TOP / "docs" / "operations.md"


def dashboard() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return told


def expressions() -> Iterator[str]:
    """Every query of the dashboard, with its variables replaced as Grafana does."""
    board = dashboard()
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for query in [*queries, *(each["expr"] for each in board["annotations"]["list"])]:
        yield query.replace("$__rate_interval", "5m").replace("$instance", ".*")


def promtool(*words: str | Path) -> None:
    command = [need("promtool"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alert_rules_are_valid() -> None:
    promtool("check", "rules", RULES)


def test_each_alert_fires_in_trouble_and_none_in_a_quiet_hour() -> None:
    promtool("test", "rules", TESTS)
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    series = set(re.findall(r"series: '(\w+)", TESTS.read_text(encoding="utf-8")))
    asked = set(re.findall(r"\b((?:slosh|process)_\w+|up)\b(?=\{|\[| [>=])", RULES.read_text(encoding="utf-8")))
    assert asked <= series, "an alert about something that the tests do not give"
    assert len(alerts) == 12  # Of which eleven fire at a time, says the file; one comes when another has gone.


def test_each_query_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    """Prometheus' tool checks queries as parts of rules."""
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(expressions())]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # which is YAML too
    assert len(rules) > 30
    promtool("check", "rules", file)


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=["alerts", "dashboard"])
def test_every_metric_that_is_asked_for_is_told_by_the_server(file: Path) -> None:
    with closing(Site()) as site:
        site.get("/nothing/there")  # Labels are told once there is something to count.
        site.server.closed["write_timeout"] += 1
        told = set(re.findall(r"^(\w+)(?=[ {])", site.get("/-/metrics").body.decode(), flags=re.MULTILINE))
    asked = set(re.findall(r"\b(?:slosh|process)_[a-z_]+(?=[\[{ )])", file.read_text(encoding="utf-8")))
    assert len(asked) > 10
    assert asked <= told


def test_labels_that_are_asked_for_are_those_of_the_server() -> None:
    text = "\n".join(expressions()) + RULES.read_text(encoding="utf-8")
    labels = {label for found in re.findall(r"by \(([^)]+)\)", text) for label in found.split(", ")}
    assert labels <= {"instance", "le", "code", "reason", "class"}


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """Grafana has no validator that can be installed: this is what its importer needs, and what it draws wrong."""
    board = dashboard()
    assert "id" not in board, "the number of one installation"
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= set(board)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in board["panels"]:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "the data source of one installation"
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
    for one, other in combinations([panel["gridPos"] for panel in board["panels"]], 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), "panels that cover each other"
    variables = {each["name"] for each in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", DASHBOARD.read_text(encoding="utf-8")))
    assert used == variables


def test_each_alert_is_explained() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    for alert in re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")):
        assert f"`{alert}`" in text, alert
