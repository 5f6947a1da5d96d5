"""Render a set of real bodies to a pack, a few people at a time, so that an interrupted run can resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gaitkeeper.training.bodies.mistakes import Mistakes, draw_mistakes
from gaitkeeper.training.bodies.model import BodyModel, body_model
from gaitkeeper.training.bodies.paint import draw_paint
from gaitkeeper.training.bodies.perceived import film, perceive_walk
from gaitkeeper.training.bodies.population import SETS, Size, Someone, Take
from gaitkeeper.training.bodies.pose import motion
from gaitkeeper.training.bodies.render import Dressed, render
from gaitkeeper.training.bodies.wardrobe import Wardrobe
from gaitkeeper.training.datasets import walkers as packs
from gaitkeeper.training.datasets.sample import NOMINAL_RATE
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.walkers.gait import Path as Way
from gaitkeeper.training.walkers.pack import LEAST
from gaitkeeper.training.walkers.silhouettes import Seen

PART = 10
"""Number of people in a part."""


def render_set(
    name: str,
    kinect: Path,
    out: Path,
    *,
    assets: Path | None = None,
    size: Size | None = None,
    seed: int | None = None,
    mistakes: bool = True,
    perceived: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> str:
    """Render a set to a pack; parts lie in the folder ``OUT.parts`` until the pack is complete.

    Args:
        name: key of ``cast.SETS``.
        kinect: folder or file of the Kinect Gait Biometry data set.
        out: path of the pack.
        assets: folder of the clothes; see :func:`gaitkeeper.training.bodies.assets.garment_path`.
        size, seed: replace those of the set.
        mistakes: False renders without errors of perception.
        perceived: True renders pictures and sends them through the project's own perception, which makes its own
            mistakes; see :mod:`gaitkeeper.training.bodies.perceived`.
        on_progress: called with the number of finished people and of all people.

    Returns:
        Hexadecimal sha256 of the pack's contents: a function of set, size, seed and the processor's arithmetic.

    Raises:
        BadDataset: the Kinect walks are missing, or existing parts are of another set, size or seed.
        BodiesMissing: the body model is not installed.
        BadAsset: clothes are missing.
    """
    chosen = SETS[name]
    size, seed = size or chosen.size, chosen.seed if seed is None else seed
    folder = out.with_name(out.name + ".parts")
    settings = {"set": name, "seed": seed, "mistakes": mistakes, **asdict(size)}
    _same_set(folder, settings | {"perceived": True} if perceived else settings)
    model = body_model()
    wardrobe = Wardrobe(model, assets)
    actors = chosen.actors(kinect, seed, size)
    parts = []
    for start in range(0, len(actors), PART):
        part = folder / f"{start // PART:05}.npz"
        parts.append(part)
        people = actors[start : start + PART]
        if not part.is_file():
            walks: list[packs.Walk] = []
            for actor in people:
                who = Someone.of(model, actor, seed)
                rng = np.random.default_rng([seed, 12, *actor.name.encode()])
                takes = chosen.takes(who, rng, size)
                if perceived:
                    walks += perceived_walks_of(model, wardrobe, who, takes, size, seed)
                else:
                    walks += walks_of(model, wardrobe, who, takes, size, seed, mistakes=mistakes)
            fresh = part.with_suffix(".new")
            packs.write(fresh, walks)
            fresh.replace(part)
        if on_progress is not None:
            on_progress(start + len(people), len(actors))
    digest = packs.join(out, parts)
    for part in (*parts, folder / "set.json"):
        part.unlink()
    folder.rmdir()
    return digest


def walks_of(
    model: BodyModel,
    wardrobe: Wardrobe,
    who: Someone,
    takes: Iterator[Take],
    size: Size,
    seed: int,
    *,
    mistakes: bool = True,
) -> Iterator[packs.Walk]:
    """Render the takes; takes with too few visible frames are left out."""
    step = max(1, round(NOMINAL_RATE / size.rate))
    for take in takes:
        noise = _random(who, take, seed) if mistakes else None
        seen = see(model, wardrobe, who, take, size.frames, step, noise)
        kept = np.flatnonzero(seen.whole[0].numpy())
        if len(kept) >= min(LEAST, size.frames):
            silhouettes, joints, boxes = (own[0].numpy()[kept] for own in (seen.silhouettes, seen.joints, seen.boxes))
            yield _walk(who, take, silhouettes, joints, boxes, kept * step)


def perceived_walks_of(
    model: BodyModel, wardrobe: Wardrobe, who: Someone, takes: Iterator[Take], size: Size, seed: int
) -> Iterator[packs.Walk]:
    """The takes as the pipeline perceives them; takes with too few usable frames are left out."""
    step = max(1, round(NOMINAL_RATE / size.rate))
    times = np.arange(size.frames) * step / NOMINAL_RATE
    person = int(np.random.default_rng([seed, 14, *who.actor.name.encode()]).integers(2**31))
    for take in takes:
        rng = _random(who, take, seed)
        joints, rest = motion(take.cycle, times, Way(phase=take.phase))
        dressed = Dressed.of(model, who.body, wardrobe.dress(who.body, take.worn, who.hair, take.carried))
        paint = draw_paint(model, who.body, take.worn, person)
        filmed = film(model, dressed, paint, joints, rest, take.camera, rng, round(NOMINAL_RATE / step))
        found = perceive_walk(filmed, times, rng)
        if len(found) >= min(LEAST, size.frames):
            frames = np.rint(found.timestamps * NOMINAL_RATE).astype(np.int64)
            yield _walk(who, take, found.silhouettes, found.joints, found.boxes, frames)


def see(
    model: BodyModel,
    wardrobe: Wardrobe,
    who: Someone,
    take: Take,
    frames: int,
    step: int = 1,
    noise: np.random.Generator | None = None,
) -> Seen:
    """One take, every ``step``-th frame of 30 a second; with errors if ``noise`` is given."""
    joints, rest = motion(take.cycle, np.arange(frames) * step / NOMINAL_RATE, Way(phase=take.phase))
    mesh = wardrobe.dress(who.body, take.worn, who.hair, take.carried)
    wrong: Mistakes | None = draw_mistakes(noise) if noise is not None else None
    return render(model, Dressed.of(model, who.body, mesh), joints, rest, take.camera, noise, wrong)


def _random(who: Someone, take: Take, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 13, *f"{who.actor.name} {take.condition} {take.take} {take.view}".encode()])


def _walk(
    who: Someone, take: Take, silhouettes: np.ndarray, joints: np.ndarray, boxes: np.ndarray, frames: np.ndarray
) -> packs.Walk:
    return packs.Walk(
        who.actor.name, take.condition, take.take, take.view, np.packbits(silhouettes > 127, axis=2), joints, boxes,
        frames, outfit=take.outfit, build=who.physique.vector(),
    )  # fmt: skip


def _same_set(folder: Path, settings: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "set.json"
    if note.is_file() and json.loads(note.read_text()) != settings:
        raise BadDataset(f"{folder} contains parts of another set, size or seed: remove it, or choose another file.")
    note.write_text(json.dumps(settings, indent=1) + "\n")
