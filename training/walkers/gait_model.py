"""A statistical model of how people walk, fitted on the training people of the Kinect data set.

A walk is a vector: the Fourier coefficients of its angles (``gait_cycle.CURVES``), the logarithm of its duration, and
the logarithms of the person's stature and bones. The model consists of the principal components of the people's mean
vectors, with each coefficient in its standard deviations. The differences between walks of one person have a covariance
of their own in the same components, and its share in the spread of the means is subtracted. Every person counts twice,
once mirrored, so that drawn people are not biased to one side. Draws are limited to 2.5 standard deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.datasets.sample import Dataset
from gaitkeeper.training.errors import BadDataset, NoClearGait
from gaitkeeper.training.walkers.gait_cycle import CURVES, GaitCycle, Motion, assemble
from gaitkeeper.training.walkers.kinect_motion import Measured, kinect_build, measure, motion
from gaitkeeper.training.walkers.person import Build, Person, another_walk, draw_person

Array = npt.NDArray[np.float64]

SHIPPED = Path(__file__).with_name("gait_model.npz")
COMPONENTS = 24
LIMIT = 2.5
"""Limit of draws in standard deviations."""
_BODY = ("stature", "thigh", "shank", "upper_arm", "forearm")
_WIDTH = sum(1 + 2 * n for n in CURVES.values()) + 1 + len(_BODY) + 1
_STOOPS = (-0.05, 0.40)


@dataclass(frozen=True)
class DrawnWalker:
    """A person drawn from the model.

    Attributes:
        scores: (C,), scores in the model's components.
        person: build, clothes, and details of the gait (feet, pelvis) that the model does not contain.
    """

    scores: Array
    person: Person


@dataclass(frozen=True, eq=False)
class GaitModel:
    """Variation between people and between walks of one person, in the same C components of D coefficients.

    Attributes:
        mean: (D,), mean of the people.
        scale: (D,), units of the coefficients.
        components: (C, D).
        between: (C,) standard deviations between people.
        within: (C, C) lower Cholesky factor of the covariance between walks of one person.
        people: sorted names of the people whose walks it was fitted on.
    """

    mean: Array
    scale: Array
    components: Array
    between: Array
    within: Array
    people: tuple[str, ...]

    @classmethod
    def fit(cls, walks: Dataset, components: int = COMPONENTS) -> GaitModel:
        """The model of some people's walks; walks without clear gait are left out.

        Args:
            walks: walks of the format "kinect".
            components: number of components, less than the number of people.

        Raises:
            BadDataset: fewer than three people, or no person has two walks with clear gait.
        """
        people: dict[str, list[Measured]] = {}
        for sample in walks:
            joints = sample.load().joints
            try:
                if joints is not None:
                    people.setdefault(sample.subject, []).append(measure(joints))
            except NoClearGait:
                continue
        repeated = [p for p in people.values() if len(p) > 1]
        if len(people) < 3 or not repeated:
            raise BadDataset(f"A gait model needs walks of three people, some twice; {walks.name!r} has {len(people)}.")
        vectors = {name: np.stack(_vectors(theirs)) for name, theirs in people.items()}
        return cls._of(vectors, min(components, len(people) - 1))

    @classmethod
    def _of(cls, vectors: dict[str, Array], components: int) -> GaitModel:
        # Limit outliers: coefficients are clipped at three robust deviations from the median.
        every = np.concatenate(list(vectors.values()))
        middle = np.median(every, 0)
        spread = np.maximum(1.4826 * np.median(np.abs(every - middle), 0), 1e-4)
        walks = [
            np.clip(v, middle - 3 * spread, middle + 3 * spread)[:, order] * sign
            for v in vectors.values()
            for order, sign in ((np.arange(_WIDTH), 1.0), _mirror())
        ]
        means = np.stack([v.mean(0) for v in walks])
        mean = means.mean(0)
        scale = np.maximum(means.std(0), 1e-4)
        _, _, basis = np.linalg.svd((means - mean) / scale, full_matrices=False)
        basis = basis[:components]
        basis *= np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(1)])[:, None]
        off = np.concatenate([(v - v.mean(0)) / scale @ basis.T for v in walks])
        freedom = len(off) - len(walks)
        covariance = off.T @ off / freedom
        noise = np.diag(covariance) * np.mean([1 / len(v) for v in walks])
        scores = (means - mean) / scale @ basis.T
        between = np.sqrt(np.maximum(scores.var(0) - noise, 0.05 * scores.var(0)))
        within = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(basis)))
        return cls(mean, scale, basis, between, within, tuple(sorted(vectors)))

    def draw_person(self, rng: np.random.Generator) -> DrawnWalker:
        """Draw a new person: scores, bones, clothes."""
        scores = self.between * _normal(rng, len(self.between))
        drawn = draw_person(int(rng.integers(2**31)))
        return DrawnWalker(scores, replace(drawn, build=self._build(scores, drawn.build)))

    def draw_walk(self, walker: DrawnWalker, rng: np.random.Generator) -> GaitCycle:
        """Draw a walk of a drawn person: the same bones, and a gait that varies like that of one person."""
        scores = walker.scores + self.within @ _normal(rng, len(self.within))
        today = another_walk(walker.person, int(rng.integers(2**31)))
        return assemble(self._motion(scores), today)

    def save(self, path: Path) -> None:
        """Write the model to a small ``.npz`` file; equal models give equal bytes."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in _ARRAYS}
        np.savez_compressed(path, **arrays, people=np.array(self.people))

    @classmethod
    def load(cls, path: Path = SHIPPED) -> GaitModel:
        """Load a model from a file, by default the shipped one.

        Raises:
            BadDataset: the file is not a model.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name].astype(np.float64) for name in _ARRAYS}
                people = tuple(str(name) for name in archive["people"])
        except (OSError, KeyError, ValueError) as error:
            raise BadDataset(f"{path} is not a gait model: {error}.") from error
        count = len(arrays["between"])
        if arrays["components"].shape != (count, _WIDTH) or arrays["within"].shape != (count, count):
            raise BadDataset(f"{path} is a gait model of another version.")
        return cls(**arrays, people=people)

    def _vector(self, scores: Array) -> Array:
        vector: Array = self.mean + self.scale * (scores @ self.components)
        return vector

    def _motion(self, scores: Array) -> Motion:
        vector = self._vector(scores)
        curves, at = {}, 0
        for name, harmonics in CURVES.items():
            curves[name] = vector[at : at + 1 + 2 * harmonics]
            at += 1 + 2 * harmonics
        return Motion(curves, float(np.exp(vector[at])))

    def _build(self, scores: Array, rest: Build) -> Build:
        vector = self._vector(scores)[-len(_BODY) - 1 :]
        lengths = dict(zip(_BODY, np.exp(vector[:-1]).tolist(), strict=True))
        return replace(rest, **lengths, stoop=float(np.clip(vector[-1], *_STOOPS)))


_ARRAYS = ("mean", "scale", "components", "between", "within")


def _vectors(walks: Sequence[Measured]) -> list[Array]:
    """Walks of one person as vectors (D,), with the person's bones."""
    build = kinect_build(walks)
    body = np.array([*(np.log(getattr(build, name)) for name in _BODY), build.stoop])
    motions = [motion(walk) for walk in walks]
    return [np.concatenate([*(m.curves[name] for name in CURVES), [np.log(m.seconds)], body]) for m in motions]


def _mirror() -> tuple[npt.NDArray[np.intp], Array]:
    """Permutation and signs of the coefficients when left and right are exchanged."""
    starts = dict(zip(CURVES, np.cumsum([0, *(1 + 2 * n for n in CURVES.values())]).tolist(), strict=False))
    order, sign = np.arange(_WIDTH), np.ones(_WIDTH)
    for name, harmonics in CURVES.items():
        side, _, limb = name.partition("_")
        other = {"left": f"right_{limb}", "right": f"left_{limb}"}.get(side, name)
        count = 1 + 2 * harmonics
        order[starts[name] : starts[name] + count] = starts[other] + np.arange(count)
        if name in ("lean", "neck", "roll", "turn"):  # the trunk's phase starts half a cycle later
            odd = np.repeat(np.arange(harmonics + 1), [1, *[2] * harmonics]) % 2
            flip = 1.0 - 2.0 * odd
            sign[starts[name] : starts[name] + count] = flip if name in ("lean", "neck") else -flip
    return order, sign


def _normal(rng: np.random.Generator, count: int) -> Array:
    return np.clip(rng.normal(size=count), -LIMIT, LIMIT)
