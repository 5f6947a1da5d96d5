"""Rendered people, whose masks, joints and ways are known to the pixel, seen through the real perception."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from gaitkeeper.pipelines import ClipResult, Pipeline
from gaitkeeper.pipelines.decode import frames
from gaitkeeper.pipelines.errors import CutOff, NoPerson, TooShort
from gaitkeeper.pipelines.perception import BACKENDS
from gaitkeeper.pipelines.perception.base import heatmap_box, iou
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.walkers.clips import Clip, crossing, cut_at_knees, empty, encode, two_crossing
from gaitkeeper.training.walkers.render import Frame


@dataclass(frozen=True)
class Rendered:
    """A clip's file, its truth, and what the pipeline made of it."""

    path: Path
    truth: list[Frame]
    result: ClipResult


def _render(path: Path, clip: Clip) -> list[Frame]:
    truth: list[Frame] = []

    def images() -> Iterator[np.ndarray]:
        for frame in clip.frames():
            truth.append(frame)
            yield frame.image

    camera = clip.scene.camera
    encode(path, images(), (camera.width, camera.height), clip.fps)
    return truth


def _boxes(frame: Frame) -> np.ndarray:
    """Boxes (K, 4) of the people, as much of each as would be seen alone."""
    boxes = []
    for person in frame.people:
        rows, columns = np.flatnonzero(person.whole.any(1)), np.flatnonzero(person.whole.any(0))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return np.array(boxes, float)


@pytest.fixture(scope="module")
def lone(tmp_path_factory, pipeline) -> Rendered:
    path = tmp_path_factory.mktemp("lone") / "a.mp4"
    truth = _render(path, crossing(11, seconds=3))
    return Rendered(path, truth, pipeline.process(path))


def test_one_walker_is_one_sequence(lone):
    [seq] = lone.result.sequences
    assert len(seq) > 0.9 * len(lone.truth)
    assert seq.quality.gait_cycles == pytest.approx(3, abs=1)
    assert lone.result.skipped == []
    assert lone.result.clip.frames == len(lone.truth)
    assert set(lone.result.timings) == {"decode", "perception", "tracking", "sequences", "total"}


def test_boxes_and_joints_are_where_the_person_is(lone):
    [seq] = lone.result.sequences
    shares, errors = [], []
    for i, time in enumerate(seq.timestamps):
        frame = min(lone.truth, key=lambda f: abs(f.time - time))
        box = _boxes(frame)
        shares.append(iou(seq.boxes[i][None], box)[0, 0])
        away = np.linalg.norm(seq.joints[i, :, :2] - frame.people[0].joints, axis=1)
        errors.append(away / (box[0, 3] - box[0, 1]))
    assert np.median(shares) > 0.85
    # Hips, knees and ankles may swap sides; the head and the trunk cannot be far off.
    assert np.median(np.array(errors)[:, [0, 5, 6]]) < 0.06


def test_masks_match_the_truth(lone):
    [seq] = lone.result.sequences
    shares = []
    for i, time in enumerate(seq.timestamps):
        frame = min(lone.truth, key=lambda f: abs(f.time - time))
        true = silhouette(frame.people[0].whole.astype(np.float32)) > 0
        seen = seq.silhouettes[i] > 0
        shares.append((true & seen).sum() / (true | seen).sum())
    assert np.median(shares) > 0.85


def test_heatmaps_peak_at_the_joints(lone):
    [seq] = lone.result.sequences
    away = []
    for i in range(0, len(seq), 10):
        left, top, _, bottom = heatmap_box(seq.boxes[i])
        step = (bottom - top) / 64
        for j in (0, 5, 6):
            y, x = np.unravel_index(seq.heatmaps[i, j].argmax(), (64, 48))
            peak = np.array([left + (x + 0.5) * step, top + (y + 0.5) * step])
            away.append(np.linalg.norm(peak - seq.joints[i, j, :2]) / step)
    assert np.median(away) < 2.0  # heatmap pixels


@pytest.mark.parametrize("seed", [0, 3])
def test_two_who_cross_keep_their_tracklets(tmp_path, seed, pipeline):
    path = tmp_path / "a.mp4"
    truth = _render(path, two_crossing(100 + 2 * seed, 101 + 2 * seed, seed=seed))
    result = pipeline.process(path)
    assert len(result.sequences) == 2
    owners = []
    for seq in result.sequences:
        nearest, alone = [], []
        for i, time in enumerate(seq.timestamps):
            boxes = _boxes(min(truth, key=lambda f: abs(f.time - time)))
            centres = boxes[:, [0, 2]].mean(1)
            if abs(centres[0] - centres[1]) > 80:  # told apart by place alone
                nearest.append(int(np.abs(centres - seq.boxes[i, [0, 2]].mean()).argmin()))
            widest = (boxes[:, 2] - boxes[:, 0]).max()
            alone.append(seq.boxes[i, 2] - seq.boxes[i, 0] < 1.2 * widest)
        assert len(set(nearest)) == 1  # one person before and after
        assert np.mean(alone) > 0.97  # and hardly a mask that holds both
        owners.append(nearest[0])
    assert sorted(owners) == [0, 1]


def test_a_person_of_eighty_pixels_in_a_large_picture_is_found(lone, tmp_path, pipeline):
    """A small walker far off, whom only motion gives away."""
    shrink = 80 / np.median([box[3] - box[1] for box in lone.result.sequences[0].boxes])
    canvas = np.full((720, 1280, 3), 130, np.uint8)
    canvas += np.random.default_rng(0).integers(0, 25, canvas.shape, np.uint8)

    def images() -> Iterator[np.ndarray]:
        for frame in frames(lone.path):
            small = cv2.resize(frame.image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
            picture = canvas.copy()
            picture[300 : 300 + small.shape[0], 600 : 600 + small.shape[1]] = small
            yield picture

    encode(tmp_path / "a.mp4", images(), (1280, 720), 30)
    [seq] = pipeline.sequences(tmp_path / "a.mp4")
    assert np.median(seq.boxes[:, 3] - seq.boxes[:, 1]) == pytest.approx(80, abs=8)
    assert len(seq) > 0.8 * len(lone.truth)


def test_cut_off_at_the_knees(tmp_path, pipeline):
    _render(tmp_path / "a.mp4", cut_at_knees(6, seconds=2))
    with pytest.raises(CutOff) as caught:
        pipeline.process(tmp_path / "a.mp4")
    assert caught.value.extra["skipped"][0]["reason"] == "cut_off"


def test_an_empty_room(tmp_path, pipeline):
    _render(tmp_path / "a.mp4", empty(seconds=2))
    with pytest.raises(NoPerson):
        pipeline.process(tmp_path / "a.mp4")


@pytest.mark.parametrize("count", [1, 3, 14])
def test_a_walk_of_few_frames(lone, tmp_path, count, pipeline):
    encode(tmp_path / "a.mp4", (frame.image for frame in lone.truth[:count]), (640, 480), 30)
    with pytest.raises(TooShort):
        pipeline.process(tmp_path / "a.mp4")


def test_a_walker_seen_too_briefly_in_a_long_clip(lone, tmp_path, pipeline):
    """Ten frames of somebody, then an empty room."""
    room = next(iter(empty(seconds=1).frames())).image
    images = [frame.image for frame in lone.truth[:10]] + [room] * 30
    encode(tmp_path / "a.mp4", images, (640, 480), 30)
    with pytest.raises(TooShort) as caught:
        pipeline.process(tmp_path / "a.mp4")
    assert caught.value.extra["skipped"][0]["reason"] == "too_short"


def test_a_slow_camera_is_noted(lone, tmp_path, pipeline):
    encode(tmp_path / "a.mp4", (frame.image for frame in lone.truth[::6]), (640, 480), 5)
    [seq] = pipeline.sequences(tmp_path / "a.mp4")
    assert seq.quality.low_rate and seq.quality.rate_hz == pytest.approx(5, abs=0.2)


def test_8_a_padded_clip_is_what_the_slow_camera_filmed(lone, tmp_path, pipeline):
    slow = [frame.image for frame in lone.truth[::3]]
    encode(tmp_path / "slow.mp4", slow, (640, 480), 10)
    encode(tmp_path / "padded.mp4", [image for image in slow for _ in range(3)], (640, 480), 30)
    [plain] = pipeline.sequences(tmp_path / "slow.mp4")
    result = pipeline.process(tmp_path / "padded.mp4")
    [padded] = result.sequences
    assert [seq.quality.rate_hz for seq in (plain, padded)] == pytest.approx([10, 10], abs=0.2)
    assert padded.quality.skipped["repeated"] == pytest.approx(2 * len(padded), rel=0.15)
    assert "repeated" not in plain.quality.skipped and result.clip.repaired == {}
    assert len(padded) == pytest.approx(len(plain), abs=2)
    shared = np.array([padded.silhouettes[np.abs(padded.timestamps - t).argmin()] for t in plain.timestamps])
    both, either = (shared > 0) & (plain.silhouettes > 0), (shared > 0) | (plain.silhouettes > 0)
    assert both.sum() / either.sum() > 0.9


def test_progress_rises_to_one_and_runs_repeat_exactly(lone, pipeline):
    told: list[float] = []
    again = pipeline.process(lone.path, told.append)
    assert told == sorted(told) and told[-1] == 1
    [first], [second] = lone.result.sequences, again.sequences
    assert first.equals(second)


def test_threads_do_not_change_what_is_seen(lone):
    [one] = Pipeline(PipelineSettings(threads=1)).sequences(lone.path)
    assert one.equals(lone.result.sequences[0])


def test_a_sequence_stops_growing_at_its_limit(lone):
    [seq] = Pipeline(PipelineSettings(max_sequence_frames=30)).sequences(lone.path)
    assert len(seq) == 30
    assert seq.quality.skipped["enough"] > 0


def test_every_backend_is_a_setting_and_no_other_name():
    for name in BACKENDS:
        assert PipelineSettings(perception=name).perception == name
    with pytest.raises(ValidationError, match="known are blazepose, yolo"):
        PipelineSettings(perception="openpose")
