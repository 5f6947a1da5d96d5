"""Memory and time of a step of each shipped training file: ``python -m bench.training [--table docs/training.md]``.

``gaitkeeper train --estimate`` for every file. A file whose step needs more than ``--most`` is not measured whole: its
time is that of 2 people × 2 takes × 15 frames, times the ratio of the frames. Times are processor time, summed over
threads, so that other work on the machine changes them little. A run that was stopped goes on where it was; ``--fresh``
starts anew.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.report import RESULTS, machine, write
from gaitkeeper.training.config import TrainingConfig, load_config
from gaitkeeper.training.estimate import estimate, measure

FOLDER = Path(__file__).resolve().parents[1] / "training" / "configs"
START = "## Memory and time\n"
ABOUT = """\
One step of each file in `training/configs/`, as `gaitkeeper train --estimate` gives it: what is needed beyond the 0.5
GB of the process, by the estimate and measured, and processor time on one thread ({processor}). Steps that need more
than {most:g} GB were not run whole; their time (≤) is that of 2 × 2 takes of 15 frames, times the ratio of the frames,
which also multiplies what a step costs regardless of its frames. The estimate leaves out buffers of the convolutions:
small steps take up to twice as much. Not measured on a GPU. `python -m bench.training --table docs/training.md` makes
the table again.
"""
SMALL = {"people": 2, "takes": 2, "frames": 15, "window": (15, 15), "segments": 1, "shortest": None}
CHANGES = ("run.threads=1", "run.device=cpu")
"""Of every file, so that a step's processor time is that of one thread."""


def frames(config: TrainingConfig) -> int:
    """Frames of a batch."""
    return config.batch.people * config.batch.takes * config.batch.frames


def figures(config: TrainingConfig, most: float, known: dict[str, float]) -> dict[str, Any]:
    """The figures of one file.

    Args:
        config: the configuration.
        most: bytes above which a whole step is not run.
        known: processor seconds of a frame by network and options; added to.
    """
    found = estimate(config, most=most)
    told: dict[str, Any] = {
        "batch": f"{config.batch.people} × {config.batch.takes} × {config.batch.frames}",
        "people": found.people,
        "needed_gb": found.need.total / 1e9,
        "need": asdict(found.need),
        "steps": config.steps,
        "precision": config.run.precision,
    }
    if found.measured is not None:
        taken = found.measured.peak_bytes - found.measured.start_bytes
        seconds = found.measured.step_processor_seconds
        return told | {"measured_gb": taken / 1e9, "process_gb": found.measured.peak_bytes / 1e9, "seconds": seconds}
    key = json.dumps([config.network.name, config.network.options, config.run.precision], sort_keys=True)
    if key not in known:
        small = config.model_copy(update={"batch": config.batch.model_copy(update=SMALL)})
        known[key] = measure(small, found.people).step_processor_seconds / frames(small)
    return told | {"seconds_scaled": known[key] * frames(config)}


def table(files: dict[str, dict[str, Any]], most: float) -> str:
    """The section of the guide."""
    lines = [
        f"{START}\n{ABOUT.format(most=most / 1e9, processor=machine()['processor'])}\n",
        "| file | people × takes × frames | training people | estimate, GB | measured, GB | s a step |\n",
        "|---|---|--:|--:|--:|--:|\n",
    ]
    for name, one in files.items():
        measured = f"{one['measured_gb']:.1f}" if "measured_gb" in one else "–"
        seconds = f"{one['seconds']:.1f}" if "seconds" in one else f"≤ {one['seconds_scaled']:.0f}"
        lines.append(
            f"| `{name}` | {one['batch']} | {one['people']} | {one['needed_gb']:.1f} | {measured} | {seconds} |\n"
        )
    if left := sorted({file.stem for file in FOLDER.glob("*.toml")} - files.keys()):
        lines.append(f"\nNot measured: {', '.join(f'`{name}`' for name in left)}.\n")
    return "".join(lines)


def main() -> None:
    """Measure, write ``bench/results/training.json``, print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="files of training/configs, without .toml; all by default")
    parser.add_argument("--most", type=float, default=4.0, help="GB above which a step is not run whole")
    parser.add_argument("--table", type=Path, help="page whose last section is replaced by the table")
    parser.add_argument("--fresh", action="store_true", help="measure again what a stopped run has measured")
    args = parser.parse_args()
    path = RESULTS / "training.json"
    before = json.loads(path.read_text()) if path.is_file() and not args.fresh else {}
    files, known = before.get("files", {}), before.get("seconds_by_network", {})
    for name in args.names or sorted(file.stem for file in FOLDER.glob("*.toml")):
        if name not in files:
            files[name] = figures(load_config(FOLDER / f"{name}.toml", CHANGES), args.most * 1e9, known)
            write("training", {"files": files, "seconds_by_network": known})
            print(name, json.dumps(files[name]), flush=True)
    text = table(dict(sorted(files.items())), args.most * 1e9)
    if args.table is None:
        print(text)
    else:
        page = args.table.read_text(encoding="utf-8")
        args.table.write_text(page[: page.index(START)] + text, encoding="utf-8")


if __name__ == "__main__":
    main()
