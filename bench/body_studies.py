"""What makes a training set of bodies good for real people: a study of ``bench.ablations``.

GaitTemplate learns small sets that differ in one thing, and is tested on the real people of ``bench.real_people``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.real_people import ranks
from bench.real_units import judged, scored
from bench.real_walks import data_sets, embedded, settings
from bench.report import data_folder
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.bodies.population import SETS, Size
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.walkers.sets import Size as SimpleSize

SMALL = Size(people=200, takes=12, frames=24, rate=15, outfit_share=SETS["train"].size.outfit_share)
ELLIPSOIDS = SimpleSize(people=125, takes=12, frames=48)
"""As many people (125 drawn and 75 measured), takes and seconds; the simpler walkers have 30 frames a second."""
DRAWS = 40


@dataclass(frozen=True)
class BodyPack:
    """A set of rendered bodies; see :func:`gaitkeeper.training.bodies.pack.render_set`.

    The clothes are those of the environment variable ``GAITKEEPER_ASSETS``, or of the cache.
    """

    size: Size
    mistakes: bool = True
    perceived: bool = False
    seed: int | None = None

    def render(self, path: Path) -> None:
        """Render it if it does not exist yet; resumes where it was stopped."""
        from gaitkeeper.training.bodies.pack import render_set

        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            given = os.environ.get("GAITKEEPER_ASSETS")
            render_set(
                "train",
                data_folder() / "kinect-gait",
                path,
                assets=Path(given) if given else None,
                size=self.size,
                seed=self.seed,
                mistakes=self.mistakes,
                perceived=self.perceived,
            )


_SEEN = Size(people=200, takes=8, frames=24, rate=15, outfit_share=0.25)
PACKS = {
    "bodies": BodyPack(SMALL),
    "bodies-any-clothes": BodyPack(Size(people=200, takes=12, frames=24, rate=15, outfit_share=0.2)),
    "bodies-no-mistakes": BodyPack(SMALL, mistakes=False),
    "bodies-simulated": BodyPack(_SEEN, seed=80_001),
    "bodies-perceived": BodyPack(_SEEN, seed=80_001, perceived=True),
}
"""Rendered sets by file name; the last two show the same walks, once with simulated and once with true perception."""


def rows(runs: Path) -> dict[str, tuple[str, ...]]:
    """Changes to the configuration by the name of the row; the other rows are compared with the first."""

    def pack(name: str) -> str:
        return f"data.root={runs / f'{name}.npz'}"

    return {
        "bodies, usual outfit in 70 of 100 walks": (),
        "usual outfit in 20": (pack("bodies-any-clothes"),),
        "ellipsoids": (pack("ellipsoids"),),
        "no mistakes of perception": (pack("bodies-no-mistakes"),),
        "masks neither fattened nor thinned": ("augment.fatten=0.0", "augment.thin=0.0"),
        "similar builds in a batch": ("batch.alike=0.7",),
        "75 people with measured motion": ('data.part="measured"',),
        "75 people with drawn motion": ('data.part="drawn"',),
        "usual outfit in 25, simulated perception": (pack("bodies-simulated"),),
        "usual outfit in 25, the project's own perception": (pack("bodies-perceived"),),
        "a quarter of the steps": ("steps=250", "optimiser.warmup=25"),
        "four times the steps": ("steps=4000", "optimiser.warmup=400"),
        "frame by frame: GaitBase": (
            'network.name="gaitbase"',
            "network.options.channels=[16, 32, 64, 128]",
            "network.options.strides=[1, 2, 2, 1]",
            "network.options.stem_stride=2",
            "network.options.parts=8",
            "network.options.embed_dim=64",
            "batch.people=8",
            "batch.frames=8",
            "optimiser.rate=1e-3",
        ),
    }


def real_figures(net: GaitNetwork, config: TrainingConfig) -> dict[str, float]:
    """Rank-1 of real people, and the enrolled who are named correctly where 1 % of the strangers are named."""
    sets = data_sets(data_folder(), heatmaps="heatmaps" in net.inputs)
    found = embedded(net, {name: read for name, read in sets.items() if name != "quartet"}, None)
    rank = ranks(found)
    every = [scored(place, DRAWS) for place in settings(found)]
    figures = {
        "KTH d3": rank["KTH d3"],
        "KTH d4": rank["KTH d4"],
        "TUM": (rank["TUM 1 to 2"] + rank["TUM 1 to 4"]) / 2,
        "PsyMo across views": float(np.mean([rank[f"PsyMo {condition} across"] for condition in ("nm", "bg", "cl")])),
        "the same, centred": float(np.mean([rank[f"PsyMo {c} across centred"] for c in ("nm", "bg", "cl")])),
        "named correctly": judged(every, "collection: mean (ships)")["rightly"],
    }
    return {name: value / 100 for name, value in figures.items()}
