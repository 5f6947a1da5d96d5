"""Bodies in clothes: with the extra ``bodies`` and MakeHuman's clothes (GAITKEEPER_ASSETS or ../shared/assets)."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("numba", reason="the extra 'bodies' is not installed")
pytest.importorskip("anny", reason="the extra 'bodies' is not installed")

from gaitkeeper.training.bodies.assets import VARIABLE
from gaitkeeper.training.bodies.model import BodyModel, body_model
from gaitkeeper.training.bodies.paint import Paint, draw_paint
from gaitkeeper.training.bodies.population import SETS, Size, Someone
from gaitkeeper.training.bodies.render import Dressed
from gaitkeeper.training.bodies.wardrobe import Wardrobe
from gaitkeeper.training.walkers.gait import rest_joints
from gaitkeeper.training.walkers.gait_cycle import walk_cycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.person import Person


@dataclass(frozen=True, eq=False)
class Walking:
    """A dressed person, and a motion at 15 Hz: joints (24, J, 3), and (J, 3) at rest."""

    model: BodyModel
    wardrobe: Wardrobe
    who: Someone
    dressed: Dressed
    paint: Paint
    joints: np.ndarray
    rest: np.ndarray


@pytest.fixture(scope="session")
def assets() -> Path:
    folder = Path(os.environ.get(VARIABLE, Path(__file__).parents[4] / "shared" / "assets"))
    if not folder.is_dir():
        pytest.skip(f"no clothes in {folder}")
    return folder


@pytest.fixture(scope="session")
def walking(assets: Path) -> Walking:
    model = body_model()
    wardrobe = Wardrobe(model, assets)
    who = Someone.of(model, SETS["bodies-xl"].actors(Path("none"), 5, Size(2))[1], 5)
    plain = replace(who.outfits[0], outer=None, skirt=0.0, hat=None, scarf=0.0)
    cycle = who.actor.walk(GaitModel.load(), np.random.default_rng(2))
    joints = walk_cycle(cycle, torch.arange(24, dtype=torch.float64) / 15).numpy()
    rest = rest_joints(replace(Person(), build=cycle.build)).numpy()
    dressed = Dressed.of(model, who.body, wardrobe.dress(who.body, plain, who.hair))
    return Walking(model, wardrobe, who, dressed, draw_paint(model, who.body, plain, 3), joints, rest)
