"""A device that is asked for is there, or nothing starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gaitkeeper.pipelines.device import require_device
from gaitkeeper.pipelines.errors import DeviceUnavailable
from gaitkeeper.service.operations.doctor import examine
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch sees a GPU here")


def test_the_cpu_is_always_there():
    assert require_device("cpu") == torch.device("cpu")


@without_gpu
def test_a_gpu_that_is_not_there_is_no_cpu():
    with pytest.raises(DeviceUnavailable, match=r"cuda.*set it to cpu"):
        require_device("cuda")


@without_gpu
def test_the_service_refuses_to_start(tmp_path: Path):
    """As a user starts it: a sentence and a code, no traceback, no store made."""
    done = subprocess.run(
        [sys.executable, "-m", "gaitkeeper", "serve", "--port", "0"],
        env={
            "GAITKEEPER_PIPELINE__DEVICE": "cuda",
            "GAITKEEPER_STORE": f"sqlite:///{tmp_path}/gallery.db",
            "PYTHONPATH": ":".join(sys.path),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert "[device_unavailable]" in done.stderr and "cuda" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@without_gpu
def test_an_engine_and_the_doctor_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = Settings(store=f"sqlite:///{tmp_path}/gallery.db", pipeline={"device": "cuda"})
    with pytest.raises(DeviceUnavailable):
        Engine(settings)
    monkeypatch.setenv("GAITKEEPER_PIPELINE__DEVICE", "cuda")
    found = {check.name: check for check in examine(f"sqlite:///{tmp_path}/gallery.db")}
    assert not found["device"].ok and "cuda" in found["device"].finding
