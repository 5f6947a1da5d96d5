"""The part-wise distance: d(a, b) = 1/P · Σ_p ‖a_p − b_p‖₂.

GaitPart, section 3.4, "Testing". It ranks differently from the Euclidean distance of the concatenated parts.
"""

from __future__ import annotations

import torch
from torch import Tensor

PROBES = 256
# Bytes of one block of ``b`` in float64: as many as a core's cache holds, or enough to fill a GPU.
BLOCK = {"cpu": 1 << 21, "cuda": 1 << 28}


@torch.no_grad()
def part_distances(a: Tensor, b: Tensor) -> Tensor:
    """Distances between every embedding of ``a`` and every one of ``b``, float32 (N, M), at least 0.

    Squared distances are ‖a‖² + ‖b‖² − 2a·b by matrix products in float64. In float32 that sum cancels for near
    duplicates: at norms around 30 a distance of 0.01 would be lost. In float64 the error is about 1e-7 of the norm,
    which is below the precision of float32 embeddings. Blocks keep the memory, besides the result, to a few hundred
    rows.

    Args:
        a: (N, P, C), any floating-point type.
        b: (M, P, C), on the device of ``a``.

    Raises:
        ValueError: the parts or dims of ``a`` and ``b`` differ, or one is not (N, P, C).
    """
    if a.dim() != 3 or b.dim() != 3 or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"(N, P, C) and (M, P, C) expected, got {tuple(a.shape)} and {tuple(b.shape)}")
    out = torch.empty(len(a), len(b), dtype=torch.float32, device=a.device)
    rows = max(16, BLOCK.get(a.device.type, BLOCK["cuda"]) // (8 * max(1, a[0:1].numel(), b[0:1].numel())))
    for i in range(0, len(a), PROBES):
        probes = a[i : i + PROBES].transpose(0, 1).double()  # (P, n, C)
        for j in range(0, len(b), rows):
            block = b[j : j + rows].transpose(0, 1).double()
            norms = probes.square().sum(dim=2)[:, :, None] + block.square().sum(dim=2)[:, None]
            squared = torch.baddbmm(norms, probes, block.transpose(1, 2), alpha=-2)
            out[i : i + PROBES, j : j + rows] = squared.clamp_(min=0).sqrt_().mean(dim=0)
    return out
