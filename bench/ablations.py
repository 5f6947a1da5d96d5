"""Ablations of the papers on data at hand, several seeds each: ``python -m bench.ablations``.

Three studies, of which ``--study`` chooses:

* ``jointsgait``: the losses and the scales of JointsGait on Kinect Gait Biometry, in metres, as
  ``gaitkeeper cross-validate`` runs it; the seed is also the fold. A quarter of the paper's channels, and less of steps
  and frames than the shipped configuration, the same for all rows.
* ``gaitpart``: GaitPart's temporal pooling and focal convolutions on rendered walkers: 175 people train, the 50 of
  Walkers-B, whom it has never seen, are identified across views from four sides. A quarter of the paper's channels.
* ``folds``: all ten folds of the shipped JointsGait, in metres and scaled to the torso.

A row and seed leave one JSON in ``bench/results/ablations``, and what is there is not run again; a training that was
stopped goes on from its last checkpoint. ``--table`` prints what is there and runs nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

import models
from bench.report import RESULTS, data_folder, machine
from training.config import TrainingConfig, load_config
from training.crossval import identify_fold
from training.datasets import open_dataset
from training.evaluation import evaluate, find_protocol
from training.evaluation.evaluate import EvaluationSettings
from training.loop import train
from training.walkers.pack import render_set
from training.walkers.sets import Size

RUNS = Path("runs/ablations")
CONFIGS = Path("training/configs")
PACKS: dict[str, tuple[Size, tuple[str, ...] | None]] = {
    "train": (Size(people=100, takes=4, frames=30), None),
    "walkers-b": (Size(people=0, takes=0, frames=30), ("000", "054", "090", "144")),
}
"""Rendered sets, their sizes, and the views that are tested, in degrees."""


@dataclass(frozen=True)
class Study:
    """Rows that differ in one thing.

    Attributes:
        config: in ``training/configs``.
        common: changes to it that all rows share, as ``gaitkeeper train --set`` takes them.
        rows: further changes, by name; the first row is what the others are compared with.
        seeds: that are run where none are chosen.
        test: figures of trained weights, by name, each in [0, 1].
        paper: rank-1 of the paper's rows on the paper's data, per cent, where it has them.
        packs: rendered sets that it reads.
    """

    config: str
    common: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    seeds: range
    test: Callable[[Path, TrainingConfig], dict[str, float]]
    paper: dict[str, str]
    packs: tuple[str, ...] = ()

    def configuration(self, row: str, seed: int) -> TrainingConfig:
        """What a row and seed are trained with."""
        changes = [*self.common, *self.rows[row], f"seed={seed}", "run.threads=1", "run.checkpoint_every=25"]
        config = load_config(CONFIGS / self.config, changes)
        if config.data.folds is None:
            return config
        return config.model_copy(update={"data": config.data.model_copy(update={"fold": seed})})


def fold_figures(weights: Path, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 and equal error rate of a fold of walks."""
    found = identify_fold(models.load(weights), config.data)
    return {"rank-1": found.rank1, "EER": found.equal_error_rate, "probes": found.probes}


def walkers_figures(weights: Path, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 across views of people never seen, by condition."""
    walks = open_dataset("walkers", RUNS / "walkers-b.npz")
    settings = EvaluationSettings(replicates=0, pairwise=False)
    found = evaluate(models.load(weights), walks, find_protocol("casia_b"), settings)
    return {name: row.groups["across"].identification.metrics["rank_1"].value for name, row in found.rows.items()}


def render(name: str) -> None:
    """Render a set where it is not there yet."""
    path = RUNS / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made, (size, views) = path.with_suffix(".part"), PACKS[name]
        render_set(name, data_folder() / "kinect-gait", made, size=size, views=views)
        made.rename(path)


def studies() -> dict[str, Study]:
    """By name; the order of rows and studies is that of running."""
    kinect = f"data.root={data_folder() / 'kinect-gait'}"
    return {
        "jointsgait": Study(
            "jointsgait-kinect.toml",
            (
                kinect,
                "steps=150",
                "network.options.channels=[16, 16, 16, 32, 32, 32, 64, 64, 64]",
                "batch.frames=120",
                "batch.window=[120, 120]",
            ),
            {
                "fused, scales 1 2 3": (),
                "triplet alone": ("losses.1=", "losses.0.weight=1.0"),
                "ArcFace alone": ("losses.0=", "losses.0.weight=1.0"),
                "scale 1": ("network.options.scales=[1]",),
                "scales 1 2 16": ("network.options.scales=[1, 2, 16]",),
            },
            range(3),
            fold_figures,
            {
                "fused, scales 1 2 3": "74.4 / 59.1 / 49.8",
                "triplet alone": "49.4 / 32.3 / 25.7",
                "ArcFace alone": "51.4 / 37.1 / 19.6",
                "scale 1": "53.8 / 43.2 / 35.2",
            },
        ),
        "gaitpart": Study(
            "gaitpart-walkers-cpu.toml",
            (
                f"data.root={RUNS / 'train.npz'}",
                "steps=400",
                "network.options.channels=[8, 16, 32]",
                "optimiser.warmup=40",
                "optimiser.rate=1e-3",
            ),
            {
                "temporal max, p = 1 4 8": (),
                "temporal mean": ('network.options.temporal_pooling="mean"',),
                "p = 1": ("network.options.strips=[1, 1, 1]",),
            },
            range(3),
            walkers_figures,
            {
                "temporal max, p = 1 4 8": "96.2 / 91.5 / 78.7",
                "temporal mean": "93.6 / 86.5 / 70.1",
                "p = 1": "95.6 / 88.4 / 76.1",
            },
            tuple(PACKS),
        ),
        "folds": Study(
            "jointsgait-kinect.toml",
            (kinect,),
            {"metres": (), "scaled to the torso": ("data.scaled=true",)},
            range(10),
            fold_figures,
            {"metres": "97.8"},
        ),
    }


def result_path(study: str, row: str, seed: int) -> Path:
    """Where a row and seed leave their figures."""
    return RESULTS / "ablations" / f"{study}-{slug(row)}-{seed}.json"


def slug(row: str) -> str:
    """A row's name as part of a file's."""
    return "-".join("".join(c if c.isalnum() else " " for c in row).split()).lower()


def run(name: str, study: Study, row: str, seed: int) -> None:
    """Train, test and write one row and seed, unless that was done with these very settings.

    Raises:
        SystemExit: it was done with others.
    """
    path, config = result_path(name, row, seed), study.configuration(row, seed)
    told = config.model_dump(mode="json", exclude={"run": True, "data": {"root"}})
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8"))["config"] != told:
            raise SystemExit(f"{path} was made with other settings: delete it, or put it aside.")
        return
    for set_name in study.packs:
        render(set_name)
    trained = train(config, RUNS / f"{name}-{slug(row)}-{seed}")
    figures = study.test(trained.weights, config)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"study": name, "row": row, "seed": seed, "figures": figures, "seconds": trained.seconds}
    path.write_text(json.dumps({**found, "machine": machine(), "config": told}, indent=1) + "\n", encoding="utf-8")


def table(name: str, study: Study) -> Table:
    """What is there: the mean over the seeds, and the seeds one by one."""
    rows = {row: results(name, study, row) for row in study.rows}
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
    """Mean and single values, per cent."""
    return f"{100 * mean(values):.1f} ({' '.join(f'{100 * value:.1f}' for value in values)})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("jointsgait", "gaitpart", "folds")
    parser.add_argument("--study", action="append", choices=names, help="all by default")
    parser.add_argument("--row", action="append", help="all of the study by default")
    parser.add_argument("--seed", action="append", type=int, help="folds, too; all of the study by default")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args(arguments)
    console = Console()
    known = studies()
    for name in args.study or names:
        study = known[name]
        # Seed by seed, so that whenever it is stopped the rows can be compared.
        for seed in [] if args.table else args.seed or study.seeds:
            for row in (row for row in study.rows if not args.row or row in args.row):
                run(name, study, row, seed)
        console.print(table(name, study))


if __name__ == "__main__":
    main()
