"""What whoever runs the service sees of it: figures, logs, an orderly end."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Clips, Service

from gaitkeeper.service.auth.keys import Keys, Scope
from gaitkeeper.service.errors import NotLoopback
from gaitkeeper.service.http.reply_headers import REQUEST_ID
from gaitkeeper.service.operations import doctor
from gaitkeeper.service.operations.logs import JsonFormatter
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State


def figures(service: Service) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and its labels' values."""
    reply = httpx.get(f"{service.url}/metrics", timeout=60)
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(reply.text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_the_figures_tell_what_happened_and_name_nobody(
    service: Service, clip: Clips, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gaitkeeper")
    service.client.enroll(clip("ann-1"), "ann-the-secret")
    service.client.identify(clip("ann-2"))
    httpx.get(f"{service.url}/collections/default/subjects/ann-the-secret", timeout=60)
    httpx.get(f"{service.url}/ann-the-secret", timeout=60)
    httpx.post(f"{service.url}/identify", files={"clip": b"no clip"}, timeout=60)

    seen = figures(service)
    assert seen["gaitkeeper_requests_total", "POST", "/enroll", "201"] == 1
    assert seen["gaitkeeper_requests_total", "POST", "/identify", "200"] == 1
    assert seen["gaitkeeper_requests_total", "GET", "unmatched", "404"] == 1
    assert seen["gaitkeeper_request_seconds_count", "/identify"] == 2
    assert (
        seen["gaitkeeper_problems_total", "unsupported_media"]
        == seen["gaitkeeper_problems_total", "route_not_found"]
        == 1
    )
    verdicts = {
        labels[1:]: count for labels, count in seen.items() if labels[0] == "gaitkeeper_verdicts_total" and count
    }
    assert sum(verdicts.values()) == 1 and {verdict for _, verdict in verdicts} <= {"match", "unknown"}
    assert seen[("gaitkeeper_enrolments_total",)] == 1
    assert seen["gaitkeeper_stage_seconds_count", "decode"] == 2 and seen["gaitkeeper_stage_seconds_sum", "total"] > 0
    for stage in ("decode", "perception", "tracking", "sequences", "network"):
        assert seen["gaitkeeper_stage_busy_seconds_total", stage] > 0
        assert 0 < seen["gaitkeeper_stage_occupancy", stage] <= 1 and seen["gaitkeeper_stage_waiting", stage] == 0
    assert seen[("gaitkeeper_joint_score_count",)] == seen[("gaitkeeper_usable_frames_count",)] == 2
    assert seen[("gaitkeeper_clips_pending",)] == 0
    assert seen[("process_resident_memory_bytes",)] > 2**25

    lines = [JsonFormatter().format(record) for record in caplog.records if record.name == "gaitkeeper"]
    routes = [json.loads(line).get("route") for line in lines]
    assert {"/enroll", "/identify", "/collections/{collection}/subjects/{subject}", "unmatched"} <= set(routes)
    for text in (*lines, httpx.get(f"{service.url}/metrics", timeout=60).text):
        assert "the-secret" not in text


def test_a_log_line_is_an_object_with_the_id_of_its_request() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        record = logging.LogRecord("gaitkeeper", logging.ERROR, "f.py", 1, "it went %s", ("wrong",), sys.exc_info())
    record.status = 500
    token = REQUEST_ID.set("r-1")
    line = json.loads(JsonFormatter().format(record))
    REQUEST_ID.reset(token)
    assert (line["level"], line["message"], line["request_id"], line["status"]) == (
        "error",
        "it went wrong",
        "r-1",
        500,
    )
    assert "ValueError" in line["traceback"] and line["time"].endswith("+00:00")
    assert "request_id" not in json.loads(JsonFormatter().format(record))


def test_told_to_stop_it_finishes_what_it_was_doing(clip: Clips, tmp_path: Path) -> None:
    path = clip("ann-1")
    command = [sys.executable, "-m", "gaitkeeper", "serve", "--port", "0", "--store", f"sqlite:///{tmp_path}/g.db"]
    environment = {**os.environ, "COLUMNS": "200"}
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process,
        ThreadPoolExecutor() as pool,
    ):
        try:
            assert process.stderr is not None
            url = next(m[0] for line in process.stderr if (m := re.search(r"http://127\.0\.0\.1:\d+", line)))
            httpx.get(f"{url}/readyz", timeout=60)
            content = {"data": {"subject": "ann"}, "files": {"clip": path.read_bytes()}, "timeout": 60}
            running = [pool.submit(httpx.post, f"{url}/enroll", **content) for _ in range(2)]
            while "gaitkeeper_clips_pending 2.0" not in httpx.get(f"{url}/metrics", timeout=60).text:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert sorted(reply.result().status_code for reply in running) == [200, 201]
            lines = [line for line in process.stderr if line.startswith("{")]
            assert process.wait(60) in (0, -signal.SIGTERM)  # the server ends by the signal once all is done
            logged = [json.loads(line) for line in lines]
            assert [line["status"] for line in logged if line.get("route") == "/enroll"] in ([200, 201], [201, 200])
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{url}/livez", timeout=60)
        finally:
            process.kill()


def test_the_doctor_tells_of_keys_and_of_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = f"sqlite:///{tmp_path / 'gallery.db'}"
    check = doctor.PARTS
    settings = Settings(store=store)
    assert "loopback only" in check["access"](settings) and list(tmp_path.iterdir()) == []
    state = State(settings.state_path)
    key, _ = Keys(state).create([Scope.ADMIN])
    Keys(state).create([Scope.ADMIN])
    Keys(state).revoke(key.id)
    state.close()
    assert "1 of 2 API keys" in check["access"](settings)
    assert "behind a seccomp filter" in check["decoder"](settings)
    monkeypatch.setenv("GAITKEEPER_PIPELINE__SANDBOX", "0")
    assert "for clips that you trust" in check["decoder"](Settings(store=store))
    with pytest.raises(NotLoopback, match="gaitkeeper keys create"):
        check["access"](Settings(store=store, host="0.0.0.0", state=str(tmp_path / "none.db")))
