"""What every bench shares: the machine's description, and one JSON per bench."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path("bench/results")


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions; a figure means little without them."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "ai-edge-litert", "av", "numpy", "opencv-python")},
    }


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write ``bench/results/NAME.json`` and say where."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"bench": name, "machine": machine(), **figures}, indent=2) + "\n")
    print(f"written: {path}")
    return path


def data_folder() -> Path:
    """The folder of real clips (``GAITKEEPER_TEST_DATA``, default ``../shared/data``).

    Raises:
        SystemExit: it is not there.
    """
    folder = Path(os.environ.get("GAITKEEPER_TEST_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit("No real clips here: set GAITKEEPER_TEST_DATA to their folder.")
    return folder
