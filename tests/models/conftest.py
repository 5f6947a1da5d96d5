"""Inputs for any network: random walkers drawn to the shapes and ranges that networks are promised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork

Inputs = Callable[..., tuple[Tensor, ...]]

# COCO-17 of a standing person from the front, in neck-to-hip lengths from the mid-hip, y downwards.
STANDING = torch.tensor(
    [
        [0.0, -1.4],
        [0.08, -1.45],
        [-0.08, -1.45],
        [0.16, -1.4],
        [-0.16, -1.4],
        [0.35, -1.0],
        [-0.35, -1.0],
        [0.45, -0.5],
        [-0.45, -0.5],
        [0.5, 0.0],
        [-0.5, 0.0],
        [0.2, 0.0],
        [-0.2, 0.0],
        [0.22, 0.8],
        [-0.22, 0.8],
        [0.24, 1.6],
        [-0.24, 1.6],
    ]
)


def silhouettes(n: int, frames: int, generator: torch.Generator) -> Tensor:
    """An ellipse of random width and lean, its edge ragged: (N, T, 1, 64, 44), 0 or 1."""
    y = torch.linspace(-1, 1, 64)[:, None]
    x = torch.linspace(-1, 1, 44)[None, :]
    width, lean, rag = torch.rand(3, n, frames, 1, 1, 1, generator=generator)
    edge = ((x - (lean - 0.5) * y) / (0.3 + 0.4 * width)) ** 2 + y**2
    return (edge + 0.3 * rag * torch.rand(n, frames, 1, 64, 44, generator=generator) < 1).float()


def joints(n: int, frames: int, generator: torch.Generator) -> Tensor:
    """A standing person who fidgets: (N, T, 17, 3), x and y in neck-to-hip lengths, score in [0, 1]."""
    xy = STANDING + 0.1 * torch.randn(n, frames, 17, 2, generator=generator)
    return torch.cat([xy, torch.rand(n, frames, 17, 1, generator=generator)], dim=3)


def heatmaps(n: int, frames: int, generator: torch.Generator) -> Tensor:
    """A blob at each of those joints: (N, T, 17, 64, 48) in [0, 1]."""
    found = joints(n, frames, generator)
    x = (found[..., 0] * 14 + 24)[..., None, None]
    y = (found[..., 1] * 17 + 32)[..., None, None]
    rows, columns = torch.arange(64.0)[:, None], torch.arange(48.0)
    return found[..., 2:, None] * torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8)


DRAW = {"silhouettes": silhouettes, "joints": joints, "heatmaps": heatmaps}


@pytest.fixture
def draw_inputs() -> Inputs:
    """``draw_inputs(net, n, frames)`` gives the tensors of ``net.inputs``, the same in every run."""

    def draw(net: GaitNetwork, n: int, frames: int, seed: int = 0) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        return tuple(DRAW[name](n, frames, generator) for name in net.inputs)

    return draw
