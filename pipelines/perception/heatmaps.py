"""Draw heatmaps from joints, for pose networks that give only joints, and for rendered or recorded joints.

Networks that read heatmaps are trained on these and used with BlazePose's. So blobs are as wide and as high as those of
BlazePose over 1,008 frames of rendered people (``python -m bench.perception_noise``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gaitkeeper.pipelines.sequence import HEATMAP

BLOB = 1.66
"""Standard deviation of a joint's blob in cells of a heatmap."""
PEAK, PEAK_SPREAD = 0.78, 0.14
"""Mean and standard deviation of a blob's height."""


def draw_heatmaps(joints: Tensor, boxes: Tensor) -> Tensor:
    """Joint probabilities like those of the pipeline: a round blob on every joint.

    Args:
        joints: float32 (..., 17, 3), x, y in pixels and score in [0, 1].
        boxes: float32 (..., 4), boxes of the people; a heatmap covers their
            :func:`gaitkeeper.pipelines.perception.base.heatmap_box`.

    Returns:
        uint8 (..., 17, 64, 48), round(255·p).
    """
    x1, y1, x2, y2 = boxes[..., None, :].unbind(-1)
    height = 1.25 * torch.maximum(y2 - y1, (x2 - x1) * 4 / 3)
    step = height / HEATMAP[1]
    x = (joints[..., 0] - (x1 + x2) / 2 + height * 3 / 8) / step - 0.5
    y = (joints[..., 1] - (y1 + y2) / 2 + height / 2) / step - 0.5
    rows, columns = (torch.arange(n, device=x.device, dtype=x.dtype) for n in HEATMAP[1:])
    across = torch.exp(-((columns - x[..., None]) ** 2) / (2 * BLOB**2))
    down = torch.exp(-((rows - y[..., None]) ** 2) / (2 * BLOB**2))
    # Higher scores give higher blobs; scores near 1 differ little, and so do their blobs.
    peak = (PEAK + PEAK_SPREAD * (2 * joints[..., 2:] - 1.85)).clamp(0.05, 1)
    return (255 * peak[..., None] * down[..., :, None] * across[..., None, :]).round().to(torch.uint8)
