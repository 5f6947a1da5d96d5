"""Choose the walks of a batch, and their frames.

Every choice is a function of the seed and the step (and the place in the batch). So a training that is resumed, or runs
on another number of processes, gets the same batches, and there is no state to save.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gaitkeeper.training.config import BatchTable
from gaitkeeper.training.datasets.sample import Array
from gaitkeeper.training.errors import BadTrainingConfig


class PKSampler:
    """Batches of P people × K takes.

    Args:
        subjects: the person of each walk.
        views: the view of each walk.
        people: P, drawn without replacement in every batch.
        takes: K, without replacement if the person has enough walks, else each once before any is repeated.
        seed: the same seed gives the same batches.
        by_view: draw an order of the views for each batch, and take each person's walks in turn from the views of this
            order that the person has. Most anchors then have the same person in another view, and other people in their
            own view, as JointsGait's triplets need (section 3.3).
        outfits: the outfit of each walk, for ``one_outfit``: the probability that a person's takes all have the outfit
            of one of their walks, drawn at random.
        builds: numbers of each walk's body, (walks, B), for ``alike``: the probability that a batch is one person and
            P − 1 of the 3·P people nearest in build, with each number in standard deviations.

    Raises:
        BadTrainingConfig: there are fewer people than P, or no builds for ``alike``.
    """

    def __init__(
        self,
        subjects: Sequence[str],
        views: Sequence[str],
        people: int,
        takes: int,
        *,
        seed: int = 0,
        by_view: bool = False,
        outfits: Sequence[str] = (),
        one_outfit: float = 0.0,
        builds: Array | None = None,
        alike: float = 0.0,
    ) -> None:
        self.walks: dict[str, list[int]] = {}
        for i, subject in enumerate(subjects):
            self.walks.setdefault(subject, []).append(i)
        if len(self.walks) < people:
            raise BadTrainingConfig(f"A batch of {people} people cannot be drawn from {len(self.walks)}.")
        self.subjects = sorted(self.walks)
        self.views = list(views)
        self.people = people
        self.takes = takes
        self.seed = seed
        self.by_view = by_view
        self.outfits = list(outfits)
        self.one_outfit = one_outfit
        self.alike = alike
        if alike:
            if builds is None:
                raise BadTrainingConfig("batch.alike needs a data set with the body build of its people.")
            bodies = np.stack([builds[self.walks[subject]].mean(axis=0) for subject in self.subjects])
            self.bodies = (bodies - bodies.mean(axis=0)) / np.maximum(bodies.std(axis=0), 1e-9)

    def batch(self, step: int) -> list[int]:
        """Indices of the P·K walks of a step, person after person."""
        rng = np.random.default_rng((self.seed, step))
        order = list(rng.permutation(sorted(set(self.views)))) if self.by_view else []
        if self.alike and rng.random() < self.alike:
            chosen = self._alike(rng)
        else:
            chosen = rng.choice(len(self.subjects), self.people, replace=False)
        return [i for person in chosen for i in self._takes(self.walks[self.subjects[person]], order, rng)]

    def _alike(self, rng: np.random.Generator) -> Array:
        first = rng.integers(len(self.subjects))
        near = np.argsort(np.linalg.norm(self.bodies - self.bodies[first], axis=1), kind="stable")
        others = near[near != first][: 3 * self.people]
        return np.append(first, rng.choice(others, self.people - 1, replace=False))

    def _takes(self, walks: list[int], order: list[str], rng: np.random.Generator) -> list[int]:
        shuffled = [walks[i] for i in rng.permutation(len(walks))]
        if order:
            turns: dict[str, int] = {}  # number of earlier walks of a view

            def turn(walk: int) -> tuple[int, int]:
                view = self.views[walk]
                turns[view] = turns.get(view, -1) + 1
                return turns[view], order.index(view)

            shuffled.sort(key=turn)
        if self.one_outfit and rng.random() < self.one_outfit:
            shuffled = [walk for walk in shuffled if self.outfits[walk] == self.outfits[shuffled[0]]]
        repeats = -(-self.takes // len(shuffled))
        return (shuffled * repeats)[: self.takes]


def frame_positions(length: int, table: BatchTable, rng: np.random.Generator) -> Array:
    """The frames of a walk that enter a batch.

    Ordered, as in GaitPart (section 3.4): a section of ``table.window`` frames is cut at random, and ``table.frames``
    of it are kept in order. With rate jitter the length of the section is multiplied by a factor around 1, so positions
    fall between frames. A walk shorter than the section gives a shorter one; a walk shorter than ``table.frames`` is
    looped. With several segments this is done in each of that many equal shares of the walk, at one speed. With
    ``table.shortest`` the walk is only cut: an unchanged section of any length from that to ``table.frames``.
    Unordered, as in GaitSet: frames from anywhere, each once if there are enough.

    Args:
        length: number of frames of the walk, at least 1.
        table: table of the configuration.
        rng: random generator.

    Returns:
        float64 (frames,), or fewer with ``table.shortest``, from 0 to at most length − 1; integers if the walk is
        only cut, looped or a set.
    """
    if table.shortest is not None:
        most = min(length, table.frames)
        count = int(rng.integers(min(table.shortest, most), most + 1))
        start = int(rng.integers(0, length - count + 1))
        return np.arange(start, start + count, dtype=np.float64)
    if not table.ordered:
        if length >= table.frames:
            return rng.choice(length, table.frames, replace=False).astype(np.float64)
        rounds = [rng.permutation(length) for _ in range(-(-table.frames // length))]
        return np.concatenate(rounds)[: table.frames].astype(np.float64)
    speed = 1 + table.rate_jitter * rng.uniform(-1, 1)
    ends = np.linspace(0, length, table.segments + 1).round().astype(int)
    cuts = [start + _stretch(int(end - start), table, speed, rng) for start, end in pairwise(ends) if end > start]
    return np.concatenate((cuts * -(-table.segments // len(cuts)))[: table.segments])


def _stretch(length: int, table: BatchTable, speed: float, rng: np.random.Generator) -> Array:
    """Positions of ``table.frames / table.segments`` ordered frames in a walk, or a share of one, of that length."""
    frames = table.frames // table.segments
    fitting = int((length - 1) / speed) + 1
    window = int(rng.integers(table.window[0], table.window[1] + 1)) // table.segments
    stretch = min(window, fitting)
    if stretch < frames:
        looped: Array = np.floor(rng.uniform(0, length) + np.arange(frames) * speed) % length
        return looped
    kept = np.sort(rng.choice(stretch, frames, replace=False)) * speed
    spare = length - 1 - (stretch - 1) * speed
    start = rng.uniform(0, spare) if table.rate_jitter else rng.integers(0, int(spare) + 1)
    positions: Array = np.minimum(start + kept, length - 1)
    return positions


def at_positions(frames: Array, positions: Array) -> Array:
    """The frames of (T, ...) at fractional positions: numbers interpolated, pictures (uint8) the nearest."""
    if frames.dtype == np.uint8:
        return frames[np.rint(positions).astype(np.int64)]
    before = np.floor(positions).astype(np.int64)
    after = np.minimum(before + 1, len(frames) - 1)
    share = (positions - before).astype(frames.dtype).reshape(-1, *[1] * (frames.ndim - 1))
    out: Array = frames[before] * (1 - share) + frames[after] * share
    return out
