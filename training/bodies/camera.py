"""A perspective camera: position, direction, and the projection of points and rays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels.

    Attributes:
        position: (x, y, z) in metres, z above the floor.
        target: the point (x, y, z) at the middle of the picture.
        focal: focal length in pixels.
        width, height: of the picture in pixels.
        roll: rotation around the line of sight in radians, clockwise positive in the picture.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    focal: float
    width: int
    height: int
    roll: float = 0.0

    @classmethod
    def around(
        cls,
        target: tuple[float, float, float],
        azimuth: float,
        distance: float,
        height: float,
        size: tuple[int, int],
        view: float = 2.4,
        roll: float = 0.0,
    ) -> Camera:
        """A camera seen from the target at an azimuth in degrees.

        Args:
            target: the point that it looks at.
            azimuth: degrees; for a person who walks along +x, 0 sees the face, 90 the left side, 180 the back.
            distance: horizontal distance from target to camera in metres.
            height: metres above the floor.
            size: (width, height) in pixels.
            view: metres that the picture's height covers at the target.
            roll: radians.
        """
        a = math.radians(azimuth)
        position = (target[0] + distance * math.cos(a), target[1] + distance * math.sin(a), height)
        away = math.hypot(distance, height - target[2])
        return cls(position, target, size[1] * away / view, *size, roll)

    @classmethod
    def framing(
        cls,
        points: Tensor,
        azimuth: float,
        distance: float,
        height: float,
        size: tuple[int, int],
        fill: float = 0.94,
        roll: float = 0.0,
    ) -> Camera:
        """A camera that shows points (N, 3) centred and as large as fits the picture.

        Args:
            points: points that must be in the picture.
            azimuth, distance, height: position, as in :meth:`around`, relative to the points' mean.
            size: (width, height) in pixels.
            fill: share of the picture's width or height, whichever is tighter, that the points fill.
            roll: radians.
        """
        target = points.mean(0)
        around = cls.around((float(target[0]), float(target[1]), float(target[2])), azimuth, distance, height, size)
        camera = cls(around.position, around.target, 1.0, *size, roll)
        for _ in range(6):  # turning the camera changes the extents a little, so aim again
            seen = camera.project(points)
            low, high = seen[:, :2].amin(0), seen[:, :2].amax(0)
            off = (low + high) / 2 - torch.tensor(size) / 2
            ray = torch.tensor([float(off[0]), float(off[1]), 1.0]) @ camera.axes()
            aim = torch.tensor(camera.position) + ray * distance
            camera = cls(camera.position, (float(aim[0]), float(aim[1]), float(aim[2])), 1.0, *size, roll)
        seen = camera.project(points)[:, :2] - torch.tensor(size) / 2
        focal = fill * float((torch.tensor(size) / 2 / seen.abs().amax(0)).min())
        return cls(camera.position, camera.target, focal, *size, roll)

    def axes(self) -> Tensor:
        """World directions of the picture's right, down and forward, as rows, (3, 3) float32."""
        forward = torch.tensor(self.target, dtype=torch.float64) - torch.tensor(self.position, dtype=torch.float64)
        forward = torch.nn.functional.normalize(forward, dim=0)
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        right = torch.nn.functional.normalize(right, dim=0)
        down = torch.linalg.cross(forward, right)
        c, s = math.cos(self.roll), math.sin(self.roll)
        return torch.stack((c * right - s * down, s * right + c * down, forward)).float()

    def project(self, points: Tensor) -> Tensor:
        """Pixels x, y and depth in metres (..., 3) of points (..., 3); a pixel's centre is at half-integers.

        Points behind the camera keep a small positive depth, to avoid division by zero: clip before.
        """
        seen = (points - torch.tensor(self.position, device=points.device)) @ self.axes().to(points.device).T
        depth = seen[..., 2].clamp_min(0.05)
        x = self.focal * seen[..., 0] / depth + self.width / 2
        y = self.focal * seen[..., 1] / depth + self.height / 2
        return torch.stack((x, y, depth), -1)
