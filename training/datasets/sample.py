"""The data types of training and evaluation: a recorded walk, and a data set as a list of walks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.quality import MIN_RATE, rate
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality
from gaitkeeper.training.errors import InputMissing

Array = npt.NDArray[Any]

NOMINAL_RATE = 30.0
"""Assumed frame rate of data sets without times, in hertz."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """The frames of one walk, T of them, in time order; inputs that the data set lacks are None.

    Attributes:
        silhouettes: uint8 (T, 64, 64), 0..255. Arrays of 44 columns are padded with ten empty ones on each side,
            which :func:`gaitkeeper.pipelines.tensors.prepare` removes again.
        joints: float32 (T, V, D). With ``skeleton`` "coco", (T, 17, 3): x, y in pixels and score in [0, 1]; with
            "kinect", (T, 20, 3): x right, y up, z away from the sensor, in metres.
        heatmaps: uint8 (T, 17, 64, 48), round(255·p).
        timestamps: float64 (T,), seconds, rising; at a nominal rate if the data set has no times.
        skeleton: skeleton of ``joints``.
        perception: origin of the inputs; part of an embedding's fingerprint.
    """

    silhouettes: Array | None = None
    joints: Array | None = None
    heatmaps: Array | None = None
    timestamps: Array | None = None
    skeleton: str = "coco"
    perception: str = "unknown"

    def __post_init__(self) -> None:
        lengths = {len(a) for a in (self.silhouettes, self.joints, self.heatmaps, self.timestamps) if a is not None}
        if len(lengths) != 1:
            raise ValueError(f"All inputs of a walk must have the same number of frames, got {sorted(lengths)}.")

    def __len__(self) -> int:
        return next(len(a) for a in (self.silhouettes, self.joints, self.heatmaps, self.timestamps) if a is not None)

    @property
    def present(self) -> frozenset[str]:
        """Names of the available inputs, out of "silhouettes", "joints", "heatmaps"."""
        return frozenset(name for name in ("silhouettes", "joints", "heatmaps") if getattr(self, name) is not None)

    def take(self, frames: Array | slice) -> Inputs:
        """The same walk with some of its frames, by index, mask or slice."""
        names = ("silhouettes", "joints", "heatmaps", "timestamps")
        cut = {name: a[frames] for name in names if (a := getattr(self, name)) is not None}
        return replace(self, **cut)

    def sequence(self, needs: Collection[str]) -> GaitSequence:
        """The walk as a gait sequence, for :func:`gaitkeeper.pipelines.tensors.prepare` and
        :func:`gaitkeeper.pipelines.embed.embed`.

        Missing inputs that are not needed become zeros. ``quality`` has only the number of frames and their rate.

        Args:
            needs: the ``inputs`` of the network that will read it.

        Raises:
            InputMissing: a needed input is missing, or the joints are not COCO's.
        """
        missing = set(needs) - self.present
        if missing:
            raise InputMissing(f"The network reads {', '.join(sorted(missing))}, which the data set does not have.")
        if "joints" in needs and self.skeleton != "coco":
            raise InputMissing(f"The network reads COCO-17 joints; these are of a {self.skeleton} skeleton.")
        t = len(self)
        times = self.timestamps if self.timestamps is not None else np.arange(t) / NOMINAL_RATE
        coco = self.joints is not None and self.skeleton == "coco"
        hertz = rate(times)
        return GaitSequence(
            silhouettes=np.zeros((t, 64, 64), np.uint8) if self.silhouettes is None else self.silhouettes,
            joints=np.asarray(self.joints, np.float32) if coco else np.zeros((t, 17, 3), np.float32),
            heatmaps=self.heatmaps,
            timestamps=np.asarray(times, np.float64),
            boxes=np.zeros((t, 4), np.float32),
            quality=Quality(
                frames=t,
                skipped={},
                mean_joint_score=float(self.joints[..., 2].mean()) if coco and self.joints is not None else 0.0,
                mask_stability=0.0,
                cut_off_share=0.0,
                gait_cycles=0.0,
                rate_hz=hertz,
                low_rate=hertz < MIN_RATE,
            ),
            perception=self.perception,
        )


@dataclass(frozen=True)
class Sample:
    """One walk of one person; its frames are read on demand.

    Attributes:
        subject: the person.
        condition: clothes or carried items, in the data set's notation ("nm", "bg", "cl"); "" without one.
        view: camera or direction, in the data set's notation ("090"); "" without one.
        take: recording of that condition, in the data set's notation ("01"); "" without one.
        read: function that reads the frames.
        outfit: number of the person's outfit, if the data set has it; else only ``condition`` describes the clothes.
        build: numbers that describe the person's body, if the data set has them; the same count for all walks.
    """

    subject: str
    condition: str
    view: str
    take: str
    read: Callable[[], Inputs] = field(repr=False, compare=False)
    outfit: str = ""
    build: tuple[float, ...] = ()

    @property
    def recording(self) -> str:
        """Condition and take in one word, ``nm-01``, as in the protocols."""
        return "-".join(part for part in (self.condition, self.take) if part)

    @property
    def key(self) -> str:
        """The sample's name in its data set, ``001-nm-01-090``."""
        return f"{self.subject}-{self.recording}-{self.view}"

    def load(self) -> Inputs:
        """Read the frames.

        Raises:
            BadDataset: the frames cannot be read.
        """
        return self.read()


@dataclass(frozen=True)
class Dataset(Sequence[Sample]):
    """A named list of samples in a fixed order."""

    name: str
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        return self.samples[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """The people, each once, sorted."""
        return tuple(sorted({sample.subject for sample in self.samples}))

    @cached_property
    def views(self) -> tuple[str, ...]:
        """The views, each once, sorted."""
        return tuple(sorted({sample.view for sample in self.samples}))

    def of(self, subjects: Collection[str]) -> Dataset:
        """The samples of some people."""
        return self.where(lambda sample: sample.subject in subjects)

    def where(self, keep: Callable[[Sample], bool]) -> Dataset:
        """The samples for which ``keep`` is true."""
        return Dataset(self.name, tuple(sample for sample in self.samples if keep(sample)))

    def drawn(self, count: int, seed: int) -> Dataset:
        """That many random samples in order, or all if there are not more."""
        chosen = np.random.default_rng(seed).permutation(len(self))[:count]
        return Dataset(self.name, tuple(self.samples[i] for i in sorted(chosen)))


def silhouettes64(frames: Array) -> Array:
    """Convert stored silhouettes of toolkits to uint8 (T, 64, 64), 0..255.

    Args:
        frames: (T, 64, 64) or (T, 64, 44); integers 0..255, or numbers 0..1 of a floating-point or boolean type.

    Raises:
        ValueError: another shape.
    """
    if frames.ndim != 3 or frames.shape[1] != 64 or frames.shape[2] not in (44, 64):
        raise ValueError(f"silhouettes (T, 64, 64) or (T, 64, 44) expected, got {frames.shape}")
    if frames.dtype == np.bool_ or (frames.dtype.kind == "f" and frames.size and frames.max() <= 1):
        frames = np.round(frames * np.float32(255))
    frames = frames.astype(np.uint8)
    return frames if frames.shape[2] == 64 else np.pad(frames, ((0, 0), (0, 0), (10, 10)))


def heatmaps_of(joints: Array, boxes: Array) -> Array:
    """Heatmaps drawn around joints, see :func:`gaitkeeper.pipelines.perception.heatmaps.draw_heatmaps`.

    Args:
        joints: float32 (T, 17, 3), x, y in pixels and score.
        boxes: float32 (T, 4), boxes of the person.

    Returns:
        uint8 (T, 17, 64, 48).
    """
    import torch

    from gaitkeeper.pipelines.perception.heatmaps import draw_heatmaps

    return np.asarray(draw_heatmaps(torch.from_numpy(joints), torch.from_numpy(boxes)))
