"""Gait sequences to embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.inference import Precision
from gaitkeeper.models.inference import embed as forward
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.tensors import at_rate, device_of, prepare

# Frames whose features fit into the processor's cache, or enough frames to fill a GPU.
BATCH_FRAMES = {"cpu": 256, "cuda": 2048}


def embed(
    seqs: Sequence[GaitSequence], net: GaitNetwork, *, batch_frames: int | None = None, precision: Precision = "fp32"
) -> Tensor:
    """Embeddings of sequences of any lengths, each the same as if it were embedded alone.

    Sequences of similar length share a batch, to compute little padding; memory grows with the larger of
    ``batch_frames`` and the longest sequence. The network runs in eval mode; its mode is restored.

    Args:
        seqs: N sequences of at least one frame each.
        net: the network, on the device it is to run on.
        batch_frames: maximum frames in one batch, including padding; a longer sequence is a batch of its own. None
            chooses by device.
        precision: as of :func:`gaitkeeper.models.inference.embed`.

    Returns:
        float32 (N, P, C) on the CPU, in the order of ``seqs``.

    Raises:
        TooShort, HeatmapsMissing: as :func:`gaitkeeper.pipelines.tensors.prepare`.
    """
    budget = batch_frames or BATCH_FRAMES.get(device_of(net).type, BATCH_FRAMES["cuda"])
    seqs = [at_rate(seq) for seq in seqs]
    out = torch.empty(len(seqs), *net.out_shape)
    for batch in _batches([len(seq) for seq in seqs], budget):
        tensors, lengths = prepare([seqs[i] for i in batch], net)
        out[batch] = forward(net, tensors, lengths, precision).cpu()
    return out


def _batches(lengths: list[int], budget: int) -> Iterator[list[int]]:
    """Indices by increasing length; the size of a batch times its longest sequence stays within the budget."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
