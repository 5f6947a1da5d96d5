"""Run all benches, and write one JSON file and one page: ``python -m bench``, or ``make bench``.

Runs each bench as a program of its own, gathers their results in ``bench/results/bench.json`` and draws
``bench/results/bench.html``. The page says what could not be measured here (no GPU, no real clips). ``--compare``
compares the figures with an older ``bench.json``; the exit code is 1 if a figure got worse by more than
``--tolerance``, or if a bench failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Change, as_json, compare, figures_of
from bench.page import render
from bench.report import RESULTS, data_folder, machine


@dataclass(frozen=True)
class Step:
    """One bench program.

    Attributes:
        module: module in this package.
        args: arguments of a full run.
        quick: arguments of a quick run; None leaves the bench out of quick runs.
        section: name of its JSON file without suffix; empty for the module's name.
        data: True if it needs the real clips.
        gpu: True if it needs a GPU.
        ray: True if it needs Ray.
        minutes: time limit.
    """

    module: str
    args: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = None
    section: str = ""
    data: bool = False
    gpu: bool = False
    ray: bool = False
    minutes: float = 30

    @property
    def name(self) -> str:
        """The name of its JSON file."""
        return self.section or self.module


STEPS = (
    Step("networks", quick=("--quick",)),
    Step("pipeline", quick=("--runs", "1"), data=True),
    Step("search", quick=("--templates", "5000", "--laps", "3")),
    Step("service", quick=("--quick",)),
    Step("hosts", quick=("--clips", "4"), ray=True),
    Step("memory"),
    Step("cold_start", quick=("--runs", "1")),
    Step("gpu", gpu=True),
    Step("live", ("--runs", "2"), quick=("--runs", "1", "--codec", "jpeg"), data=True),
    Step("quartet", ("fusion",), quick=("fusion",), data=True),
    Step("migration", quick=("--templates", "200"), section="migration-sqlite"),
)
LONG = (
    Step("search", ("--growth",), section="search-growth", minutes=120),
    Step("load", minutes=60),
    Step("soak", minutes=90),
)


def run(step: Step, quick: bool) -> str | None:
    """Run one bench; returns a sentence if it failed or missed a limit, else None."""
    args = step.quick if quick and step.quick is not None else step.args
    command = [sys.executable, "-m", f"bench.{step.module}", *args]
    print(f"\n== {step.name}", flush=True)
    try:
        code = subprocess.run(command, check=False, timeout=60 * step.minutes).returncode
    except subprocess.TimeoutExpired:
        return f"bench.{step.module} was ended after {step.minutes:g} minutes."
    return f"bench.{step.module} ended with exit code {code}." if code else None


def why_not(step: Step, quick: bool) -> str | None:
    """Why a bench cannot be run here; None if it can."""
    if quick and step.quick is None:
        return "not in a quick run"
    if find_spec(f"bench.{step.module}") is None:
        return "there is no such bench"
    if step.gpu:
        import torch

        if not torch.cuda.is_available():
            return "no GPU here"
    if step.ray and find_spec("ray") is None:
        return "Ray is not installed"
    if step.data:
        try:
            data_folder()
        except SystemExit:
            return "no real clips here"
    return None


def gather(ran: Iterable[str], failed: dict[str, str], *, quick: bool, tolerance: float) -> dict[str, Any]:
    """The report of all results in :data:`bench.report.RESULTS`.

    Args:
        ran: sections measured in this run.
        failed: errors by section.
        quick: True for a quick run.
        tolerance: tolerance of the comparison, if any.
    """
    files = [path for path in sorted(RESULTS.glob("*.json")) if path.stem != "bench"]
    sections = {path.stem: json.loads(path.read_text()) for path in files}
    return {
        "bench": "all",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "quick": quick,
        "tolerance": tolerance,
        "run": sorted(ran),
        "failed": failed,
        "figures": as_json(figures_of(sections)),
        "sections": sections,
    }


def show(changes: list[Change], gone: list[str]) -> None:
    """Print a comparison."""
    table = Table("figure", "then", "now", "worse by", "")
    for one in sorted(changes, key=lambda one: -one.worse):
        remark = "regression" if one.regressed else "" if one.counts else "another machine"
        values = (f"{value:.4g} {one.figure.unit}" for value in (one.old, one.figure.value))
        table.add_row(one.figure.name, *values, f"{100 * one.worse:+.1f} %", remark)
    Console(width=120).print(table)
    if gone:
        print(f"no longer measured: {', '.join(gone)}")


def main() -> None:
    """Measure, gather, compare and write; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes, to see that everything works")
    parser.add_argument("--long", action="store_true", help="also what takes hours: soak, load, growth of search")
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", help="only these sections; without names, existing results are gathered"
    )
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="an older bench.json")
    parser.add_argument("--tolerance", type=float, default=0.1, help="share by which a figure may be worse")
    args = parser.parse_args()
    # Read it first: it may be the report that is about to be replaced.
    old = json.loads(args.compare.read_text()) if args.compare else None
    steps = [*STEPS, *(LONG if args.long else ())]
    if args.only is not None:
        steps = [step for step in (*STEPS, *LONG) if step.name in args.only]
    ran, failed, skipped = [], {}, {}
    for step in steps:
        if reason := why_not(step, args.quick):
            skipped[step.name] = reason
            continue
        ran.append(step.name)
        if wrong := run(step, args.quick):
            failed[step.name] = wrong
    report = gather(ran, failed, quick=args.quick, tolerance=args.tolerance)
    changes, gone = compare(old, report, args.tolerance) if old else ([], [])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "bench.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "bench.html").write_text(render(report, changes, gone, args.compare.name if args.compare else ""))
    for name, reason in skipped.items():
        print(f"not measured: {name} ({reason})")
    if old:
        show(changes, gone)
    print(f"written: {RESULTS / 'bench.json'}, {RESULTS / 'bench.html'}")
    for wrong in failed.values():
        print(wrong)
    raise SystemExit(bool(failed) or any(one.regressed for one in changes))


if __name__ == "__main__":
    main()
