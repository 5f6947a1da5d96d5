"""Walks as the pipeline perceives them: takes are rendered as pictures, which the project's own perception processes.

Only the detector is left out: the first box comes from the truth, with an error. BlazePose follows the walker from
there, and the frames become a gait sequence by the pipeline's own code, with its reasons for leaving frames out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.pipelines.perception.blazepose import ROI_GROWTH, Region
from gaitkeeper.pipelines.perception.watcher import BlazePose, BlazePoseWatcher
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.tracklet import Tracklet
from gaitkeeper.training.bodies.backdrop import backdrop, cluttered, draw_lamp, draw_room
from gaitkeeper.training.bodies.model import BodyModel
from gaitkeeper.training.bodies.paint import Paint
from gaitkeeper.training.bodies.pictures import Figure, Viewpoint, pictures
from gaitkeeper.training.bodies.recording import draw_recording
from gaitkeeper.training.bodies.render import Dressed, Posed
from gaitkeeper.training.walkers.views import Views, look, place

Array = npt.NDArray[Any]

TALL = (80.0, 300.0)
"""Range of a walker's mean height in pixels."""
SMALL = 115.0
"""Walkers of at most this height are in small pictures."""
_MARGIN = (0.06, 0.40)
_ASTRAY = 0.06  # standard deviation of the first box's centre and size, as a share of the height


@dataclass(frozen=True, eq=False)
class Filmed:
    """A recorded take.

    Attributes:
        images: RGB uint8 (H, W, 3), T of them.
        boxes: float32 (T, 4), the truth: x1 y1 x2 y2 in pixels.
        joints: float32 (T, 17, 2), the truth.
        cover: float32 (T, H, W), share of each pixel that shows the person.
    """

    images: list[Array]
    boxes: Array
    joints: Array
    cover: Array


def film(
    model: BodyModel,
    dressed: Dressed,
    paint: Paint,
    joints: Array,
    rest: Array,
    views: Views,
    rng: np.random.Generator,
    rate: int = 30,
) -> Filmed:
    """Record one walk with a random resolution, background, light and camera.

    Args:
        model: model of the body.
        dressed: the walker.
        paint: colours.
        joints: float (T, J, 3) metres along +x; J as in ``skeleton.JOINTS``.
        rest: float (J, 3), the same skeleton at rest.
        views: one camera; its ``fill`` and ``shift`` are not used.
        rng: random generator.
        rate: frames per second, for the codec.
    """
    placed = place(torch.from_numpy(np.asarray(joints))[None].float(), views)
    position, axes = (found[0].numpy() for found in look(placed, views))
    at = placed[0].numpy().astype(np.float64)
    posed = Posed.of(model, dressed.body, at, rest)
    _, extent, floor = posed.project(dressed.mesh, position, axes)
    view = _framed(position, axes, extent, rng)
    middle = np.array(view.size) / 2
    boxes = ((extent.reshape(-1, 2, 2) - view.centre) * view.scale + middle).reshape(-1, 4)
    small = float((boxes[:, 3] - boxes[:, 1]).mean()) <= SMALL
    room = draw_room(rng, float(np.ptp(at[:, 0, :2], axis=0).max()) / 2)
    scene = cluttered(backdrop(view, room), rng)
    recording = draw_recording(rng, small, rate)
    seed, lamp = int(rng.integers(2**31)), draw_lamp(room, rng)
    shots = pictures([Figure(dressed, posed, paint)], view, scene, lamp, fine=2 if small else 1)
    images, covers = zip(*recording.film(shots, seed), strict=True)
    return Filmed(
        list(images),
        boxes.astype(np.float32),
        view.project(posed.coco(dressed, floor)).astype(np.float32),
        np.stack([cover[0] for cover in covers]),
    )


def perceive_walk(filmed: Filmed, times: Array, rng: np.random.Generator) -> GaitSequence:
    """The gait sequence that the pipeline makes of a recorded walk; it may be empty.

    Args:
        filmed: the walk.
        times: float (T,), seconds of the frames.
        rng: random generator for the error of the first box.
    """
    backend = _blazepose()
    watcher = _Told(backend, filmed.boxes, times, rng)
    tracklet = Tracklet(1, limit=len(times))
    for number, (image, time) in enumerate(zip(filmed.images, times.tolist(), strict=True)):
        people = watcher.see(image, time)
        if people:
            tracklet.add(image, people[0], people, number, time)
    return tracklet.sequence(backend.name)


class _Told(BlazePoseWatcher):
    """A watcher that knows about where the person is, in place of a search."""

    def __init__(self, backend: BlazePose, boxes: Array, times: Array, rng: np.random.Generator) -> None:
        super().__init__(backend)
        self._boxes, self._times, self._rng = boxes, times, rng

    def _search(self, image: Array, time: float) -> None:
        if not any(one.person is not None for one in self._followed):
            x1, y1, x2, y2 = self._boxes[int(np.abs(self._times - time).argmin())].tolist()
            tall = y2 - y1
            dx, dy, grown = self._rng.normal(0, _ASTRAY, 3)
            side = ROI_GROWTH * tall * math.exp(grown)
            self._confirm(image, Region((x1 + x2) / 2 + dx * tall, (y1 + y2) / 2 + dy * tall, side), time)


@lru_cache(maxsize=1)
def _blazepose() -> BlazePose:
    return BlazePose(PipelineSettings(threads=1))


def _framed(position: Array, axes: Array, extent: Array, rng: np.random.Generator) -> Viewpoint:
    """A camera whose picture shows the whole walk, with random margins, at a random resolution."""
    tall = math.exp(rng.uniform(*np.log(TALL)))
    scale = tall / float((extent[:, 3] - extent[:, 1]).mean())
    low, high = extent[:, :2].min(0) * scale, extent[:, 2:].max(0) * scale
    low, high = low - tall * rng.uniform(*_MARGIN, 2), high + tall * rng.uniform(*_MARGIN, 2)
    width, height = (int(2 * math.ceil(side / 2)) for side in high - low)
    centre = ((low + high) / 2 / scale).astype(np.float32)
    return Viewpoint(position, np.ascontiguousarray(axes), scale, centre, (width, height))
