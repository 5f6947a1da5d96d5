"""From walks to batches of tensors: read, prepare for the network, cut, augment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.pipelines.tensors import AS_READ, as_floats, padded
from gaitkeeper.training.augment import OF_FRAMES, OF_OUTLINES, OF_PICTURES, augment
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.datasets import Dataset, Inputs, load_partition, open_dataset
from gaitkeeper.training.datasets.kinect import xy16
from gaitkeeper.training.datasets.sample import Array
from gaitkeeper.training.errors import BadTrainingConfig, InputMissing
from gaitkeeper.training.folds import stratified_folds
from gaitkeeper.training.samplers import PKSampler, at_positions, frame_positions

Made = tuple[tuple[Tensor, ...], Tensor | None]


@dataclass(frozen=True)
class Batch:
    """N sequences of T frames.

    Attributes:
        tensors: in the network's call order, float32 (N, T, ...).
        subjects: int64 (N,), indices into the data set's sorted people.
        views: int64 (N,), indices into its sorted views.
        lengths: int64 (N,), the true frames of each; None if all T are true.
    """

    tensors: tuple[Tensor, ...]
    subjects: Tensor
    views: Tensor
    lengths: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with a function applied to each tensor, for example to move it to a device."""
        lengths = None if self.lengths is None else change(self.lengths)
        return Batch(tuple(change(x) for x in self.tensors), change(self.subjects), change(self.views), lengths)


def training_walks(config: TrainingConfig) -> Dataset:
    """The walks that a configuration trains on: a part of a partition, all folds but one, or all.

    Raises:
        BadDataset: the walks cannot be found (see :func:`gaitkeeper.training.datasets.open_dataset`).
        BadTrainingConfig: there is no such fold.
    """
    table = config.data
    walks = open_dataset(table.format, table.root)
    if table.partition is not None:
        walks = load_partition(table.partition).of(walks, table.part)
    if table.folds is not None:
        train, _ = stratified_folds(walks, table.folds)[table.fold]
        walks = Dataset(walks.name, tuple(walks[i] for i in train))
    return walks


def arrays(inputs: Inputs, net: GaitNetwork, *, scaled: bool = False, min_score: float = 0.0) -> dict[str, Array]:
    """One walk as ``net`` reads it, frame by frame.

    Args:
        inputs: inputs of a sample.
        net: the network; its ``inputs`` and skeleton determine the result.
        scaled: Kinect joints in units of the torso instead of metres.
        min_score: frames whose mean joint score (of heatmaps: mean peak) is lower are left out.

    Returns:
        by name: silhouettes uint8 (T, 1, 64, 44), heatmaps uint8 (T, 17, 64, 48), joints float32 (T, 17, 3) normalised,
        or (T, 16, 2) of the Kinect.

    Raises:
        InputMissing: the walk lacks an input of the network.
    """
    skeleton = getattr(net.config, "skeleton", "coco")
    missing = sorted(set(net.inputs) - inputs.present)
    if missing or ("joints" in net.inputs and inputs.skeleton != skeleton):
        what = ", ".join(missing) or f"joints of the {skeleton} skeleton"
        raise InputMissing(f"The network reads {what}, which the data set does not have.")
    out: dict[str, Array] = {}
    kept = np.ones(len(inputs), np.bool_)
    if "silhouettes" in net.inputs and inputs.silhouettes is not None:
        out["silhouettes"] = AS_READ["silhouettes"](inputs.silhouettes)
    if "heatmaps" in net.inputs and inputs.heatmaps is not None:
        out["heatmaps"] = AS_READ["heatmaps"](inputs.heatmaps)
        kept &= inputs.heatmaps.max(axis=(2, 3)).mean(axis=1) >= 255 * min_score
    if "joints" in net.inputs and inputs.joints is not None:
        if skeleton == "kinect":
            out["joints"] = xy16(inputs.joints, scaled=scaled)
        else:
            kept &= inputs.joints[..., 2].mean(axis=1) >= min_score
            out["joints"] = AS_READ["joints"](inputs.joints)
    return {name: out[name][kept] for name in net.inputs}


class Batches(TorchDataset[Batch]):
    """The batches of a training by step number; every process gives the same batch for a step.

    Args:
        config: configuration of the training.
        walks: training data.
        net: the network; only its ``inputs`` and config are read.
        rank, ranks: index and number of processes; each process has the takes of its own share of the people.

    Raises:
        BadTrainingConfig: the people of a batch cannot be drawn, or divided among the processes.
    """

    def __init__(
        self, config: TrainingConfig, walks: Dataset, net: GaitNetwork, *, rank: int = 0, ranks: int = 1
    ) -> None:
        table = config.batch
        if table.people % (ranks * config.run.accumulate):
            raise BadTrainingConfig(
                f"{table.people} people cannot be shared by {ranks * config.run.accumulate} passes."
            )
        self.config = config
        self.walks = walks
        self.net = net
        self.rank = rank
        self.share = table.people * table.takes // ranks
        subjects = [sample.subject for sample in walks]
        views = [sample.view for sample in walks]
        self.sampler = PKSampler(
            *(subjects, views, table.people, table.takes),
            seed=config.seed,
            by_view=table.by_view,
            outfits=[sample.outfit or sample.condition for sample in walks],
            one_outfit=table.one_outfit,
            builds=np.array([sample.build for sample in walks]) if all(sample.build for sample in walks) else None,
            alike=table.alike,
        )
        self.subjects = [walks.subjects.index(subject) for subject in subjects]
        self.views = [walks.views.index(view) for view in views]
        self.cache: dict[int, dict[str, Array]] = {}

    def __getitem__(self, step: int) -> Batch:
        places = range(self.rank * self.share, (self.rank + 1) * self.share)
        chosen = self.sampler.batch(step)
        walks = [self._long_enough(chosen[place]) for place in places]
        cuts = [self._cut(arrays, step, place) for (_, arrays), place in zip(walks, places, strict=True)]
        seed = np.random.default_rng((self.config.seed, step, self.rank, 1)).integers(2**63)
        generator = torch.Generator().manual_seed(int(seed))
        indices = [index for index, _ in walks]
        tensors, lengths = self._condensed(cuts, generator) or self._framewise(cuts, generator)
        subjects = torch.tensor([self.subjects[i] for i in indices])
        return Batch(tensors, subjects, torch.tensor([self.views[i] for i in indices]), lengths)

    def _framewise(self, cuts: list[dict[str, Array]], generator: torch.Generator) -> Made:
        lengths = torch.tensor([_length(cut) for cut in cuts])
        inputs = {name: as_floats(padded([cut[name] for cut in cuts])) for name in self.net.inputs}
        inputs = augment(inputs, self.config.augment, generator)
        equal = bool((lengths == lengths[0]).all())
        return tuple(inputs[name] for name in self.net.inputs), None if equal else lengths

    def _condensed(self, cuts: list[dict[str, Array]], generator: torch.Generator) -> Made | None:
        """For a network that pools frames first: the pooled picture of each cut, augmented after pooling. For a mean
        the result is the same, and costs one picture per walk instead of one per frame. None for other networks.
        """
        table = self.config.augment
        on_outlines, on_frames = table.only(*OF_OUTLINES), table.only(*OF_FRAMES)
        pictures = []
        for cut in cuts:
            frames = {name: torch.from_numpy(cut[name])[None] for name in self.net.inputs}
            frames = augment(frames, on_outlines, generator)
            frames = {name: as_floats(x) for name, x in frames.items()}
            frames = augment(frames, on_frames, generator)
            picture = self.net.condense(*(frames[name] for name in self.net.inputs))
            if picture is None:
                return None
            pictures.append(picture)
        (name,) = self.net.inputs
        moved = augment({name: torch.cat(pictures)}, table.only(*OF_PICTURES), generator)
        return (moved[name],), None

    def _cut(self, walk: dict[str, Array], step: int, place: int) -> dict[str, Array]:
        rng = np.random.default_rng((self.config.seed, step, place, 0))
        positions = frame_positions(_length(walk), self.config.batch, rng)
        return {name: at_positions(frames, positions) for name, frames in walk.items()}

    def _long_enough(self, index: int) -> tuple[int, dict[str, Array]]:
        """The walk, or if it is too short the person's next walk that is long enough."""
        own = self.sampler.walks[self.walks[index].subject]
        at = own.index(index)
        for other in own[at:] + own[:at]:
            walk = self._walk(other)
            if _length(walk) >= self.config.batch.min_frames:
                return other, walk
        raise BadTrainingConfig(
            f"{self.walks[index].subject!r} has no walk of {self.config.batch.min_frames} frames; "
            "leave the person out or lower batch.min_frames."
        )

    def _walk(self, index: int) -> dict[str, Array]:
        if index in self.cache:
            return self.cache[index]
        table = self.config.data
        walk = arrays(self.walks[index].load(), self.net, scaled=table.scaled, min_score=table.min_score)
        if table.cache:
            self.cache[index] = walk
        return walk


def _length(walk: dict[str, Array]) -> int:
    return len(next(iter(walk.values())))
