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
from gaitkeeper.training.bodies.encode import encode


@dataclass(frozen=True)
class Rendered:
    """A clip's file, its T frames with the truth about the people in them, and what the pipeline made of it.

    ``joints`` are (T, K, 17, 2), ``boxes`` (T, K, 4), as much of each person as would be seen alone.
    """

    path: Path
    images: list[np.ndarray]
    times: np.ndarray
    joints: np.ndarray
    boxes: np.ndarray
    result: ClipResult

    def at(self, time: float) -> int:
        """The frame at a time."""
        return int(np.abs(self.times - time).argmin())


def _rendered(path: Path, pipeline: Pipeline) -> Rendered:
    seen = list(frames(path))
    truth = np.load(path.with_suffix(".npz"))
    assert len(truth["joints"]) == len(truth["boxes"]) == len(seen)
    times = np.array([frame.time for frame in seen])
    images = [frame.image for frame in seen]
    return Rendered(path, images, times, truth["joints"], truth["boxes"], pipeline.process(path))


@pytest.fixture(scope="module")
def lone(clips, pipeline) -> Rendered:
    return _rendered(clips / "walk.mp4", pipeline)


def test_one_walker_is_one_sequence(lone):
    [seq] = lone.result.sequences
    assert len(seq) > 0.9 * len(lone.images)
    assert seq.quality.gait_cycles == pytest.approx(3, abs=1)
    assert lone.result.skipped == []
    assert lone.result.clip.frames == len(lone.images)
    assert set(lone.result.timings) == {"decode", "perception", "tracking", "sequences", "total"}


def test_boxes_and_joints_are_where_the_person_is(lone):
    [seq] = lone.result.sequences
    shares, errors = [], []
    for i, time in enumerate(seq.timestamps):
        at = lone.at(time)
        box = lone.boxes[at]
        shares.append(iou(seq.boxes[i][None], box)[0, 0])
        away = np.linalg.norm(seq.joints[i, :, :2] - lone.joints[at, 0], axis=1)
        errors.append(away / (box[0, 3] - box[0, 1]))
    assert np.median(shares) > 0.85
    # Hips, knees and ankles may swap sides; the head and the trunk cannot be far off.
    assert np.median(np.array(errors)[:, [0, 5, 6]]) < 0.06


def test_masks_match_the_truth(lone):
    [seq] = lone.result.sequences
    masks = np.unpackbits(np.load(lone.path.with_suffix(".npz"))["masks"], axis=-1)
    shares = []
    for i, time in enumerate(seq.timestamps):
        true = silhouette(masks[lone.at(time), 0].astype(np.float32)) > 0
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


@pytest.mark.parametrize("name", ["crossing-1", "crossing-2"])
def test_two_who_cross_keep_their_tracklets(clips, name, pipeline):
    both = _rendered(clips / f"{name}.mp4", pipeline)
    assert len(both.result.sequences) == 2
    owners = []
    for seq in both.result.sequences:
        nearest, alone = [], []
        for i, time in enumerate(seq.timestamps):
            boxes = both.boxes[both.at(time)]
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
        for image in lone.images:
            small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
            picture = canvas.copy()
            picture[300 : 300 + small.shape[0], 600 : 600 + small.shape[1]] = small
            yield picture

    encode(tmp_path / "a.mp4", images(), (1280, 720), 30)
    [seq] = pipeline.sequences(tmp_path / "a.mp4")
    assert np.median(seq.boxes[:, 3] - seq.boxes[:, 1]) == pytest.approx(80, abs=8)
    assert len(seq) > 0.8 * len(lone.images)


def test_cut_off_at_the_knees(clips, pipeline):
    with pytest.raises(CutOff) as caught:
        pipeline.process(clips / "knees.mp4")
    assert caught.value.extra["skipped"][0]["reason"] == "cut_off"


def test_an_empty_room(clips, pipeline):
    with pytest.raises(NoPerson):
        pipeline.process(clips / "empty.mp4")


@pytest.mark.parametrize("count", [1, 3, 14])
def test_a_walk_of_few_frames(lone, tmp_path, count, pipeline):
    encode(tmp_path / "a.mp4", lone.images[:count], (640, 480), 30)
    with pytest.raises(TooShort):
        pipeline.process(tmp_path / "a.mp4")


def test_a_walker_seen_too_briefly_in_a_long_clip(lone, clips, tmp_path, pipeline):
    """Ten frames of somebody, then an empty room."""
    room = cv2.resize(next(frames(clips / "empty.mp4")).image, (640, 480))
    images = lone.images[:10] + [room] * 30
    encode(tmp_path / "a.mp4", images, (640, 480), 30)
    with pytest.raises(TooShort) as caught:
        pipeline.process(tmp_path / "a.mp4")
    assert caught.value.extra["skipped"][0]["reason"] == "too_short"


def test_a_slow_camera_is_noted(lone, tmp_path, pipeline):
    encode(tmp_path / "a.mp4", lone.images[::6], (640, 480), 5)
    [seq] = pipeline.sequences(tmp_path / "a.mp4")
    assert seq.quality.low_rate and seq.quality.rate_hz == pytest.approx(5, abs=0.2)


def test_8_a_padded_clip_is_what_the_slow_camera_filmed(lone, tmp_path, pipeline):
    slow = lone.images[::3]
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
