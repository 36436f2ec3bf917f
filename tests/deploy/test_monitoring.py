"""What Prometheus and Grafana are given: metrics, alerts and a dashboard that fit each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slimner import zoo

from ..serve.conftest import Server, started

yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "slimner.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
RULES = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def promtool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here (apt-get install prometheus)")
    return subprocess.run(["promtool", *arguments], input=given, capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has answered and refused."""
    home = tmp_path_factory.mktemp("monitoring")
    with started(home, str(zoo.bundle()), "--workers", "1", "--deadline", "120") as server:
        server.post({"texts": ["上海", "北京"]})
        server.post({"text": 1})
        server.ask("GET", "/wp-login.php")
        assert server.eventually(lambda: 'slimner_requests_total{route="unknown",status="404"}' in server.metrics())
        yield server


def families(server: Server) -> dict[str, str]:
    """Types by the names that queries use."""
    exposed = server.ask("GET", "/metrics")[2].decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposed, re.MULTILINE))
    for name in [name for name, kind in kinds.items() if kind == "histogram"]:
        kinds |= {f"{name}_{part}": "counter" for part in ("bucket", "sum", "count")}
    return kinds


def test_promtool_finds_nothing_wrong_with_the_metrics(asked: Server) -> None:
    checked = promtool("check", "metrics", given=asked.ask("GET", "/metrics")[2])
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_series_that_is_asked_for_is_exposed_and_only_counters_have_rates(asked: Server) -> None:
    kinds = families(asked)
    assert len(QUERIES) > 15
    for query in (*QUERIES, *(rule["expr"] for rule in RULES)):
        names = set(re.findall(r"\bslimner_\w+", query))
        assert names <= set(kinds), query
        for name in re.findall(r"\brate\((\w+)", query):
            assert kinds[name] == "counter", query


def test_the_alerts_are_rules_and_each_fires_on_its_own_evidence_only() -> None:
    assert promtool("check", "rules", str(ALERTS)).returncode == 0
    tested = promtool("test", "rules", str(DEPLOY / "prometheus" / "alerts.test.yaml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert {rule["alert"] for rule in RULES} == set(
        re.findall(r"alertname: (\w+), exp_alerts", (DEPLOY / "prometheus" / "alerts.test.yaml").read_text())
    )
    for rule in RULES:
        assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_the_dashboard_asks_in_prometheus_own_language(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{i}", "expr": query.replace("$__rate_interval", "5m").replace("$", "")}
        for i, query in enumerate(QUERIES)
    ]
    written = tmp_path / "rules.yaml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    checked = promtool("check", "rules", str(written))
    assert checked.returncode == 0, checked.stderr


def test_the_dashboard_names_no_data_source_of_somebodys_own() -> None:
    sources = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
    assert sources == {"${datasource}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]
