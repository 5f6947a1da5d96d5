"""Gait sequences to embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from models.base import GaitNetwork
from pipelines.sequence import GaitSequence
from pipelines.tensors import prepare


def embed(seqs: Sequence[GaitSequence], net: GaitNetwork, *, batch_frames: int = 256) -> Tensor:
    """Embeddings of sequences of any lengths, each the same as if it were embedded alone.

    Sequences of like lengths share a batch, so that little padding is computed; memory follows the longer of
    ``batch_frames`` and the longest sequence. The network runs in eval mode and is left in the mode it was in.

    Args:
        seqs: N sequences of at least one frame each.
        net: the network, on the device it is to run on.
        batch_frames: most frames in one batch, padding included; a longer sequence is a batch of its own.

    Returns:
        float32 (N, P, C) on the CPU, in the order of ``seqs``.

    Raises:
        TooShort, HeatmapsMissing: as :func:`pipelines.tensors.prepare`.
    """
    out = torch.empty(len(seqs), *net.out_shape)
    training = net.training
    net.eval()
    try:
        with torch.inference_mode():
            for batch in _batches([len(seq) for seq in seqs], batch_frames):
                tensors, lengths = prepare([seqs[i] for i in batch], net)
                out[batch] = net(*tensors, lengths=lengths).float().cpu()
    finally:
        net.train(training)
    return out


def _batches(lengths: list[int], budget: int) -> Iterator[list[int]]:
    """Indices by rising length; a batch's size times its longest stays within the budget."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
