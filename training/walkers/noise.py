"""Smooth random fields: value noise on a repeating lattice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SIZE = 32


class Noise:
    """A smooth random function of space that repeats every 32 units.

    Args:
        seed: the same seed is the same function.
        device: where it is evaluated.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        lattice = torch.rand(_SIZE, _SIZE, _SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        for axis in range(3):  # one cell repeats at the far end, so that the lattice wraps
            lattice = torch.cat((lattice, lattice.narrow(axis, 0, 1)), axis)
        self._lattice = lattice[None, None].to(device)

    def __call__(self, points: Tensor) -> Tensor:
        """Values (N,) in [-1, 1] at points (N, 3); neighbouring lattice values are one unit apart."""
        wrapped = points - (points / _SIZE).floor() * _SIZE
        grid = (wrapped / (_SIZE / 2) - 1)[None, None, None]
        return F.grid_sample(self._lattice, grid, mode="bilinear", align_corners=True)[0, 0, 0, 0]

    def flat(self, points: Tensor) -> Tensor:
        """Values (H, W) in [-1, 1] at points (H, W, 2) of a plane."""
        wrapped = points - (points / _SIZE).floor() * _SIZE
        return F.grid_sample(self._lattice[:, :, 0], (wrapped / (_SIZE / 2) - 1)[None], align_corners=True)[0, 0]
