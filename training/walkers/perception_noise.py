"""Simulated errors of perception; ``python -m bench.perception_noise`` measures such errors.

For these constants the pipeline's BlazePose processed 1,008 rendered frames of three people from eight sides, plainer
walkers than those that the bench renders now. Its masks were nearly correct: IoU 0.975 (1 % quantile 0.951), outlines
off by 0.16 pixels for a silhouette 64 high (standard deviation, 95 % within 0.36), without islands or holes. So joints
need noise more than silhouettes do. Their errors in torso lengths, mid-shoulder to mid-hip, are 0.03 to 0.06 for head
and shoulders, and 0.06 to 0.11 for limbs. In 3 % of the frames a leg joint is swapped with that of the other side. Hips
are detected 0.136 lower than the walkers' hip joints. From the sides, the score of the far arm has a median of 0.18,
against 0.99 (elbow) and 0.95 (wrist) for the near one; that of the far knee is 0.76 against 0.98.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WOBBLE = 0.16
"""Standard deviation of an outline's error in pixels of a silhouette."""

_FALL = 0.42  # decrease of the softened coverage per pixel across an outline
_MIRROR = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
_HIPS = (11, 12)
_HIPS_LOW = 0.136
_SWAPPED = 0.033
# By COCO joint: deviation of x and y, correlation from frame to frame, mean log-odds of the score and their deviation,
# and the change for the far side of a body seen from the side: log-odds, and relative error.
_HEAD = [(0.044, 0.039, 0.92, 5.8, 0.8, 0.0, 0.0)]
_HEAD += 2 * [(0.060, 0.033, 0.94, 5.4, 1.0, 0.0, 0.0)] + 2 * [(0.052, 0.022, 0.84, 5.2, 1.2, 0.0, 0.0)]
_SHOULDER, _HIP = (0.062, 0.034, 0.66, 7.2, 0.8, 0.0, 0.0), (0.054, 0.055, 0.87, 7.2, 0.8, 0.0, 0.0)
_ELBOW, _WRIST = (0.078, 0.060, 0.71, 1.5, 2.3, -2.9, 0.10), (0.105, 0.080, 0.60, 0.7, 2.3, -2.2, 0.26)
_KNEE, _ANKLE = (0.079, 0.070, 0.71, 2.5, 1.6, -1.3, 0.07), (0.073, 0.084, 0.65, 2.9, 1.5, -0.75, 0.06)
_JOINTS = [*_HEAD, *(joint for joint in (_SHOULDER, _ELBOW, _WRIST, _HIP, _KNEE, _ANKLE) for _ in range(2))]


def roughen(share: Tensor, noise: np.random.Generator) -> Tensor:
    """Coverage (M, H, W), M frames in time order, with outlines that vary smoothly in space and time."""
    m, h, w = share.shape
    coarse = torch.randn(1, 1, m // 3 + 2, h // 6, w // 6, generator=_torch(noise, share.device), device=share.device)
    wave = F.interpolate(coarse, (m, h, w), mode="trilinear", align_corners=True)[0, 0]
    # The factor gives the measured share of differing pixels, 1.2 %, and compensates the smoothing of interpolation.
    # Values stay below one half, which would make islands and holes.
    return share + (3.4 * WOBBLE * _FALL * wave).clamp(-0.42, 0.42)


def perceive(joints: Tensor, far: Tensor, noise: np.random.Generator) -> Tensor:
    """Joints (B, T, 17, 3) with the errors of a pose network: drifting jitter, swapped legs for a while, scores.

    Args:
        joints: float32, the truth: x, y in pixels; the score is not read.
        far: float32 (B, T), 1 where the left side faces away from the camera, -1 where it faces the camera, 0 from
            ahead and behind.
        noise: random generator.
    """
    source = _torch(noise, joints.device)
    across, along, likeness, middle, spread, hidden, worse = joints.new_tensor(_JOINTS).T
    sides = torch.where(torch.arange(17, device=joints.device) % 2 == 1, far[..., None], -far[..., None])
    shoulders, hips = joints[..., 5:7, :2].mean(2), joints[..., 11:13, :2].mean(2)
    torso = (shoulders - hips).norm(dim=-1)[..., None, None]
    error = torch.stack([_drift(joints, likeness, source) for _ in range(2)], -1)
    error = error * torch.stack((across, along), -1)
    error[..., _HIPS, 1] += _HIPS_LOW
    seen = joints[..., :2] + error * (1 + worse * sides)[..., None] * torso
    # Legs are swapped while a slow random process is in its upper tail.
    tail = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - 2 * _SWAPPED)))
    crossed = _drift(joints, joints.new_tensor([0.8]), source) > tail
    legs = torch.arange(17, device=joints.device) >= 13
    seen = torch.where((crossed & legs)[..., None], seen[..., _MIRROR, :], seen)
    # Large errors have low scores: half of the variation of the score comes from the size of the error.
    size = error.square().sum(-1).sqrt() / (across**2 + along**2).sqrt()
    mood = 0.85 * _drift(joints, likeness, source) - 0.9 * (size - 0.9)
    return torch.cat((seen, torch.sigmoid(middle + hidden * sides + spread * mood)[..., None]), -1)


def _drift(like: Tensor, likeness: Tensor, source: torch.Generator) -> Tensor:
    """Noise (B, T, K) of deviation 1; each of K is a first-order process with its correlation from frame to frame."""
    b, t = like.shape[:2]
    fresh = torch.randn(b, t, len(likeness), generator=source, device=like.device)
    age = torch.arange(t, device=like.device)
    gap = age[:, None] - age[None]
    mix = torch.where(gap[..., None] >= 0, likeness ** gap[..., None].clamp_min(0), 0.0)
    # The first frame represents all earlier ones.
    mix = mix * torch.where(age[:, None] > 0, (1 - likeness**2).sqrt(), 1.0)
    return torch.einsum("tsk,bsk->btk", mix, fresh)


def _torch(noise: np.random.Generator, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(noise.integers(2**62)))
