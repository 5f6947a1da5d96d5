"""Boxes and labels on a clip's pictures, as they are read back from the file."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gaitkeeper.pipelines.annotate import INK, Label, placed, write_annotated
from gaitkeeper.pipelines.decode import ClipInfo, Frame, InProcess
from gaitkeeper.pipelines.errors import DeadlineExceeded, TooLarge
from gaitkeeper.pipelines.pipeline import ClipResult
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.trail import BoxTrail

WIDTH, HEIGHT = 321, 241
TIMES = np.array([0.0, 0.04, 0.05, 0.2, 0.21, 0.5, 0.9, 0.95, 1.0])
GREEN, ORANGE = (53, 181, 108), (240, 160, 60)
GREY = 70


class Stills(InProcess):
    """A decoder of grey pictures at uneven times. Each has a colour in its lower left corner."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        super().__init__(PipelineSettings())
        self.closed = False
        self._size = height, width

    def frames(self, source: Any, info: ClipInfo, deadline: float | None = None) -> Generator[Frame, None, None]:
        assert (info.width, info.height, info.rotated) == (*self._size[::-1], 0)
        try:
            for index, moment in enumerate(TIMES):
                image = np.full((*self._size, 3), GREY, np.uint8)
                image[-24:, :24] = (200, 40, 90)
                yield Frame(image, float(moment), index)
        finally:
            self.closed = True


def found(trails: dict[int, BoxTrail], width: int = WIDTH, height: int = HEIGHT, rotated: int = 0) -> ClipResult:
    info = ClipInfo(width, height, 25.0, len(TIMES), 1.04, "h264", "mp4", rotated=rotated)
    return ClipResult(info, [], [], {}, {}, np.zeros((1, 1, 3), np.uint8), {}, trails)


def trail(*sightings: tuple[float, tuple[float, float, float, float]]) -> BoxTrail:
    times, boxes = zip(*sightings, strict=True)
    return BoxTrail(np.array(times), np.array(boxes, np.float32))


def film(path: Path) -> tuple[Any, list[float], list[np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        about = stream.codec_context.name, stream.width, stream.height, container.format.name
        return about, [moment for moment, _ in frames], [image for _, image in frames]


def near(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixels.reshape(-1, 3).astype(int).mean(0) - colour).max() < 28)


def test_every_frame_of_a_track_has_its_box_and_no_other_frame(tmp_path: Path) -> None:
    path = tmp_path / "a:b ü.mp4"
    walker = trail((0.04, (40, 60, 100, 200)), (0.2, (60, 60, 120, 200)), (0.95, (200, 60, 260, 200)))
    told: list[float] = []
    stills = Stills()
    labels = {1: Label("#1 unknown", GREEN)}
    write_annotated(path, stills, b"", found({1: walker}), labels, on_progress=told.append)
    about, times, images = film(path)
    assert about == ("h264", WIDTH + 1, HEIGHT + 1, "mov,mp4,m4a,3gp,3g2,mj2")
    np.testing.assert_allclose(times, TIMES, atol=1e-4)
    assert told == sorted(told) and len(told) == len(TIMES) and stills.closed
    for moment, image in zip(TIMES, images, strict=True):
        box = walker.at(float(moment))
        assert (box is not None) == (0.04 <= moment <= 0.95)
        drawn = np.abs(image.astype(int) - GREY).max(axis=2) > 60
        drawn[-26:, :26] = False  # the corner
        assert drawn.any() == (box is not None)
        if box is not None:
            x1, y1, x2, y2 = np.round(box).astype(int)
            for side in (image[y1 + 30 : y2, x1], image[y1 + 30 : y2, x2], image[y2, x1:x2]):
                assert near(side, GREEN), moment
            assert near(image[y1 + 10 : y2 - 10, x1 + 10 : x2 - 10], (GREY,) * 3)
        assert near(image[-20:-4, 4:20], (200, 40, 90)), "colours are kept"


def test_between_two_sightings_the_box_lies_between_theirs() -> None:
    walker = trail((1.0, (0, 0, 10, 20)), (2.0, (10, 4, 20, 24)))
    np.testing.assert_allclose(walker.at(1.5), (5, 2, 15, 22))
    np.testing.assert_allclose(walker.at(1.0), (0, 0, 10, 20))
    np.testing.assert_allclose(walker.at(2.0), (10, 4, 20, 24))
    assert walker.at(0.99) is None and walker.at(2.01) is None


def test_people_without_a_label_have_no_box(tmp_path: Path) -> None:
    walker = trail((0.0, (40, 60, 100, 200)), (1.0, (40, 60, 100, 200)))
    write_annotated(tmp_path / "out.mp4", Stills(), b"", found({1: walker, 2: walker}), {})
    for image in film(tmp_path / "out.mp4")[2]:
        assert near(image[60:200, 40:100], (GREY,) * 3)


def test_a_clip_that_was_turned_is_drawn_upright(tmp_path: Path) -> None:
    walker = trail((0.0, (40, 60, 100, 200)), (1.0, (40, 60, 100, 200)))
    result = found({1: walker}, width=240, height=320, rotated=90)
    write_annotated(tmp_path / "out.mp4", Stills(320, 240), b"", result, {1: Label("#1", ORANGE)})
    about, _, images = film(tmp_path / "out.mp4")
    assert about[1:3] == (240, 320)
    assert near(images[4][90:200, 40], ORANGE)
    assert near(images[4][4:20, 4:20], (200, 40, 90)), "the lower left corner is now the upper left one"


def test_names_are_written_in_their_own_letters(tmp_path: Path) -> None:
    walker = trail((0.0, (10, 100, 60, 200)), (1.0, (10, 100, 60, 200)))

    def shape(text: str) -> np.ndarray:
        write_annotated(tmp_path / "out.mp4", Stills(), b"", found({1: walker}), {1: Label(text, ORANGE)})
        image = film(tmp_path / "out.mp4")[2][4][70:98, 10:300].astype(int)
        return np.abs(image - INK).max(axis=2) < 90

    unknown, shapes = shape("?" * 3), [shape(text) for text in ("ann", "Łuk", "李小龙", "Ёлк", "مرح")]
    assert all(one.sum() > 40 for one in (unknown, *shapes))
    assert all((one != unknown).sum() > 40 for one in shapes)


def test_a_long_name_is_shortened_to_the_picture(tmp_path: Path) -> None:
    walker = trail((0.0, (250, 100, 300, 200)), (1.0, (250, 100, 300, 200)))
    write_annotated(tmp_path / "out.mp4", Stills(), b"", found({1: walker}), {1: Label("W" * 128, ORANGE)})
    image = film(tmp_path / "out.mp4")[2][4]
    assert near(image[80:82, : WIDTH - 2], ORANGE) or near(image[96:98, : WIDTH - 2], ORANGE)
    rows = np.flatnonzero(np.abs(image[:, 4].astype(int) - ORANGE).max(axis=1) < 40)
    assert 15 <= len(rows) <= 30, "one line"


def test_no_label_covers_another_or_leaves_the_picture() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        count = int(rng.integers(1, 7))
        corner = rng.uniform((0, 0), (WIDTH - 40, HEIGHT - 80), (count, 2))
        boxes = np.hstack([corner, corner + rng.uniform(20, 80, (count, 2))])
        widths = rng.integers(30, 200, count).tolist()
        places = placed(list(boxes), widths, 18, 2, (WIDTH, HEIGHT))
        for i, (left, top, wide, high) in enumerate(places):
            assert 0 <= left <= WIDTH - wide and 0 <= top <= HEIGHT - high
            for other_left, other_top, other_wide, other_high in places[:i]:
                apart = left >= other_left + other_wide or other_left >= left + wide
                assert apart or top >= other_top + other_high or other_top >= top + high


def test_a_label_is_above_its_box_or_below_one_at_the_upper_edge() -> None:
    assert placed([np.array([50, 100, 90, 200])], [60], 18, 2, (320, 240)) == [(50, 80, 60, 18)]
    assert placed([np.array([50, 5, 90, 100])], [60], 18, 2, (320, 240)) == [(50, 102, 60, 18)]
    assert placed([np.array([300, 100, 319, 200])], [60], 18, 2, (320, 240)) == [(260, 80, 60, 18)]


def test_the_work_ends_when_it_is_told_to(tmp_path: Path) -> None:
    walker = trail((0.0, (40, 60, 100, 200)), (1.0, (40, 60, 100, 200)))
    labels = {1: Label("#1", ORANGE)}
    with pytest.raises(TooLarge):
        write_annotated(tmp_path / "a.mp4", Stills(), b"", found({1: walker}), labels, max_bytes=100)
    with pytest.raises(DeadlineExceeded):
        write_annotated(tmp_path / "a.mp4", Stills(), b"", found({1: walker}), labels, deadline=time.monotonic() - 1)

    def stop(share: float) -> None:
        raise KeyError(share)

    stills = Stills()
    with pytest.raises(KeyError):
        write_annotated(tmp_path / "a.mp4", stills, b"", found({1: walker}), labels, on_progress=stop)
    assert stills.closed


def test_a_label_covers_no_person_while_there_is_room_above() -> None:
    boxes = [np.array([130 + 50 * i, 400, 165 + 50 * i, 490]) for i in range(4)]
    places = placed(boxes, [280] * 4, 26, 2, (480, 854))
    for left, top, wide, high in places:
        for x1, y1, x2, y2 in boxes:
            assert left >= x2 or x1 >= left + wide or top >= y2 or y1 >= top + high
    assert len({top for _, top, _, _ in places}) == 4
    # Crowded up to the upper edge, names still do not cover each other.
    crowd = placed([np.array([10 + 5 * i, 10, 60 + 5 * i, 230]) for i in range(5)], [200] * 5, 26, 2, (240, 240))
    assert len({top for _, top, _, _ in crowd}) == 5


def test_a_line_leads_from_a_label_that_stands_apart_to_its_box(tmp_path: Path) -> None:
    boxes = [(100, 150, 130, 230), (140, 150, 170, 230)]
    trails = {i + 1: trail((0.0, box), (1.0, box)) for i, box in enumerate(boxes)}
    labels = {1: Label("#1 a long name of a person", GREEN), 2: Label("#2 another long name", ORANGE)}
    write_annotated(tmp_path / "out.mp4", Stills(), b"", found(trails), labels)
    image = film(tmp_path / "out.mp4")[2][4]
    above = image[120:150, 99:103].astype(int)
    assert (np.abs(above - GREEN).max(axis=2) < 60).any(axis=1).mean() > 0.9
