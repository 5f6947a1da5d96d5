"""Shared by all benches: the description of the machine, and one JSON file per bench."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path("bench/results")
FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16")
"""Processor features that these programs use, by their Linux names."""


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions; figures depend on them."""
    about: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        about.setdefault(name.strip(), value.strip())
    return {
        "processor": about.get("model name") or platform.processor(),
        "flags": sorted(set(FLAGS) & set(about.get("flags", "").split())),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("torch", "ai-edge-litert", "av", "numpy", "opencv-python")},
        "commit": _commit(),
    }


def _version(name: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the sources, with a plus if they were changed since; None without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write ``bench/results/NAME.json`` and print its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path, when = RESULTS / f"{name}.json", datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"bench": name, "when": when, "machine": machine(), **figures}, indent=2) + "\n")
    print(f"written: {path}")
    return path


def data_folder() -> Path:
    """The folder of real clips (``GAITKEEPER_TEST_DATA``, default ``../shared/data``).

    Raises:
        SystemExit: the folder does not exist.
    """
    folder = Path(os.environ.get("GAITKEEPER_TEST_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit("No real clips here: set GAITKEEPER_TEST_DATA to their folder.")
    return folder
