"""Contact sheets and figures: rendered silhouettes beside those of real people, by view and condition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.training.datasets import psymo
from gaitkeeper.training.walkers.anthropometry import draw_shapes
from gaitkeeper.training.walkers.clothing import Condition, draw_dress
from gaitkeeper.training.walkers.gait import Path as Way
from gaitkeeper.training.walkers.gait import walk
from gaitkeeper.training.walkers.person import draw_person
from gaitkeeper.training.walkers.silhouettes import render
from gaitkeeper.training.walkers.views import draw_views

Array = npt.NDArray[Any]

AZIMUTHS = {"00-0": 0, "00-1": 180, "45-0": 45, "45-1": 225, "90-0": 90, "90-1": 270}
"""Degrees of PsyMo's views and directions."""
PER_ROW = 18
ENLARGED = 2


@dataclass(frozen=True, eq=False)
class Comparison:
    """Real and rendered silhouettes uint8 (N, 64, 64) of one condition and view."""

    condition: Condition
    view: str
    real: Array
    made: Array

    def figures(self) -> dict[str, Any]:
        """Share of the picture that is person, mean and deviation, and the same for each row's width in pixels."""
        found: dict[str, Any] = {}
        for name, shapes in (("real", self.real), ("made", self.made)):
            solid = shapes > 0
            area, widths = solid.mean((1, 2)), solid.sum(2)
            found[name] = {
                "frames": len(shapes),
                "area": [round(float(area.mean()), 4), round(float(area.std()), 4)],
                "width": widths.mean(0).round(2).tolist(),
                "width_sd": widths.std(0).round(2).tolist(),
            }
        mean = [np.array(found[name]["width"]) for name in ("real", "made")]
        found["width_difference"] = round(float(np.abs(mean[0] - mean[1]).mean()), 2)
        return found

    def picture(self) -> Array:
        """A row of real silhouettes above a row of rendered ones, uint8 (h, w)."""
        rows = []
        for shapes in (self.real, self.made):
            chosen = shapes[np.linspace(0, len(shapes) - 1, PER_ROW).astype(int)]
            rows.append(np.hstack([np.pad(shape, 1, constant_values=96) for shape in chosen]))
        return np.kron(np.vstack(rows), np.ones((ENLARGED, ENLARGED), np.uint8))


def compare(real: Path, *, people: int = 40, frames: int = 24, seed: int = 0) -> Iterator[Comparison]:
    """Every view and condition of PsyMo, with rendered people for comparison.

    Args:
        real: folder or archive of PsyMo.
        people, frames: number of rendered people and frames for each, at 30 Hz.
        seed: seed of the rendered people.

    Raises:
        BadDataset: ``real`` is not PsyMo.
    """
    seen: dict[tuple[str, str], list[Array]] = {}
    for sample in psymo.read(real).samples:
        silhouettes = sample.load().silhouettes if sample.condition in get_args(Condition) else None
        if silhouettes is not None:
            seen.setdefault((sample.condition, sample.view), []).append(silhouettes)
    rng = np.random.default_rng(seed)
    cast = [draw_person(seed + i) for i in range(people)]
    joints = torch.stack([walk(person, frames / 30, 30, Way(phase=rng.random())) for person in cast])
    shape = draw_shapes([person.build for person in cast], rng)
    usual = draw_dress("nm", people, rng)
    for condition in get_args(Condition):
        for view, azimuth in AZIMUTHS.items():
            if (condition, view) not in seen:
                continue
            dress = draw_dress(condition, people, rng, usual)
            views = draw_views(people, rng, azimuth)
            made = render(joints, shape, dress, views, rng).silhouettes.flatten(0, 1).numpy()
            yield Comparison(condition, view, np.concatenate(seen[condition, view]), made)


def write_sheets(real: Path, out_dir: Path, *, seed: int = 0) -> list[Comparison]:
    """Write one PNG per condition with a pair of rows per view: real above rendered. The folder is created.

    Raises:
        BadDataset: ``real`` is not PsyMo.
    """
    comparisons = list(compare(real, seed=seed))
    out_dir.mkdir(parents=True, exist_ok=True)
    for condition in get_args(Condition):
        rows = [pair.picture() for pair in comparisons if pair.condition == condition]
        if rows:
            _, data = cv2.imencode(".png", np.vstack(rows))
            (out_dir / f"{condition}.png").write_bytes(bytes(data))
    return comparisons
