"""Clips of real bodies who walk through a room: one person, or several at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gaitkeeper.training.bodies.backdrop import backdrop, draw_lamp
from gaitkeeper.training.bodies.camera import Camera
from gaitkeeper.training.bodies.footage import BodyClip
from gaitkeeper.training.bodies.model import BodyModel
from gaitkeeper.training.bodies.outfit import Carried, Outfit
from gaitkeeper.training.bodies.paint import draw_paint
from gaitkeeper.training.bodies.pictures import Figure, Viewpoint
from gaitkeeper.training.bodies.population import Someone
from gaitkeeper.training.bodies.pose import motion
from gaitkeeper.training.bodies.recording import Recording
from gaitkeeper.training.bodies.render import Dressed, Posed
from gaitkeeper.training.bodies.room import Room
from gaitkeeper.training.bodies.wardrobe import Wardrobe
from gaitkeeper.training.walkers.gait import Path
from gaitkeeper.training.walkers.gait_cycle import GaitCycle, walk_cycle
from gaitkeeper.training.walkers.gait_model import GaitModel
from gaitkeeper.training.walkers.population import drawn_actors
from gaitkeeper.training.walkers.skeleton import INDEX

Array = npt.NDArray[Any]
Size = tuple[int, int]


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

    def figure(self, what: Appearance, times: Array, path: Path, leg: float | None = None) -> Figure:
        """A dressed body along a path at times (T,) in seconds; with ``leg``, back again after so many seconds."""
        joints, rest = motion(what.cycle, times, path)
        if leg is not None:
            far = what.speed * leg
            end = (path.start[0] + far * math.cos(path.heading), path.start[1] + far * math.sin(path.heading))
            back, _ = motion(what.cycle, times - leg, Path(end, path.heading + math.pi, path.phase))
            joints = np.where((times >= leg)[:, None, None], back, joints)
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

    def in_a_row(
        self,
        first: Appearance,
        second: Appearance,
        *,
        seconds: float = 4.0,
        size: Size = (480, 270),
        seed: int = 0,
        room: Room | None = None,
        recording: Recording | None = None,
    ) -> BodyClip:
        """Two people walk across in the same direction, the first 1.6 m behind the second."""
        half = max(who.speed for who in (first, second)) * seconds / 2
        starts = (-half - 0.8, -half + 0.8)
        places = [(x, 0.0) for start in starts for x in (start, start + 2 * half)]
        camera = Camera.framing(_corners(max(first.stature, second.stature), *places), 90.0, 6.0 + half, 1.4, size)
        paths = [Path((start, 0.0), phase=phase) for start, phase in zip(starts, (0.1, 0.6), strict=True)]
        return self._clip([first, second], paths, camera, seconds, seed, room, recording or Recording())

    def cut_at_knees(
        self,
        who: Appearance,
        *,
        seconds: float = 4.0,
        size: Size = (480, 270),
        seed: int = 0,
        room: Room | None = None,
        recording: Recording | None = None,
    ) -> BodyClip:
        """One person approaches the camera, whose picture ends above the knees in every frame.

        The camera is at the height of the cut and its lower edge is level, so that the cut is the same at any distance.
        """
        height, nearest, turn = 0.38 * who.stature, 6.0, math.radians(10.0)
        focal = 0.90 * size[1] * nearest / (1.05 * who.stature - height)
        length = who.speed * seconds
        distance = nearest + length / 2
        position = (distance * math.cos(turn), distance * math.sin(turn), height)
        camera = Camera(position, (0.0, 0.0, height + distance * size[1] / 2 / focal), focal, *size)
        paths = [Path((-length / 2, 0.0), phase=0.3)]
        return self._clip([who], paths, camera, seconds, seed, room, recording or Recording())

    def pacing(
        self,
        who: Appearance,
        *,
        seconds: float = 10.0,
        size: Size = (480, 270),
        seed: int = 0,
        room: Room | None = None,
        recording: Recording | None = None,
    ) -> BodyClip:
        """One person walks across the picture and back, and turns outside it; played again, it has no seam.

        Raises:
            ValueError: it is too short for the person to leave the picture.
        """
        length = who.speed * seconds / 2
        view = (length - 1.5) * size[1] / size[0]
        if view < 1.15 * who.stature:
            raise ValueError(f"{seconds:g} s are too short to walk out of a picture of {size[0]}x{size[1]}.")
        camera = Camera.around((0.0, 0.0, 0.52 * who.stature), 90.0, 2.0 * view, 1.5, size, view)
        paths = [Path((-length / 2, 0.0))]
        return self._clip([who], paths, camera, seconds, seed, room, recording or Recording(), leg=seconds / 2)

    def empty(
        self,
        *,
        seconds: float = 3.0,
        size: Size = (480, 270),
        seed: int = 0,
        room: Room | None = None,
        recording: Recording | None = None,
    ) -> BodyClip:
        """An empty room."""
        camera = Camera.around((0.0, 0.0, 0.9), 90.0, 5.0, 1.5, size, 2.6)
        return self._clip([], [], camera, seconds, seed, room, recording or Recording())

    def _clip(
        self,
        people: Sequence[Appearance],
        paths: Sequence[Path],
        camera: Camera,
        seconds: float,
        seed: int,
        room: Room | None,
        recording: Recording,
        leg: float | None = None,
    ) -> BodyClip:
        room = room or Room.drawn(seed)
        times = np.arange(round(seconds * recording.rate)) / recording.rate
        view = Viewpoint.of(camera)
        lamp = replace(draw_lamp(room, np.random.default_rng([seed, 0x1A])), lamp=0.8, room=0.5)
        figures = [self.figure(who, times, path, leg) for who, path in zip(people, paths, strict=True)]
        return BodyClip(figures, view, backdrop(view, room), lamp, recording, seed, len(times))


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
