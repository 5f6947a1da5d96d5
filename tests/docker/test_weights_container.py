"""What the one-shot container does: pull what the GPU stack names, and export the pose network once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gaitkeeper.models.weights import export_path, manifest
from gaitkeeper.pipelines.settings import PipelineSettings

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "weights.sh"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a stand-in for the command writes what it was asked for; it fails as told."""
    told = tmp_path / "told"
    command = tmp_path / "gaitkeeper"
    command.write_text(f'#!/bin/sh\necho "$@" >>{told}\n[ "$2" != "$FAIL" ]\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path))
    for name in ("DETECTOR", "POSE"):
        monkeypatch.delenv(f"GAITKEEPER_PIPELINE__{name}", raising=False)
    return told


def run() -> int:
    return subprocess.run(["sh", str(SCRIPT)], check=False).returncode


def test_what_the_settings_name_is_pulled_and_exported(calls: Path) -> None:
    usual = PipelineSettings()
    assert run() == 0
    assert calls.read_text().splitlines() == [
        f"weights pull {usual.detector} {usual.pose}",
        f"weights export-pose {usual.pose}",
    ]
    assert {usual.detector, usual.pose} <= manifest().keys()


def test_an_export_that_is_there_is_kept_and_one_without_a_digest_made_anew(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAITKEEPER_PIPELINE__POSE", "hrnet-w32")
    exported = export_path("hrnet-w32")
    exported.touch()
    assert run() == 0 and "export-pose hrnet-w32" in calls.read_text()
    calls.unlink()
    exported.with_name(f"{exported.name}.sha256").touch()
    assert run() == 0 and calls.read_text() == "weights pull yolo26m-seg hrnet-w32\n"


@pytest.mark.parametrize("fails", ["pull", "export-pose"])
def test_the_stack_does_not_start_where_either_fails(calls: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    monkeypatch.setenv("FAIL", fails)
    assert run() != 0
