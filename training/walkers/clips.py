"""Clips of rendered walkers for demo, tests and benches, and their H.264 files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path as File

import av
import numpy as np
import torch
from av.video.stream import VideoStream

from gaitkeeper.training.walkers.camera import Camera
from gaitkeeper.training.walkers.gait import Path, speed
from gaitkeeper.training.walkers.person import Person, another_walk, draw_people, draw_person
from gaitkeeper.training.walkers.render import Frame, render
from gaitkeeper.training.walkers.scene import Room, Scene, Walker

Size = tuple[int, int]
SIZE: Size = (848, 480)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Clip:
    """Contents and duration of a clip.

    Attributes:
        scene: camera, room and walkers.
        seconds: duration of the rendered part.
        fps: frames per second.
        repeat: number of times that the rendered part is played.
    """

    scene: Scene
    seconds: float
    fps: int = 30
    repeat: int = 1

    def __len__(self) -> int:
        return round(self.seconds * self.fps)

    def frames(self, *, device: str = "cpu") -> Iterator[Frame]:
        """The rendered frames with their truth, without repeats."""
        return render(self.scene, torch.arange(len(self)) / self.fps, device=device)


def write_clip(path: str | File, clip: Clip, *, device: str = "cpu", progress: Progress | None = None) -> File:
    """Render a clip into an H.264 mp4 file; equal clips give equal bytes on one machine and library version.

    Args:
        path: output file; its folder must exist.
        clip: the clip.
        device: device for rendering.
        progress: called after every rendered frame with the number of finished frames and of all frames.
    """
    frames = _told(clip.frames(device=device), len(clip), progress)
    size = (clip.scene.camera.width, clip.scene.camera.height)
    encode(path, (frame.image for frame in frames), size, clip.fps, clip.repeat)
    return File(path)


def encode(
    path: str | File, images: Iterable[np.ndarray], size: Size, fps: int, repeat: int = 1, *, crf: int = 20
) -> None:
    """Encode RGB images uint8 (H, W, 3) of one size into an H.264 mp4 file; a higher ``crf`` makes a smaller file.

    A repeated clip is encoded once and its packets are written again, so repeats cost almost nothing.
    """
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast", "bf": "0"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.codec_context.thread_count = 1  # one slice per frame, on every machine
        loop: list[tuple[bytes, int, bool]] = []
        count = 0
        for image in images:
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = count, Fraction(1, fps)
            count += 1
            for packet in stream.encode(picture):
                loop += [(bytes(packet), packet.pts or 0, packet.is_keyframe)] if repeat > 1 else []
                container.mux(packet)
        for packet in stream.encode():
            loop += [(bytes(packet), packet.pts or 0, packet.is_keyframe)] if repeat > 1 else []
            container.mux(packet)
        for turn in range(1, repeat):
            for data, pts, key in loop:
                again = av.Packet(data)
                again.pts = again.dts = pts + turn * count
                again.duration = 1
                again.time_base = Fraction(1, fps)
                again.is_keyframe = key
                again.stream = stream
                container.mux(again)


def crossing(
    person: Person | int = 0,
    *,
    azimuth: float = 90.0,
    seconds: float = 4.0,
    size: Size = SIZE,
    seed: int = 0,
    fps: int = 30,
) -> Clip:
    """One person walks across, in full view from the first frame to the last.

    Args:
        person: the person, or a seed.
        azimuth: viewing direction in degrees at the middle of the walk: 0 shows the face, 90 the left side.
        seconds: duration.
        size: (width, height) in pixels.
        seed: seed of the room and of small changes of the camera.
        fps: frames per second.
    """
    person = draw_person(person) if isinstance(person, int) else person
    rng = np.random.default_rng([seed, 0xC11F])
    length = speed(person) * seconds
    across = length * abs(math.sin(math.radians(azimuth)))
    distance = float(rng.uniform(3.6, 4.2)) + 0.6 * across + 0.5 * (length - across)
    camera = Camera.framing(
        _surroundings(person, (-length / 2, 0.0), (length / 2, 0.0)), azimuth, distance, float(rng.uniform(1.2, 1.9)),
        size, float(rng.uniform(0.93, 0.98)), float(rng.uniform(-0.015, 0.015)),
    )  # fmt: skip
    walker = Walker.along(person, Path((-length / 2, 0.0), phase=float(rng.random())))
    return Clip(Scene(camera, [walker], Room.drawn(seed)), seconds, fps)


def two_crossing(
    first: Person | int = 0,
    second: Person | int = 1,
    *,
    seconds: float = 5.0,
    size: Size = SIZE,
    seed: int = 0,
    fps: int = 30,
) -> Clip:
    """Two people walk across at once from opposite sides; in the middle the nearer one hides the other."""
    pair = [draw_person(p) if isinstance(p, int) else p for p in (first, second)]
    half = [speed(p) * seconds / 2 for p in pair]
    ends = [_surroundings(p, (-x, y), (x, y)) for p, x, y in zip(pair, half, (0.5, -0.5), strict=True)]
    camera = Camera.framing(torch.cat(ends), 90.0, 4.0 + max(half), 1.5, size)
    walkers = [
        Walker.along(pair[0], Path((-half[0], 0.5), phase=0.1)),
        Walker.along(pair[1], Path((half[1], -0.5), heading=math.pi, phase=0.6)),
    ]
    return Clip(Scene(camera, walkers, Room.drawn(seed)), seconds, fps)


def cut_at_knees(
    person: Person | int = 0, *, seconds: float = 4.0, size: Size = SIZE, seed: int = 0, fps: int = 30
) -> Clip:
    """One person approaches the camera, whose picture ends above the knees in every frame.

    The camera is at the height of the cut and its lower edge is level, so that the cut is the same at any distance.
    """
    person = draw_person(person) if isinstance(person, int) else person
    height, nearest, azimuth = 0.35 * person.build.stature, 6.0, 10.0
    focal = 0.90 * size[1] * nearest / (person.build.stature - height)
    length = speed(person) * seconds
    distance = nearest + length / 2
    turn = math.radians(azimuth)
    position = (distance * math.cos(turn), distance * math.sin(turn), height)
    camera = Camera(position, (0.0, 0.0, height + distance * size[1] / 2 / focal), focal, *size)
    walker = Walker.along(person, Path((-length / 2, 0.0), phase=0.3))
    return Clip(Scene(camera, [walker], Room.drawn(seed)), seconds, fps)


def empty(*, seconds: float = 3.0, size: Size = SIZE, seed: int = 0, fps: int = 30) -> Clip:
    """An empty room."""
    camera = Camera.around((0.0, 0.0, 0.9), 90.0, 5.0, 1.5, size, 2.6)
    return Clip(Scene(camera, [], Room.drawn(seed)), seconds, fps)


def pacing(
    person: Person | int = 0,
    *,
    seconds: float = 60.0,
    size: Size = (1920, 1080),
    loop: float = 10.0,
    seed: int = 0,
    fps: int = 30,
) -> Clip:
    """One person walks back and forth across the picture and turns outside it; a rendered loop, repeated.

    Raises:
        ValueError: the loop is too short for the person to leave the picture.
    """
    person = draw_person(person) if isinstance(person, int) else person
    repeat = max(1, round(seconds / loop))
    part = round(seconds * fps / repeat / 2) * 2 / fps
    length = speed(person) * part / 2
    view = (length - 1.5) * size[1] / size[0]
    if view < 1.15 * person.build.stature:
        raise ValueError(f"A loop of {part:g} s is too short to walk out of a picture of {size[0]}x{size[1]}.")
    camera = Camera.around((0.0, 0.0, 0.52 * person.build.stature), 90.0, 2.0 * view, 1.5, size, view)
    walker = Walker.pacing(person, Path((-length / 2, 0.0)), part / 2)
    return Clip(Scene(camera, [walker], Room.drawn(seed)), part, fps, repeat)


def gallery(people: int = 6, *, seconds: float = 4.0, size: Size = SIZE, seed: int = 0) -> Iterator[tuple[str, Clip]]:
    """Names and clips of people, two each: ``NAME-gallery`` and ``NAME-probe``.

    The probe is another walk of the same person: another phase, a slightly different gait, a camera a few degrees away.
    """
    for number, person in enumerate(draw_people(people, seed)):
        rng = np.random.default_rng([seed, number, 0x6A11])
        for take, name in enumerate(("gallery", "probe")):
            azimuth = 90.0 + float(rng.uniform(-8, 8))
            who = another_walk(person, take)
            clip = crossing(who, azimuth=azimuth, seconds=seconds, size=size, seed=int(rng.integers(2**31)))
            # All people are filmed by one static camera, so the room is the same.
            yield f"person-{number + 1}-{name}", replace(clip, scene=replace(clip.scene, room=Room.drawn(seed)))


def _surroundings(person: Person, *places: tuple[float, float]) -> torch.Tensor:
    """Corners (N, 3) of the boxes that a walker fills at some places on the floor, in any walking direction."""
    tall, wide = 1.04 * person.build.stature, 0.34 * person.build.stature
    sides = [(x + dx, y + dy) for x, y in places for dx in (-wide, wide) for dy in (-wide, wide)]
    return torch.tensor([(x, y, z) for x, y in sides for z in (-0.03, tall)])


def _told(frames: Iterable[Frame], total: int, progress: Progress | None) -> Iterator[Frame]:
    for done, frame in enumerate(frames, 1):
        yield frame
        if progress:
            progress(done, total)
