"""Embed a data set, with a few walks in memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.inference import embed as forward
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.tensors import device_of
from gaitkeeper.training.datasets.kinect import xy16
from gaitkeeper.training.datasets.sample import Dataset, Inputs, Sample
from gaitkeeper.training.errors import BadDataset, InputMissing

CHUNK = 64


@dataclass(frozen=True, eq=False)
class Embedded:
    """Walks and their embeddings.

    Attributes:
        samples: N walks.
        embeddings: float32 (N, P, C), on the CPU.
        skipped: walks that could not be embedded, with the reason, by key.
    """

    samples: tuple[Sample, ...]
    embeddings: Tensor
    skipped: dict[str, str]

    @property
    def subjects(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """The person of each walk (N,)."""
        return np.array([sample.subject for sample in self.samples])

    @property
    def views(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """The view of each walk (N,)."""
        return np.array([sample.view for sample in self.samples])


def embed_dataset(
    net: GaitNetwork,
    dataset: Dataset,
    *,
    batch_frames: int = 512,
    scaled: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Embeddings of whole walks, with :func:`gaitkeeper.pipelines.embed.embed`.

    Args:
        net: the network, on the device to run on.
        dataset: the data set; its samples are read once, in order.
        batch_frames: maximum frames in one batch.
        scaled: a network of the Kinect's skeleton reads joints in units of the torso, not metres.
        on_progress: called with the number of finished walks.

    Raises:
        InputMissing: the data set lacks an input of the network.
        BadDataset: no walk could be read.
    """
    kept: list[Sample] = []
    parts: list[Tensor] = []
    skipped: dict[str, str] = {}
    kinect = getattr(net.config, "skeleton", "coco") == "kinect"
    for start in range(0, len(dataset), CHUNK):
        sequences = []
        for sample in dataset.samples[start : start + CHUNK]:
            try:
                walk = sample.load()
                if kinect:
                    parts.append(_embed_kinect(net, walk, scaled))
                else:
                    sequences.append(walk.sequence(net.inputs))
            except InputMissing:
                raise
            except BadDataset as error:
                skipped[sample.key] = error.detail
                continue
            kept.append(sample)
        if sequences:
            parts.append(embed(sequences, net, batch_frames=batch_frames))
        if on_progress is not None:
            on_progress(min(start + CHUNK, len(dataset)))
    if not kept:
        raise BadDataset(f"None of the {len(dataset)} walks of {dataset.name!r} can be read.")
    return Embedded(tuple(kept), torch.cat(parts), skipped)


def _embed_kinect(net: GaitNetwork, walk: Inputs, scaled: bool) -> Tensor:
    """Embedding (1, P, C) of one walk with joints other than those of a gait sequence."""
    if walk.joints is None or walk.skeleton != "kinect":
        raise InputMissing("The network reads Kinect joints, which the data set does not have.")
    joints = torch.from_numpy(xy16(walk.joints, scaled=scaled))[None]
    return forward(net, [joints.to(device_of(net))], precision="fp32").cpu()
