"""A forward pass at inference, in the fastest precision that agrees with float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork

Precision = Literal["auto", "fp32", "fp16", "bf16"]
HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def embed(
    net: GaitNetwork, tensors: Sequence[Tensor], lengths: Tensor | None = None, precision: Precision = "auto"
) -> Tensor:
    """Embeddings (N, P, C), float32, without gradients, in eval mode; the mode is restored.

    "bf16" multiplies in bfloat16 and sums in float32: with instructions for it (GPUs, processors with AMX or AVX-512
    BF16) it takes half the time in most networks, and embeddings e stay within 1 % of float32,
    ‖e − e₃₂‖ ≤ 0.01 · ‖e₃₂‖ over all parts, within 2 % in each. "fp16" does so in float16, which has three bits more
    and a range of its own, ±65504.

    Args:
        net: on the device of ``tensors``.
        tensors: in the order of ``net.inputs``; shapes and ranges as :class:`gaitkeeper.models.base.GaitNetwork` says.
        lengths: (N,) int64, or None if all are equal.
        precision: "auto" is "bf16" if the device has instructions for it, else "fp32".
    """
    device = tensors[0].device
    if precision == "auto":
        precision = "bf16" if bf16_in_hardware(device) else "fp32"
    half = HALVES.get(precision)
    training = net.training
    net.eval()
    try:
        with torch.inference_mode(), torch.autocast(device.type, half, enabled=half is not None):
            return net(*tensors, lengths=lengths).float()  # type: ignore[no-any-return]
    finally:
        net.train(training)


def bf16_in_hardware(device: torch.device) -> bool:
    """True if bfloat16 is faster than float32: on GPUs that have it, on processors with AMX or AVX-512 BF16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device.type == "cpu" and bool(supported)
