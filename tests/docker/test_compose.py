"""The compose files, as the engine's own program reads and merges them; no engine is needed for that."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GPU = ("docker-compose.yml",)
CPU = (*GPU, "docker/cpu.yml")
STACKS = {"gpu": GPU, "cpu": CPU}
ALL = ("tls", "monitoring")
"""The profiles."""
ONCE = {"weights", "keys"}  # they do their work and end
DIGEST = re.compile(r"([\w.-]+/)?[\w.-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program on files, from the root."""
    program = Path(sys.executable).parent / "docker-compose"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GAITKEEPER_", "COMPOSE_"))}
    command = [str(program), "--project-directory", str(ROOT), *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False)


@cache
def merged(stack: str, *profiles: str, **environment: str) -> dict[str, Any]:
    """Files merged, checked against the specification's schema, and written out in full."""
    files = [text for file in STACKS[stack] for text in ("-f", file)]
    chosen = [text for name in profiles for text in ("--profile", name)]
    done = compose(*files, *chosen, "config", "--format", "json", **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def services(stack: str, *profiles: str, **environment: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = merged(stack, *profiles, **environment)["services"]
    return found


@pytest.mark.parametrize("wrong", ["read_onyl: true", "ports: {web: [80]}", "depends_on: [nobody]"])
def test_a_file_that_breaks_the_specification_is_refused(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "broken.yml"
    file.write_text(f"services:\n  api:\n    image: python\n    {wrong}\n")
    assert compose("-f", str(file), "config", "--quiet").returncode != 0


def test_plain_up_is_the_gpu_stack() -> None:
    assert services("gpu").keys() == {"weights", "redis", "api"}
    [device] = services("gpu")["api"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and "gpu" in device["capabilities"]
    assert services("gpu")["api"]["environment"]["GAITKEEPER_PIPELINE__DEVICE"] == "cuda"
    own, theirs = (services("gpu")[name]["environment"] for name in ("api", "weights"))
    assert own["GAITKEEPER_PIPELINE__PERCEPTION"] == "yolo"
    shared = {name for name in own if re.search("ACCEPT|DETECTOR|POSE", name)}
    assert len(shared) == 3 and all(theirs[name] == own[name] for name in shared)
    waits = {name: one["condition"] for name, one in services("gpu")["api"]["depends_on"].items()}
    assert waits == {"weights": "service_completed_successfully", "redis": "service_healthy"}


def test_the_cpu_stack_is_one_container_that_needs_nothing_else() -> None:
    (api,) = services("cpu").values()
    assert "GAITKEEPER_STORE" not in api["environment"] and not api.get("secrets")
    assert "reservations" not in api["deploy"]["resources"]
    assert api["build"]["dockerfile"] == "docker/Dockerfile"


@pytest.mark.parametrize("stack", STACKS)
def test_ports_are_published_on_loopback_alone(stack: str) -> None:
    ports = [port for one in services(stack, *ALL).values() for port in one.get("ports", ())]
    assert {port["target"] for port in ports} == {8321, 8443, 3000}
    assert all(port["host_ip"] == "127.0.0.1" for port in ports)


@pytest.mark.parametrize("stack", STACKS)
def test_only_the_proxy_can_be_published_elsewhere_and_it_waits_for_a_key(stack: str) -> None:
    found = services(stack, *ALL, GAITKEEPER_TLS_ADDRESS="0.0.0.0", GAITKEEPER_HOST="0.0.0.0")
    published = {name: [port["host_ip"] for port in one.get("ports", ())] for name, one in found.items()}
    assert published.pop("proxy") == ["0.0.0.0"]
    assert [address for addresses in published.values() for address in addresses] == ["127.0.0.1"] * 2
    assert found["proxy"]["depends_on"]["keys"]["condition"] == "service_completed_successfully"
    assert found["keys"]["command"] == ["gaitkeeper", "keys", "exist"]
    state = {"GAITKEEPER_STATE", "GAITKEEPER_STORE"} & found["keys"]["environment"].keys()
    assert state, "it must look where the service keeps its keys"


@pytest.mark.parametrize("stack", STACKS)
def test_every_container_is_confined_and_bounded(stack: str) -> None:
    for name, one in services(stack, *ALL).items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"] and "cap_add" not in one, name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert {"memory", "pids"} <= one["deploy"]["resources"]["limits"].keys(), name
        assert one["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        # What is built here has its user and its check in the Dockerfile.
        built = one["image"].startswith("gaitkeeper-")
        assert built or re.fullmatch(r"[1-9]\d*:[1-9]\d*", one["user"]), name
        assert built or "healthcheck" in one, name
        assert built or DIGEST.fullmatch(one["image"]), name


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_secret_comes_by_files_alone(stack: str) -> None:
    whole = merged(stack, *ALL)
    for name, one in whole["services"].items():
        for variable, value in one.get("environment", {}).items():
            assert variable.endswith("_FILE") or not re.search(r"PASSWORD|SECRET|_KEY", variable), name
            assert not re.search(r"://[^/@]*:[^/@]+@", value or ""), f"{name}: a password in {variable}"
        for secret in one.get("secrets", ()):
            assert "file" in whole["secrets"][secret["source"]]
    if stack == "gpu":
        api = whole["services"]["api"]
        files = {value for name, value in api["environment"].items() if name.endswith("_FILE")}
        assert files == {secret["target"] for secret in api["secrets"]}


def test_the_store_is_reached_by_the_api_alone_and_reaches_nobody() -> None:
    whole = merged("gpu", *ALL)
    assert whole["networks"]["store"]["internal"]
    members = {name for name, one in whole["services"].items() if "store" in (one.get("networks") or {})}
    assert members == {"redis", "api"} and list(whole["services"]["redis"]["networks"]) == ["store"]


@pytest.mark.parametrize("stack", STACKS)
def test_every_file_it_names_is_there_or_made_by_the_script(stack: str) -> None:
    whole = merged(stack, *ALL)
    for one in whole["services"].values():
        if "build" in one:
            assert (Path(one["build"]["context"]) / one["build"]["dockerfile"]).is_file()
    for config in whole.get("configs", {}).values():
        assert Path(config["file"]).is_file()
    made = {"redis_password", "store_key", "grafana_password", "tls_certificate.pem", "tls_key.pem", "metrics_key"}
    assert {Path(secret["file"]).name for secret in whole.get("secrets", {}).values()} <= made


@pytest.mark.parametrize("stack", STACKS)
def test_monitoring_is_asked_for_and_reads_its_files_only(stack: str) -> None:
    assert not {"prometheus", "grafana"} & services(stack).keys()
    found = services(stack, "monitoring")
    assert {"prometheus", "grafana", "api"} <= found.keys() and "proxy" not in found
    prometheus, grafana = found["prometheus"], found["grafana"]
    assert not prometheus.get("ports"), "only Grafana asks it"
    assert [(port["host_ip"], port["target"]) for port in grafana["ports"]] == [("127.0.0.1", 3000)]
    assert set(prometheus["networks"]) == set(grafana["networks"]) == {"front"} <= set(found["api"]["networks"])
    assert {one["target"] for one in prometheus["configs"]} == {
        "/etc/prometheus/prometheus.yml",
        "/etc/prometheus/alerts.yml",
    }
    written = {one["target"] for service in (prometheus, grafana) for one in service["volumes"]}
    assert written == {"/prometheus", "/var/lib/grafana", "/tmp"}
    # What the configuration names is what the container has.
    text = (ROOT / "docker" / "monitoring" / "prometheus.yml").read_text()
    for path in (*(one["target"] for one in prometheus["configs"][1:]), "/run/secrets/metrics_key", "api:8321"):
        assert path in text
    assert [secret["source"] for secret in prometheus["secrets"]] == ["metrics_key"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_password"
    place = grafana["environment"]["GF_PATHS_PROVISIONING"]
    targets = {one["target"] for one in grafana["configs"]}
    assert {f"{place}/datasources/prometheus.yml", f"{place}/dashboards/gaitkeeper.yml"} < targets
