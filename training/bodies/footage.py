"""A clip of real bodies: who walks where, before which camera; its frames with the truth, and its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.bodies.encode import encode
from gaitkeeper.training.bodies.pictures import Backdrop, Figure, Lamp, Picture, Viewpoint, pictures
from gaitkeeper.training.bodies.recording import Image, Recording

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture and the truth about the K people in it.

    Attributes:
        image: RGB uint8 (H, W, 3).
        cover: float32 (K, H, W), share of each pixel in [0, 1] that shows each person.
        joints: float32 (K, 17, 2), COCO-17 x and y in pixels, also if hidden or outside the picture.
        boxes: float32 (K, 4), x1 y1 x2 y2 in pixels of what would be seen of each person alone, also outside.
    """

    image: Image
    cover: Array
    joints: Array
    boxes: Array


@dataclass(frozen=True, eq=False)
class BodyClip:
    """Contents of a clip.

    Attributes:
        figures: the walkers, each in ``count`` frames.
        view, backdrop, lamp: camera, room and light.
        recording: what the camera makes of it; its ``rate`` is that of the frames.
        seed: seed of the sensor's noise.
        count: number of frames.
    """

    figures: Sequence[Figure]
    view: Viewpoint
    backdrop: Backdrop
    lamp: Lamp
    recording: Recording
    seed: int
    count: int

    def frames(self) -> Iterator[Frame]:
        """The frames, without compression."""
        joints, boxes = self._truth
        film = replace(self.recording, codec=None).film(self._shots(), self.seed)
        for number, (image, cover) in enumerate(film):
            yield Frame(image, cover, joints[number], boxes[number])

    def write(self, path: Path, crf: int = 20) -> Path:
        """Write an H.264 mp4 file; a higher ``crf`` makes a smaller file. Returns the path."""
        encode(path, (frame.image for frame in self.frames()), self.view.size, self.recording.rate, crf=crf)
        return path

    def _shots(self) -> Iterator[Picture]:
        if self.figures:
            yield from pictures(self.figures, self.view, self.backdrop, self.lamp)
        else:
            nobody = np.zeros((0, *self.backdrop.floor.shape), np.float32)
            yield from (Picture(self.backdrop.picture, nobody) for _ in range(self.count))

    @cached_property
    def _truth(self) -> tuple[Array, Array]:
        """Joints (T, K, 17, 2) and boxes (T, K, 4) in pixels."""
        joints = np.zeros((self.count, len(self.figures), 17, 2), np.float32)
        boxes = np.zeros((self.count, len(self.figures), 4), np.float32)
        view, middle = self.view, np.array(self.view.size) / 2
        for row, figure in enumerate(self.figures):
            _, extent, floor = figure.posed.project(figure.dressed.mesh, view.position, view.axes)
            joints[:, row] = view.project(figure.posed.coco(figure.dressed, floor))
            corners = (extent.reshape(-1, 2, 2) - view.centre) * view.scale + middle
            boxes[:, row] = corners.reshape(-1, 4)
        return joints, boxes
