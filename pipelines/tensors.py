"""The one place where gait sequences become tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.pipelines.errors import HeatmapsMissing, TooShort
from gaitkeeper.pipelines.quality import RESAMPLE_BELOW
from gaitkeeper.pipelines.sequence import Array, GaitSequence

RATE = 30.0
"""Frame rate of the training data, in hertz."""

CUT = slice(10, 54)
"""The 44 middle columns of a silhouette: the field's networks take 64×44, ten columns cut from each side."""

SHOULDERS, HIPS = (5, 6), (11, 12)
"""COCO-17 indices, left and right."""


def prepare(seqs: Sequence[GaitSequence], net: GaitNetwork) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """The tensors that ``net`` reads, in its call order, on its device.

    Args:
        seqs: N sequences of at least one frame each; T below is the longest.
        net: the network; its ``inputs`` name the tensors.

    Returns:
        tensors: float32, frames after a sequence's end are zeros. ``silhouettes`` (N, T, 1, 64, 44) in [0, 1];
            ``joints`` (N, T, 17, 3), x and y centred on the mid-hip and divided by the sequence's median neck-to-hip
            length, score in [0, 1]; ``heatmaps`` (N, T, 17, 64, 48) in [0, 1].
        lengths: int64 (N,), or None if all sequences have the same length.

    Raises:
        ValueError: ``seqs`` is empty.
        TooShort: a sequence has no frame.
        HeatmapsMissing: the network reads heatmaps and a sequence has none.
    """
    if not seqs:
        raise ValueError("At least one gait sequence is needed.")
    if not all(len(seq) for seq in seqs):
        raise TooShort("The gait sequence has no frame.")
    seqs = [at_rate(seq) for seq in seqs]
    device = device_of(net)
    tensors = tuple(as_floats(padded([_frames(seq, name) for seq in seqs]).to(device)) for name in net.inputs)
    lengths = [len(seq) for seq in seqs]
    if len(set(lengths)) == 1:
        return tensors, None
    return tensors, torch.tensor(lengths, dtype=torch.int64, device=device)


def at_rate(seq: GaitSequence) -> GaitSequence:
    """Resample a sequence below 20 Hz to 30 Hz, with the nearest frame in time at each tick; others are unchanged.

    Networks that read time were trained on steps at 30 Hz. Gaps of more than two frames are not filled.
    """
    if seq.quality.rate_hz >= RESAMPLE_BELOW or len(seq) < 2:
        return seq
    times = seq.timestamps
    ticks = np.arange(times[0], times[-1] + 1e-6, 1 / RATE)
    after = np.clip(np.searchsorted(times, ticks), 1, len(times) - 1)
    nearest = np.where(ticks - times[after - 1] <= times[after] - ticks, after - 1, after)
    seen = np.abs(times[nearest] - ticks) <= np.median(np.diff(times))
    nearest = nearest[seen]
    return replace(
        seq,
        silhouettes=seq.silhouettes[nearest],
        joints=seq.joints[nearest],
        heatmaps=None if seq.heatmaps is None else seq.heatmaps[nearest],
        timestamps=ticks[seen],
        boxes=seq.boxes[nearest],
        quality=replace(seq.quality, rate_hz=RATE, low_rate=False),
    )


def device_of(net: GaitNetwork) -> torch.device:
    """The device of the network's parameters; the CPU for a network without parameters."""
    tensor = next(chain(net.parameters(), net.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def normalise_joints(joints: Array) -> Array:
    """Joints as networks read them.

    The unit is the median, over the frames that show both shoulders and both hips (all frames if no frame does), of
    the distance from the middle of the shoulders to the middle of the hips; at least one pixel.

    Args:
        joints: float32 (T, 17, 3), COCO-17 x, y in pixels and score; T at least 1.

    Returns:
        float32 (T, 17, 3); x and y from the mid-hip in units of the neck-to-hip length, score unchanged.
    """
    xy = joints[..., :2]
    neck = xy[:, SHOULDERS].mean(axis=1)
    mid_hip = xy[:, HIPS].mean(axis=1)
    lengths = np.linalg.norm(neck - mid_hip, axis=-1)
    seen = (joints[:, SHOULDERS + HIPS, 2] > 0).all(axis=1)
    unit = max(float(np.median(lengths[seen] if seen.any() else lengths)), 1.0)
    out = joints.copy()
    out[..., :2] = (xy - mid_hip[:, None]) / unit
    return out


AS_READ: dict[str, Callable[[Array], Array]] = {
    "silhouettes": lambda frames: frames[:, None, :, CUT],
    "joints": normalise_joints,
    "heatmaps": lambda frames: frames,
}
"""How networks read the frames (T, ...) of each input. Pictures stay uint8 until :func:`as_floats`."""


def padded(arrays: Sequence[Array]) -> Tensor:
    """Arrays (T, ...) of one type as a tensor (N, T, ...), with zeros after the end of the shorter ones."""
    longest = max(len(a) for a in arrays)
    out = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, a in zip(out, arrays, strict=True):
        row[: len(a)] = a
    return torch.from_numpy(out)


def as_floats(tensor: Tensor) -> Tensor:
    """The tensor as float32; the values of pictures from 0..255 to 0..1."""
    return tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor.float()


def _frames(seq: GaitSequence, name: str) -> Array:
    frames: Array | None = getattr(seq, name)
    if frames is None:
        raise HeatmapsMissing("The network reads joint heatmaps, and the gait sequence was stored without them.")
    return AS_READ[name](frames)
