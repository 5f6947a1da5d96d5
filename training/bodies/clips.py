"""Clips of real bodies who walk through a room: one person, or several at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.training.bodies.backdrop import backdrop, draw_lamp
from gaitkeeper.training.bodies.model import BodyModel
from gaitkeeper.training.bodies.outfit import Carried, Outfit
from gaitkeeper.training.bodies.paint import draw_paint
from gaitkeeper.training.bodies.pictures import Backdrop, Figure, Lamp, Viewpoint, pictures
from gaitkeeper.training.bodies.population import Someone
from gaitkeeper.training.bodies.pose import motion
from gaitkeeper.training.bodies.recording import Image, Recording
from gaitkeeper.training.bodies.render import Dressed, Posed
from gaitkeeper.training.bodies.wardrobe import Wardrobe
from gaitkeeper.training.walkers.camera import Camera
from gaitkeeper.training.walkers.clips import Size, encode
from gaitkeeper.training.walkers.gait import Path
from gaitkeeper.training.walkers.gait_cycle import GaitCycle, walk_cycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.population import drawn_actors
from gaitkeeper.training.walkers.scene import Room
from gaitkeeper.training.walkers.skeleton import INDEX

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture, RGB uint8 (H, W, 3), and the share of each pixel that shows each person, float32 (K, H, W)."""

    image: Image
    cover: Array


@dataclass(frozen=True, eq=False)
class BodyClip:
    """Contents of a clip.

    Attributes:
        figures: the walkers.
        view, backdrop, lamp: camera, room and light.
        recording: what the camera makes of it; its ``rate`` is that of the frames.
        seed: seed of the sensor's noise.
    """

    figures: Sequence[Figure]
    view: Viewpoint
    backdrop: Backdrop
    lamp: Lamp
    recording: Recording
    seed: int

    def frames(self) -> Iterator[Frame]:
        """The frames, without compression."""
        shots = pictures(self.figures, self.view, self.backdrop, self.lamp)
        for image, cover in replace(self.recording, codec=None).film(shots, self.seed):
            yield Frame(image, cover)

    def write(self, path: File, crf: int = 20) -> File:
        """Write an H.264 mp4 file; a higher ``crf`` makes a smaller file. Returns the path."""
        encode(path, (frame.image for frame in self.frames()), self.view.size, self.recording.rate, crf=crf)
        return path


@dataclass(frozen=True, eq=False)
class Appearance:
    """A person in an outfit on one walk.

    Attributes:
        who: the person.
        cycle: the walk's gait cycle.
        worn, carried: clothes and items.
        seed: seed of skin and hair colours.
    """

    who: Someone
    cycle: GaitCycle
    worn: Outfit
    carried: Carried | None
    seed: int

    @property
    def speed(self) -> float:
        """Metres a second."""
        ends = walk_cycle(self.cycle, torch.tensor([0.0, self.cycle.seconds], dtype=torch.float64))
        return float((ends[1] - ends[0])[INDEX["pelvis"], :2].norm()) / self.cycle.seconds

    @property
    def stature(self) -> float:
        """Metres, without shoes and hat."""
        return self.who.physique.stature


class Stage:
    """Makes clips of people of the gait model, dressed from a wardrobe."""

    def __init__(self, model: BodyModel, wardrobe: Wardrobe) -> None:
        self.model, self.wardrobe = model, wardrobe
        self._gait = GaitModel.load()

    def people(self, count: int, seed: int) -> list[Someone]:
        """People who differ by their names' draws; a longer list starts with those of a shorter one."""
        actors = drawn_actors(self._gait, (f"walker-{i}" for i in range(count)), seed)
        return [Someone.of(self.model, actor, seed) for actor in actors]

    def appear(
        self, who: Someone, rng: np.random.Generator, outfit: int = 0, carried: Carried | None = None
    ) -> Appearance:
        """A new walk of a person in one of the everyday outfits."""
        own = who.outfits[0].seed  # drawn for this person
        return Appearance(who, who.actor.walk(self._gait, rng), who.outfits[outfit], carried, own)

    def figure(self, what: Appearance, times: Array, path: Path) -> Figure:
        """A dressed body along a path at times (T,) in seconds."""
        joints, rest = motion(what.cycle, times, path)
        mesh = self.wardrobe.dress(what.who.body, what.worn, what.who.hair, what.carried)
        dressed = Dressed.of(self.model, what.who.body, mesh)
        posed = Posed.of(self.model, what.who.body, joints.astype(np.float64), rest)
        return Figure(dressed, posed, draw_paint(self.model, what.who.body, what.worn, what.seed))

    def crossing(
        self,
        who: Appearance,
        *,
        azimuth: float = 90.0,
        height: float | None = None,
        seconds: float = 4.0,
        size: Size = (480, 270),
        seed: int = 0,
        room: Room | None = None,
        recording: Recording | None = None,
    ) -> BodyClip:
        """One person walks across, in full view from the first frame to the last.

        Args:
            who: the person.
            azimuth: viewing direction in degrees at the middle of the walk: 0 shows the face, 90 the left side.
            height: of the camera in metres; drawn by the seed between 1.2 and 1.9 if None.
            seconds: duration.
            size: (width, height) in pixels, even.
            seed: seed of small changes of the camera, of the gait's phase, and of the noise.
            room: floor and wall; drawn by the seed if None.
            recording: properties of the camera.
        """
        rng = np.random.default_rng([seed, 0xB0D1])
        length = who.speed * seconds
        across = length * abs(math.sin(math.radians(azimuth)))
        distance = float(rng.uniform(3.6, 4.2)) + 0.6 * across + 0.5 * (length - across)
        ends = _corners(who.stature, (-length / 2, 0.0), (length / 2, 0.0))
        drawn, fill = float(rng.uniform(1.2, 1.9)), float(rng.uniform(0.93, 0.98))
        height = drawn if height is None else height
        camera = Camera.framing(ends, azimuth, distance, height, size, fill, float(rng.uniform(-0.015, 0.015)))
        paths = [Path((-length / 2, 0.0), phase=float(rng.random()))]
        return self._clip([who], paths, camera, seconds, seed, room, recording or Recording())

    def two_crossing(
        self,
        first: Appearance,
        second: Appearance,
        *,
        seconds: float = 5.0,
        size: Size = (480, 270),
        seed: int = 0,
        room: Room | None = None,
        recording: Recording | None = None,
    ) -> BodyClip:
        """Two people walk across at once from opposite sides; in the middle the nearer one hides the other."""
        half = [who.speed * seconds / 2 for who in (first, second)]
        places = zip((first, second), half, (0.5, -0.5), strict=True)
        ends = torch.cat([_corners(who.stature, (-x, y), (x, y)) for who, x, y in places])
        camera = Camera.framing(ends, 90.0, 4.0 + max(half), 1.5, size)
        paths = [Path((-half[0], 0.5), phase=0.1), Path((half[1], -0.5), heading=math.pi, phase=0.6)]
        return self._clip([first, second], paths, camera, seconds, seed, room, recording or Recording())

    def _clip(
        self,
        people: Sequence[Appearance],
        paths: Sequence[Path],
        camera: Camera,
        seconds: float,
        seed: int,
        room: Room | None,
        recording: Recording,
    ) -> BodyClip:
        room = room or Room.drawn(seed)
        times = np.arange(round(seconds * recording.rate)) / recording.rate
        view = Viewpoint.of(camera)
        lamp = replace(draw_lamp(room, np.random.default_rng([seed, 0x1A])), lamp=0.8, room=0.5)
        figures = [self.figure(who, times, path) for who, path in zip(people, paths, strict=True)]
        return BodyClip(figures, view, backdrop(view, room), lamp, recording, seed)


def gallery(
    stage: Stage,
    people: int = 5,
    *,
    other_outfit: bool = False,
    azimuth: float = 90.0,
    height: float | None = None,
    seconds: float = 4.0,
    size: Size = (480, 270),
    seed: int = 0,
    recording: Recording | None = None,
) -> Iterator[tuple[str, BodyClip]]:
    """Names and clips of people, two each: ``NAME-gallery`` and ``NAME-probe``, filmed by one static camera.

    Args:
        stage: the people's bodies and clothes.
        people: number of people.
        other_outfit: True if the probe wears other clothes.
        azimuth: viewing direction in degrees, within 8.
        height, seconds, size, seed, recording: as in :meth:`Stage.crossing`.
    """
    room = replace(Room.drawn(seed), wall=2.5 + 0.6 * seconds)
    for number, who in enumerate(stage.people(people, seed)):
        rng = np.random.default_rng([seed, number, 0x6A12])
        for name in ("gallery", "probe"):
            worn = stage.appear(who, rng, outfit=int(other_outfit and name == "probe"))
            turn, own = azimuth + float(rng.uniform(-8, 8)), int(rng.integers(2**31))
            clip = stage.crossing(
                worn, azimuth=turn, height=height, seconds=seconds, size=size, seed=own, room=room, recording=recording
            )
            yield f"person-{number + 1}-{name}", clip


def _corners(stature: float, *places: tuple[float, float]) -> torch.Tensor:
    """Corners (N, 3) of the boxes that a walker fills at some places on the floor, in any walking direction."""
    tall, wide = 1.10 * stature, 0.36 * stature  # shoes and hats are a few centimetres high
    sides = [(x + dx, y + dy) for x, y in places for dx in (-wide, wide) for dy in (-wide, wide)]
    return torch.tensor([(x, y, z) for x, y in sides for z in (-0.03, tall)], dtype=torch.float32)
