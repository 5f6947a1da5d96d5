"""The studies of ``bench.ablations``: trainings that differ in one thing, and their tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path

import numpy as np

from bench import body_studies
from bench.body_studies import BodyPack
from bench.report import data_folder
from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.config import TrainingConfig, load_config
from gaitkeeper.training.crossval import identify_fold
from gaitkeeper.training.datasets import open_dataset
from gaitkeeper.training.evaluation import evaluate, find_protocol
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings
from gaitkeeper.training.walkers.anthropometry import Shape, draw_shapes
from gaitkeeper.training.walkers.pack import render_set
from gaitkeeper.training.walkers.person import Build
from gaitkeeper.training.walkers.sets import Size, Take

RUNS = Path("runs/ablations")
CONFIGS = Path("training/configs")
QUICK = EvaluationSettings(replicates=0, pairwise=False)


@dataclass(frozen=True)
class Pack:
    """A rendered set; see :func:`gaitkeeper.training.walkers.pack.render_set`."""

    name: str
    size: Size
    views: tuple[str, ...] | None = None
    change: Callable[[Take], Take] | None = None
    mistakes: bool = True

    def render(self, path: Path) -> None:
        """Render it if it does not exist yet."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            render_set(
                self.name,
                data_folder() / "kinect-gait",
                part,
                size=self.size,
                views=self.views,
                change=self.change,
                mistakes=self.mistakes,
            )
            part.rename(path)


@cache
def average_shape() -> Shape:
    """The mean of many bodies drawn for an average skeleton, one row."""
    drawn = draw_shapes([Build()] * 500, np.random.default_rng(0))
    return Shape(**{f.name: getattr(drawn, f.name).mean(dim=0, keepdim=True) for f in fields(Shape)})


def average_body(take: Take) -> Take:
    """The same walk by a person of the same height and average build."""
    return replace(take, shape=replace(average_shape(), stature=take.shape.stature))


TRAIN = Size(people=100, takes=4, frames=30)
PACKS: dict[str, Pack | BodyPack] = {
    "train": Pack("train", TRAIN),
    "train-average-body": Pack("train", TRAIN, change=average_body),
    "train-no-mistakes": Pack("train", TRAIN, mistakes=False),
    "walkers-b": Pack("walkers-b", Size(people=0, takes=0, frames=30), ("000", "054", "090", "144")),
    "ellipsoids": Pack("train", body_studies.ELLIPSOIDS),
    **body_studies.PACKS,
}
"""Rendered sets by file name."""


@dataclass(frozen=True)
class Study:
    """A study: rows that differ in one thing.

    Attributes:
        config: file in ``training/configs``.
        common: changes that all rows share, in the form of ``gaitkeeper train --set``.
        rows: further changes, by name; the other rows are compared with the first.
        seeds: default seeds.
        test: function that returns figures of a network, by name, each in [0, 1] except counts.
        paper: rank-1 of the paper's rows on the paper's data in percent, if known.
        packs: rendered sets that it reads, keys of ``PACKS``.
        untrained: networks that are tested without training, by name.
    """

    config: str
    common: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    seeds: range
    test: Callable[[GaitNetwork, TrainingConfig], dict[str, float]]
    paper: dict[str, str] = field(default_factory=dict)
    packs: tuple[str, ...] = ()
    untrained: dict[str, Callable[[TrainingConfig], GaitNetwork]] = field(default_factory=dict)

    @property
    def all_rows(self) -> tuple[str, ...]:
        """Names of the rows, untrained networks last."""
        return (*self.rows, *self.untrained)

    def configuration(self, row: str, seed: int) -> TrainingConfig:
        """The training configuration of a row and seed."""
        changes = [*self.common, *self.rows.get(row, ()), f"seed={seed}", "run.threads=1", "run.checkpoint_every=25"]
        config = load_config(CONFIGS / self.config, changes)
        if config.data.folds is None:
            return config
        return config.model_copy(update={"data": config.data.model_copy(update={"fold": seed})})


def fold_figures(net: GaitNetwork, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 and equal error rate of a fold of walks."""
    found = identify_fold(net, config.data)
    return {"rank-1": found.rank1, "EER": found.equal_error_rate, "probes": found.probes}


def walkers_figures(net: GaitNetwork, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 across views of unseen people, by condition."""
    found = evaluate(net, open_dataset("walkers", RUNS / "walkers-b.npz"), find_protocol("casia_b"), QUICK)
    return {name: row.groups["across"].identification.metrics["rank_1"].value for name, row in found.rows.items()}


def psymo_figures(net: GaitNetwork, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 of five real people within and across views, and across views with the cameras' means subtracted."""
    walks = open_dataset("psymo", data_folder() / "psymo" / "psymo-ids-0-4.tar.xz")
    figures = {}
    for suffix, groups, centring in (("", ("same", "across"), False), (", centred", ("across",), True)):
        found = evaluate(net, walks, find_protocol("psymo"), replace(QUICK, centring=centring))
        for group in groups:
            for row in ("NM", "CL"):
                value = found.rows[row].groups[group].identification.metrics["rank_1"].value
                figures[f"{row} {group}{suffix}"] = value
    return figures


def transfer_figures(net: GaitNetwork, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 of the five real people, and across views of the larger set of rendered people with measured motion."""
    rendered = {f"rendered {name}": value for name, value in walkers_figures(net, config).items()}
    return psymo_figures(net, config) | rendered


def untrained(config: TrainingConfig) -> GaitNetwork:
    """The configuration's network with random weights."""
    return models.build(config.network.name, seed=config.seed, **config.network.options).eval()


def studies() -> dict[str, Study]:
    """Studies by name, in the order in which they and their rows run."""
    kinect = f"data.root={data_folder() / 'kinect-gait'}"
    train = f"data.root={RUNS / 'train.npz'}"
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
                train,
                "steps=1200",
                "network.options.channels=[8, 16, 32]",
                "optimiser.warmup=100",
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
            ("train", "walkers-b"),
        ),
        "transfer": Study(
            "gaitbase-walkers-cpu.toml",
            (train, "steps=600", "optimiser.warmup=60", 'data.partition="bench/transfer.toml"', 'data.part="all"'),
            {
                "75 measured and 100 drawn people": (),
                "75 measured people": ('data.part="measured"',),
                "75 drawn people": ('data.part="drawn"',),
                "19 measured people": ('data.part="few"',),
                "everybody of average flesh": (f"data.root={RUNS / 'train-average-body.npz'}",),
                "no mistakes of perception": (f"data.root={RUNS / 'train-no-mistakes.npz'}",),
            },
            range(1),
            transfer_figures,
            packs=("train", "train-average-body", "train-no-mistakes", "walkers-b"),
            untrained={"untrained": untrained, "gait energy image": lambda config: models.build("gei")},
        ),
        "folds": Study(
            "jointsgait-kinect.toml",
            (kinect,),
            {"metres": (), "scaled to the torso": ("data.scaled=true",)},
            range(10),
            fold_figures,
            {"metres": "97.8"},
        ),
        "bodies": Study(
            "gaittemplate-bodies-cpu.toml",
            (
                f"data.root={RUNS / 'bodies.npz'}",
                'data.partition="bench/transfer.toml"',
                'data.part="all"',
                "steps=1000",
                "batch.frames=24",
                "optimiser.warmup=100",
            ),
            body_studies.rows(RUNS),
            range(3),
            body_studies.real_figures,
            packs=("ellipsoids", *body_studies.PACKS),
        ),
    }
