"""A real Prometheus reads a real service with the files that ship. Dashboard and alerts ask only for what it has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from redis_servers import free_port

from bench.served import served

FOLDER = Path(__file__).resolve().parents[2] / "docker" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana" / "gaitkeeper.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
CLIPS = Path(__file__).resolve().parents[2] / "service" / "operations" / "demo_clips"
PATIENCE = 120.0

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus: apt-get install prometheus")


def panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def shown() -> list[str]:
    """Every expression of the dashboard, with Grafana's variables filled in."""
    texts = [target["expr"] for panel in panels() for target in panel["targets"]]
    texts += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
    return [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in texts]


def alerting() -> list[str]:
    return [rule["expr"] for group in ALERTS for rule in group["rules"]]


class Prometheus:
    """Prometheus with the configuration that ships; only addresses, paths and the time between two readings differ."""

    def __init__(self, folder: Path, target: str, key: str) -> None:
        folder.mkdir()
        (folder / "key").write_text(f"{key}\n")
        text = (FOLDER / "prometheus.yml").read_text()
        for old, new in (
            ("api:8321", target.removeprefix("http://")),
            ("/run/secrets/metrics_key", str(folder / "key")),
            ("/etc/prometheus/alerts.yml", str(FOLDER / "alerts.yml")),
            ("interval: 15s", "interval: 1s"),
            ("scrape_timeout: 10s", "scrape_timeout: 1s"),
        ):
            assert old in text
            text = text.replace(old, new)
        self.config = folder / "prometheus.yml"
        self.config.write_text(text)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, path: str, **query: str) -> Any:
        reply = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=60)
        assert reply.status_code == 200, (query, reply.text)
        return reply.json()["data"]

    def wait_for(self, query: str) -> list[dict[str, Any]]:
        """The series of a query, once there are some."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if found := self.ask("query", query=query)["result"]:
                    return list(found)
            except httpx.TransportError:
                pass  # it starts
            time.sleep(0.2)
        raise AssertionError(f"no result of {query}")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus, which has read the figures of a service that has done some work."""
    folder = tmp_path_factory.mktemp("monitored")
    with served(folder, network="gei") as service:
        for path, fields in (("/enroll", {"subject": "ann"}), ("/identify", {})):
            with (CLIPS / "person-1-gallery.mp4").open("rb") as file:
                done = httpx.post(service.url + path, data=fields, files={"clip": file}, timeout=300)
            assert done.is_success, done.text
        create = ["keys", "create", "--scope", "metrics", "--store", f"sqlite:///{folder}/gallery.db"]
        key = subprocess.run(
            [sys.executable, "-m", "gaitkeeper", *create], capture_output=True, text=True, check=True
        ).stdout.strip()
        opened = Prometheus(folder / "prometheus", service.url, key)
        try:
            # A histogram rate needs two readings.
            opened.wait_for('count_over_time(up{job="gaitkeeper"}[5m]) > 3 and up == 1')
            yield opened
        finally:
            opened.process.terminate()
            opened.process.wait(60)


def selectors(expression: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Name and matchers (operator and value by label) of every selector of an expression."""
    text = re.sub(r"(by|without) \([^)]*\)", "", expression)
    for name, matchers in re.findall(r"\b((?:gaitkeeper|process)_\w+|up|ALERTS)\b(?:\{([^}]*)\})?", text):
        found = re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', matchers)
        yield name, {label: (operator, value) for label, operator, value in found}


def grouped(expression: str) -> set[str]:
    """The labels by which an expression adds up."""
    return {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}


def test_the_expressions_are_taken_apart() -> None:
    text = 'sum by (le, a) (rate(gaitkeeper_x_bucket{b="1", c=~"2|3"}[5m])) / process_y > 1 and up == 0'
    assert list(selectors(text)) == [
        ("gaitkeeper_x_bucket", {"b": ("=", "1"), "c": ("=~", "2|3")}),
        ("process_y", {}),
        ("up", {}),
    ]
    assert grouped(text) == {"le", "a"}


def test_promtool_accepts_the_configuration(prometheus: Prometheus) -> None:
    done = subprocess.run(
        ["promtool", "check", "config", str(prometheus.config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expressions", [shown(), alerting()], ids=["dashboard", "alerts"])
def test_every_name_and_every_label_exists(prometheus: Prometheus, expressions: list[str]) -> None:
    seen = set()
    for expression in expressions:
        labels: set[str] = set()
        for name, matchers in selectors(expression):
            if name == "ALERTS":
                continue  # there are none while all is well
            found = prometheus.ask("series", **{"match[]": f'{name}{{job="gaitkeeper"}}'})
            assert found, f"{name} does not exist"
            labels |= set().union(*found)
            for label, (operator, value) in matchers.items():
                assert all(label in one for one in found), f"{name} has no label {label}"
                values = {one[label] for one in found}
                if operator == "=":
                    assert value in values, f"{name} has no {label} {value!r}: {sorted(values)}"
                if operator == "=~" and label != "instance":
                    assert all(one in values for one in value.split("|")), f"{name} has no {label} {value!r}"
            seen.add(name)
        assert grouped(expression) <= labels, expression
    assert len(seen) >= 8


def test_every_panel_is_evaluated_and_most_show_something(prometheus: Prometheus) -> None:
    texts = shown()
    empty = [text for text in texts if not prometheus.ask("query", query=text)["result"]]
    assert len(texts) - len(empty) >= 20
    # No live stream has run, no walker was inconclusive in the last minute, no alert fires.
    assert all(re.search("stream|ALERTS|inconclusive|problems|bucket|seconds_sum", text) for text in empty), empty


def test_the_alerts_are_loaded_and_none_fires(prometheus: Prometheus) -> None:
    [group] = prometheus.ask("rules")["groups"]
    assert {rule["name"] for rule in group["rules"]} == {rule["alert"] for one in ALERTS for rule in one["rules"]}
    until = time.monotonic() + PATIENCE
    while any(rule["health"] == "unknown" for rule in group["rules"]) and time.monotonic() < until:
        time.sleep(0.2)
        [group] = prometheus.ask("rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert [rule["name"] for rule in group["rules"] if rule["state"] == "firing"] == []


def test_the_key_of_prometheus_reads_the_figures_alone(prometheus: Prometheus) -> None:
    [target] = prometheus.ask("targets")["activeTargets"]
    key = prometheus.config.with_name("key").read_text().strip()
    service = target["scrapeUrl"].removesuffix("/metrics")
    for path, status in (("/metrics", 200), ("/key", 403), ("/jobs", 403), ("/system", 403), ("/collections", 403)):
        reply = httpx.get(service + path, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        assert reply.status_code == status, path
    assert httpx.get(f"{service}/metrics", timeout=60).status_code == 401


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    assert DASHBOARD["uid"] == "gaitkeeper" and DASHBOARD["schemaVersion"] >= 39
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places, f"{panel['title']} lies over another panel"
        places |= cells
    for panel in panels():
        assert panel["targets"] and panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    provider = yaml.safe_load((FOLDER / "grafana" / "dashboards.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/gaitkeeper/dashboards" and not provider["allowUiUpdates"]
    source = yaml.safe_load((FOLDER / "grafana" / "datasource.yml").read_text())["datasources"][0]
    assert (source["type"], source["url"], source["editable"]) == ("prometheus", "http://prometheus:9090", False)
