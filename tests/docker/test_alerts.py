"""Every alert fires when it should and not otherwise, as Prometheus' own program evaluates it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from gaitkeeper.service.metrics import Metrics

ALERTS = Path(__file__).resolve().parents[2] / "docker" / "monitoring" / "alerts.yml"
RULES = {rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
JOB = "gaitkeeper"

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no Prometheus here: apt-get install prometheus"
)


class Case(NamedTuple):
    """Figures of two services, one a minute, in promtool's notation.

    Attributes:
        bad: figures of the service for which the alert fires; names with labels, without job and instance.
        good: those of the service for which it does not.
        after: minutes after which it fires.
        before: minutes at which it does not fire yet.
        labels: labels of the alert beside job, instance and severity.
    """

    bad: dict[str, str]
    good: dict[str, str]
    after: int
    before: int
    labels: dict[str, str] | None = None


def problem(code: str) -> str:
    return f'gaitkeeper_problems_total{{code="{code}"}}'


def frames(outcome: str) -> str:
    return f'gaitkeeper_stream_frames_total{{outcome="{outcome}"}}'


def verdict(name: str, reason: str = "") -> str:
    return f'gaitkeeper_verdicts_total{{verdict="{name}",reason="{reason}"}}'


def total(bound: str) -> str:
    return f'gaitkeeper_stage_seconds_bucket{{stage="total",le="{bound}"}}'


CASES = {
    "GaitkeeperDown": Case({"up": "1x4 0x10"}, {"up": "1x4 0 1x10"}, 9, 6),
    "GaitkeeperRestarting": Case(
        {"process_start_time_seconds": "1 1 2 2 3 3 4x20"}, {"process_start_time_seconds": "1 1 2 2 3x20"}, 8, 4
    ),
    "GaitkeeperInternalErrors": Case(
        {problem("internal"): "0x5 1x10"}, {problem("internal"): "3x20"}, 8, 4, {"code": "internal"}
    ),
    "GaitkeeperStoreUnavailable": Case(
        {problem("store_unavailable"): "0x5 1x10"},
        {problem("store_unavailable"): "3x20"},
        8,
        4,
        {"code": "store_unavailable"},
    ),
    "GaitkeeperNotReady": Case(
        {problem("not_ready"): "0x5 1x10"}, {problem("not_ready"): "0x20"}, 8, 4, {"code": "not_ready"}
    ),
    "GaitkeeperOverloaded": Case(
        {problem("overloaded"): "0x5 20x20"},
        {problem("overloaded"): "0x5 5x20", problem("too_large"): "0+9x20"},
        10,
        4,
        {"code": "overloaded"},
    ),
    "GaitkeeperSlow": Case(
        {total("60"): "0x60", total("180"): "0+5x60", total("+Inf"): "0+5x60"},
        {total("60"): "0+5x60", total("180"): "0+5x60", total("+Inf"): "0+5x60"},
        40,
        10,
    ),
    "GaitkeeperSaturated": Case(
        {'gaitkeeper_stage_occupancy{stage="perception"}': "1x60"},
        {'gaitkeeper_stage_occupancy{stage="perception"}': "1x20 0.5 1x40"},
        45,
        20,
        {"stage": "perception"},
    ),
    "GaitkeeperStreamFramesDropped": Case(
        {frames("seen"): "0+600x40", frames("late"): "0+300x40", frames("rate"): "0+100x40"},
        {frames("seen"): "0+900x40", frames("late"): "0+100x40", frames("rate"): "0x40"},
        30,
        5,
    ),
    "GaitkeeperWebhooksLost": Case(
        {'gaitkeeper_webhooks_total{outcome="given_up"}': "0x5 1x20"},
        {
            'gaitkeeper_webhooks_total{outcome="failed"}': "0x5 9x20",
            'gaitkeeper_webhooks_total{outcome="given_up"}': "1x25",
        },
        10,
        4,
        {"outcome": "given_up"},
    ),
    "GaitkeeperKeysRefused": Case(
        {problem("unauthorised"): "0x5 90x20"}, {problem("unauthorised"): "0x5 9x20"}, 10, 4, {"code": "unauthorised"}
    ),
    "GaitkeeperPoorClips": Case(
        {verdict("inconclusive", "too_short"): "0+2x80", verdict("match"): "0+1x80"},
        # As large a share, but of few walkers.
        {verdict("inconclusive", "too_short"): "0x40 2x40", verdict("match"): "0x80"},
        70,
        5,
    ),
    "GaitkeeperFilesRunOut": Case(
        {"process_open_fds": "900x40", "process_max_fds": "1024x40"},
        {"process_open_fds": "90x40", "process_max_fds": "1024x40"},
        20,
        5,
    ),
}


def series(name: str, values: str, instance: str) -> dict[str, str]:
    bare, _, labels = name.partition("{")
    own = f'job="{JOB}",instance="{instance}"'
    return {"series": f"{bare}{{{own},{labels}" if labels else f"{bare}{{{own}}}", "values": values}


def run(tmp_path: Path, *tests: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    return subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)


def firing(alert: str, minute: int, case: Case | None) -> dict[str, Any]:
    """What must hold of an alert at a minute: it fires for the bad service alone, or without a case for none."""
    labels = {
        "alertname": alert,
        "alertstate": "firing",
        "instance": "bad",
        "job": JOB,
        "severity": RULES[alert]["labels"]["severity"],
    }
    labels |= (case.labels or {}) if case else {}
    text = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    samples = [{"labels": f"ALERTS{{{text}}}", "value": 1}] if case else []
    return {
        "expr": f'ALERTS{{alertname="{alert}", alertstate="firing"}}',
        "eval_time": f"{minute}m",
        "exp_samples": samples,
    }


def test_every_alert_has_a_case() -> None:
    assert RULES.keys() == CASES.keys()


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    figures = [series(name, values, "bad") for name, values in case.bad.items()]
    figures += [series(name, values, "good") for name, values in case.good.items()]
    right = {"interval": "1m", "input_series": figures}
    done = run(
        tmp_path,
        right | {"promql_expr_test": [firing(alert, case.before, None), firing(alert, case.after, case)]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # What the test would say if the alert did not fire.
    done = run(tmp_path, right | {"promql_expr_test": [firing(alert, case.after, None)]})
    assert done.returncode != 0 and "FAILED" in done.stdout + done.stderr


def test_every_alert_says_where_and_what_to_do() -> None:
    for alert, rule in RULES.items():
        assert alert.startswith("Gaitkeeper") and rule["labels"]["severity"] in {"warning", "critical"}
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_values_are_written_in_sentences(tmp_path: Path) -> None:
    case = CASES["GaitkeeperFilesRunOut"]
    figures = [series(name, values, "bad") for name, values in case.bad.items()]
    expected = {
        "eval_time": f"{case.after}m",
        "alertname": "GaitkeeperFilesRunOut",
        "exp_alerts": [
            {
                "exp_labels": {"severity": "warning", "instance": "bad", "job": JOB},
                "exp_annotations": {
                    "summary": "Gaitkeeper at bad has 87.89% of the files and sockets open that it may.",
                    "description": RULES["GaitkeeperFilesRunOut"]["annotations"]["description"],
                },
            }
        ],
    }
    done = run(tmp_path, {"interval": "1m", "input_series": figures, "alert_rule_test": [expected]})
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{len(RULES)} rules found" in done.stdout, done.stdout + done.stderr


def test_the_page_for_operators_lists_every_alert() -> None:
    page = (ALERTS.parents[2] / "docs" / "monitoring.md").read_text()
    rows = set(re.findall(r"^\| `(Gaitkeeper\w+)`", page, re.MULTILINE))
    assert rows == RULES.keys()
    critical = set(re.findall(r"^\| `(Gaitkeeper\w+)` \(critical\)", page, re.MULTILINE))
    assert critical == {name for name, rule in RULES.items() if rule["labels"]["severity"] == "critical"}


def test_the_page_for_operators_lists_every_figure() -> None:
    page = (ALERTS.parents[2] / "docs" / "monitoring.md").read_text()
    listed = set(re.findall(r"`(gaitkeeper_\w+)`", page))
    families = {family.name for family in Metrics().registry.collect()}
    named = {name.removesuffix("_total") for name in listed}
    assert named == {name for name in families if name.startswith("gaitkeeper")}
