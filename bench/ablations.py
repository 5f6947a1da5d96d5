"""Ablations with several seeds each: ``python -m bench.ablations``.

There are five studies; ``--study`` chooses:

* ``jointsgait``: the losses and the scales of JointsGait on Kinect Gait Biometry, in metres, as
  ``gaitkeeper cross-validate`` runs it; the seed is also the fold. All rows have a quarter of the paper's channels,
  and fewer steps and frames than the shipped configuration.
* ``gaitpart``: GaitPart's temporal pooling and focal convolutions on rendered walkers: 175 people train, the 50 unseen
  people of Walkers-B are identified across views from four sides. A quarter of the paper's channels.
* ``transfer``: which parts of the rendered training set help on real people: a small GaitBase with a fifteenth of the
  shipped one's steps, tested on the five people of PsyMo.
* ``folds``: all ten folds of the shipped JointsGait, in metres and scaled to the torso.
* ``bodies``: what makes rendered bodies good for real people: bodies, clothes, mistakes of perception, motion, batches,
  steps and network; 200 people train a GaitTemplate, tested on the real people of ``bench.real_people``.

Each row and seed writes one JSON file to ``bench/results/ablations`` and is not run again if the file exists. An
interrupted training resumes from its last checkpoint. ``--table`` only prints existing results.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

from bench.report import RESULTS, machine
from bench.studies import PACKS, RUNS, Study, studies
from gaitkeeper import models
from gaitkeeper.training.loop import train


def result_path(study: str, row: str, seed: int) -> Path:
    """Path of the figures of a row and seed."""
    return RESULTS / "ablations" / f"{study}-{slug(row)}-{seed}.json"


def slug(row: str) -> str:
    """A row's name as part of a file name."""
    return "-".join("".join(c if c.isalnum() else " " for c in row).split()).lower()


def run(name: str, study: Study, row: str, seed: int) -> None:
    """Train, test and write one row and seed, unless it was done with the same settings.

    Raises:
        SystemExit: it was done with other settings.
    """
    path, config = result_path(name, row, seed), study.configuration(row, seed)
    told = config.model_dump(mode="json", exclude={"run": True, "data": {"root"}})
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8"))["config"] != told:
            raise SystemExit(f"{path} was made with other settings: delete it, or put it aside.")
        return
    began = time.monotonic()
    for pack in study.packs:
        PACKS[pack].render(RUNS / f"{pack}.npz")
    if row in study.untrained:
        net = study.untrained[row](config)
    else:
        net = models.load(train(config, RUNS / f"{name}-{slug(row)}-{seed}").weights)
    figures = study.test(net, config)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"study": name, "row": row, "seed": seed, "figures": figures, "seconds": time.monotonic() - began}
    path.write_text(json.dumps({**found, "machine": machine(), "config": told}, indent=1) + "\n", encoding="utf-8")


def table(name: str, study: Study) -> Table:
    """Existing results: the mean over the seeds, and the single seeds."""
    rows = {row: results(name, study, row) for row in study.all_rows}
    figures = [figure for figure in next((f[0] for f in rows.values() if f), {}) if figure != "probes"]
    out = Table("row", "seeds", *(f"{figure}, %" for figure in figures), "the paper's", title=f"{name}: mean (seeds)")
    for row, found in rows.items():
        cells = [shares([f[figure] for f in found]) if found else "–" for figure in figures]
        out.add_row(row, str(len(found)), *cells, study.paper.get(row, ""))
    return out


def results(name: str, study: Study, row: str) -> list[dict[str, float]]:
    """Figures of the seeds that were run."""
    paths = [result_path(name, row, seed) for seed in study.seeds]
    return [json.loads(path.read_text(encoding="utf-8"))["figures"] for path in paths if path.exists()]


def shares(values: Sequence[float]) -> str:
    """Mean and single values in percent."""
    return f"{100 * mean(values):.1f} ({' '.join(f'{100 * value:.1f}' for value in values)})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the missing rows and seeds, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("jointsgait", "gaitpart", "transfer", "folds", "bodies")
    parser.add_argument("--study", action="append", choices=names, help="all by default")
    parser.add_argument("--row", action="append", help="all of the study by default")
    parser.add_argument("--seed", action="append", type=int, help="folds, too; all of the study by default")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args(arguments)
    console = Console()
    known = studies()
    for name in args.study or names:
        study = known[name]
        # Seed by seed, so that the rows can be compared whenever the run is stopped.
        for seed in [] if args.table else args.seed or study.seeds:
            for row in (row for row in study.all_rows if not args.row or row in args.row):
                run(name, study, row, seed)
        console.print(table(name, study))


if __name__ == "__main__":
    main()
