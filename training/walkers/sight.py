"""A person model's mistakes, as measured: ``python -m bench.perception_noise`` prints the figures below.

The pipeline's BlazePose watched rendered pictures of three people from eight sides. Joint errors are in torso lengths
(mid-shoulder to mid-hip), outline errors in pixels of a silhouette 64 high.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WOBBLE = 0.2  # standard deviation of the outline's error, pixels
_SLOPE = 0.42  # how much a softened share of cover falls in one pixel across an outline
_MIRROR = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
_TORSO = ((5, 6), (11, 12))
# Standard deviation of a joint's error, its likeness from frame to frame, and mean and deviation of the score.
_ERROR = [0.045, 0.045, 0.045, 0.05, 0.05, 0.05, 0.05, 0.08, 0.08, 0.12, 0.12, 0.06, 0.06, 0.08, 0.08, 0.08, 0.08]
_LIKENESS = 0.7
_SCORE = [0.97, 0.97, 0.97, 0.96, 0.96, 0.98, 0.98, 0.8, 0.8, 0.8, 0.8, 0.98, 0.98, 0.88, 0.88, 0.91, 0.91]
_SCORE_SPREAD = 0.12
_SWAPPED = 0.03
BLOB = 1.59
"""Standard deviation of a joint's blob in pixels of a 64 x 48 heatmap."""
PEAK = 0.78
"""Its height where the score is 1."""


def roughen(share: Tensor, noise: np.random.Generator) -> Tensor:
    """Shares of cover (M, H, W), M frames in time order, with outlines that wobble smoothly and now and then a hole."""
    m, h, w = share.shape
    source = _torch(noise, share.device)
    coarse = torch.randn(1, 1, m // 3 + 2, h // 5, w // 5, generator=source, device=share.device)
    wave = F.interpolate(coarse, (m, h, w), mode="trilinear", align_corners=True)[0, 0]
    # Interpolation halves a wave's deviation, about.
    # Never as much as half: that would make islands in the open and holes in the body.
    return share + ((2.0 * WOBBLE * _SLOPE) * wave).clamp(-0.42, 0.42)


def perceive(joints: Tensor, noise: np.random.Generator) -> Tensor:
    """Joints (B, T, 17, 3) as a pose network gives them: jitter that drifts, spells of left for right, scores."""
    b, t = joints.shape[:2]
    source = _torch(noise, joints.device)

    def drift(*size: int) -> Tensor:
        """Noise of deviation 1 with the likeness from frame to frame of a first-order process."""
        fresh = torch.randn(b, t, *size, generator=source, device=joints.device)
        age = torch.arange(t, device=joints.device)
        gap = (age[:, None] - age[None]).clamp_min(0)
        mix = torch.where(age[:, None] >= age[None], _LIKENESS**gap, 0.0) * np.sqrt(1 - _LIKENESS**2)
        mix[:, 0] /= np.sqrt(1 - _LIKENESS**2)
        return torch.einsum("ts,bs...->bt...", mix, fresh)

    error = joints.new_tensor(_ERROR)[:, None]
    middle = [joints[..., list(pair), :2].mean(2) for pair in _TORSO]
    torso = (middle[0] - middle[1]).norm(dim=-1)[..., None, None]
    # Heavy tails: some people and moments are harder than others.
    hardness = (0.35 * torch.randn(b, 1, 1, 1, generator=source, device=joints.device)).exp()
    off = drift(17, 2)
    scores = joints.new_tensor(_SCORE) - _SCORE_SPREAD * (0.5 * drift(17) + 0.5 * off.norm(dim=-1) - 0.6)
    seen = joints[..., :2] + off * error * torso * hardness
    # A spell of swapped legs: where a slow process is in its upper tail.
    level = torch.special.ndtri(torch.tensor(1 - _SWAPPED, device=joints.device))
    swapped = (drift(1) > level)[..., None]
    legs = torch.arange(17, device=joints.device)[:, None] >= 13
    seen = torch.where(swapped & legs, seen[..., _MIRROR, :], seen)
    return torch.cat((seen, scores.clamp(0.02, 1.0)[..., None]), -1)


def heatmaps(joints: Tensor, boxes: Tensor) -> Tensor:
    """Joint probabilities uint8 (B, T, 17, 64, 48) as the pipeline gives them.

    Args:
        joints: float32 (B, T, 17, 3), x, y in pixels and score.
        boxes: float32 (B, T, 4), grown to the upright 3:4 box of
            :func:`pipelines.perception.base.heatmap_box`.
    """
    x1, y1, x2, y2 = boxes[..., None, :].unbind(-1)
    height = 1.25 * torch.maximum(y2 - y1, (x2 - x1) * 4 / 3)
    step = height / 64
    x = (joints[..., 0] - (x1 + x2) / 2 + height * 3 / 8) / step - 0.5
    y = (joints[..., 1] - (y1 + y2) / 2 + height / 2) / step - 0.5
    across = torch.exp(-((torch.arange(48, device=x.device) - x[..., None]) ** 2) / (2 * BLOB**2))
    down = torch.exp(-((torch.arange(64, device=x.device) - y[..., None]) ** 2) / (2 * BLOB**2))
    peak = (255 * PEAK * joints[..., 2:3])[..., None]
    return (peak * down[..., :, None] * across[..., None, :]).round().to(torch.uint8)


def _torch(noise: np.random.Generator, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(noise.integers(2**62)))
