"""A real clip through quantised networks of the real kind: YOLO finds the walker, YOLO-pose sees joints."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.decode import frames
from gaitkeeper.pipelines.perception.base import iou
from gaitkeeper.pipelines.perception.topdown import TopDown
from gaitkeeper.pipelines.settings import PipelineSettings

DETECTOR, POSE = "yolo26_320_qdq_int8_od_coco-person-st.onnx", "yolo26_pose_256_qdq_int8.onnx"


@pytest.fixture(scope="module")
def settings(shared_weights):
    """Of the backend, with the AGPL accepted for these tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GAITKEEPER_ACCEPT_LICENSES", "AGPL-3.0")
        yield PipelineSettings(
            perception="yolo", detector=str(shared_weights / DETECTOR), pose=str(shared_weights / POSE)
        )


@pytest.fixture(scope="module")
def seen(settings, shared_data):
    """What becomes of hall-a."""
    pipeline = Pipeline(settings)
    try:
        return pipeline.process(shared_data / "videos" / "hall-a.mp4")
    finally:
        pipeline.close()


def test_the_one_walker_is_found_whole(seen):
    [seq] = seen.sequences
    assert seen.skipped == []
    assert len(seq) >= 55 and seq.quality.gait_cycles >= 1.4
    assert seq.quality.mean_joint_score > 0.75 and seq.quality.mask_stability > 0.9
    assert seq.perception.startswith("yolo/2@") and seq.perception.endswith("+blazepose-full")
    assert (seq.silhouettes.reshape(len(seq), -1).max(1) == 255).all()
    assert (seq.heatmaps.reshape(len(seq), 17, -1).max(2).mean(1) > 150).all()


@pytest.fixture(scope="module")
def every_frame(shared_data):
    """The walker of hall-a as BlazePose sees every frame: one that was left out has its neighbour's silhouette."""
    pipeline = Pipeline(PipelineSettings(look_rate=1000))
    try:
        return pipeline.sequences(shared_data / "videos" / "hall-a.mp4")
    finally:
        pipeline.close()


def test_it_is_the_walker_that_blazepose_sees(seen, every_frame):
    """Two ways of seeing, of other makers: boxes, silhouettes and joints agree where both saw the whole person."""
    [ours], [theirs] = seen.sequences, every_frame
    rows = {round(t, 4): i for i, t in enumerate(theirs.timestamps)}
    pairs = [(i, rows[round(t, 4)]) for i, t in enumerate(ours.timestamps) if round(t, 4) in rows]
    assert len(pairs) >= 0.9 * min(len(ours), len(theirs))
    a, b = (np.array(part) for part in zip(*pairs, strict=True))
    boxes = np.array([iou(ours.boxes[[i]], theirs.boxes[[j]])[0, 0] for i, j in pairs])
    one, other = ours.silhouettes[a] > 0, theirs.silhouettes[b] > 0
    shapes = (one & other).sum((1, 2)) / (one | other).sum((1, 2))
    height = (theirs.boxes[b, 3] - theirs.boxes[b, 1])[:, None]
    apart = np.linalg.norm(ours.joints[a, :, :2] - theirs.joints[b, :, :2], axis=-1) / height
    print(f"boxes {np.median(boxes):.3f}, silhouettes {np.median(shapes):.3f}, joints {np.median(apart):.4f}")
    assert np.median(boxes) > 0.9 and boxes.min() > 0.75
    assert np.median(shapes) > 0.85
    assert np.median(apart[:, 5:]) < 0.03  # of the person's height, from the shoulders down
    # Left is left: swapping sides fits worse.
    swapped = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    across = np.linalg.norm(ours.joints[a][:, swapped, :2] - theirs.joints[b, :, :2], axis=-1) / height
    assert np.median(apart[:, 5:]) < np.median(across[:, 5:])


def test_all_four_of_a_group_are_found_and_an_empty_street_is_empty(settings, shared_data):
    find = TopDown(settings)
    image = next(f.image for f in frames(shared_data / "videos" / "quartet-gallery.mp4") if f.index == 160)
    people = find.see(image, 0.0)
    assert len(people) == 4
    boxes = np.array([person.box for person in people])
    assert (iou(boxes, boxes) - np.eye(4)).max() < 0.5
    shirts = sorted(people, key=lambda person: person.box[0])
    colours = [_shirt(image, person.joints) for person in shirts]
    assert colours[0][2] < 128 < colours[3][2]  # navy to the left, yellow to the right, in b of Lab
    assert find.see(np.full_like(image, 90), 0.0) == []


def _shirt(image, joints):
    x, y = joints[[5, 6, 11, 12], :2].mean(0).astype(int)
    lab = cv2.cvtColor(image[y - 4 : y + 5, x - 4 : x + 5], cv2.COLOR_RGB2LAB)
    return np.median(lab.reshape(-1, 3).astype(float), axis=0)
