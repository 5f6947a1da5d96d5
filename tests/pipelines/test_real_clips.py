"""Real people in real clips: everyone found, nobody split, nobody mixed with another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gaitkeeper.pipelines.decode import frames
from gaitkeeper.pipelines.errors import NoPerson
from gaitkeeper.pipelines.inspect import write_pictures
from gaitkeeper.pipelines.sequence import GaitSequence

WALKERS = {"quartet-gallery": 4, "quartet-back": 4, "hall-a": 1, "road-bc": 2}
USABLE = 50

clips = pytest.mark.parametrize("name", WALKERS)


@clips
def test_exactly_the_walkers(real_clip, name):
    result = real_clip(name)
    assert len(result.sequences) == WALKERS[name]
    assert result.skipped == []
    for seq in result.sequences:
        assert len(seq) >= USABLE
        assert seq.quality.gait_cycles >= 1.4
        assert seq.quality.mean_joint_score > 0.75
        assert seq.quality.mask_stability > 0.9


@clips
def test_nearly_every_frame_carries_mask_joints_and_heatmaps(real_clip, name):
    for seq in real_clip(name).sequences:
        # Frames skipped on purpose (cut off, overlapped, poor) are counted apart from frames where nobody was seen.
        assert len(seq) >= 0.95 * (len(seq) + seq.quality.missed)
        assert (seq.silhouettes.reshape(len(seq), -1).max(1) == 255).all()
        assert (seq.silhouettes[:, 0].any(1) & seq.silhouettes[:, -1].any(1)).mean() > 0.95  # fills the height
        assert (seq.heatmaps.reshape(len(seq), 17, -1).max(2).mean(1) > 80).mean() > 0.95
        inside = (seq.joints[..., 0] > seq.boxes[:, None, 0] - 10) & (seq.joints[..., 0] < seq.boxes[:, None, 2] + 10)
        assert inside.mean() > 0.95


def _shirts(path, seqs: list[GaitSequence]) -> list[np.ndarray]:
    """Per sequence, the median colour (T, 3) in CIE Lab of the middle of the chest or back, frame by frame."""
    rows = [{round(t, 4): i for i, t in enumerate(seq.timestamps)} for seq in seqs]
    colours: list[list[np.ndarray]] = [[] for _ in seqs]
    for frame in frames(path):
        lab = None
        for seq, row, found in zip(seqs, rows, colours, strict=True):
            i = row.get(round(frame.time, 4))
            if i is None:
                continue
            lab = cv2.cvtColor(frame.image, cv2.COLOR_RGB2LAB) if lab is None else lab
            x, y = seq.joints[i, [5, 6, 11, 12], :2].mean(0)
            r = 0.06 * (seq.boxes[i, 3] - seq.boxes[i, 1])
            patch = lab[int(y - r) : int(y + r) + 1, int(x - r) : int(x + r) + 1]
            found.append(np.median(patch.reshape(-1, 3), axis=0))
    return [np.array(found, float) for found in colours]


@pytest.mark.parametrize("name", ["quartet-gallery", "quartet-back"])
def test_no_tracklet_of_the_quartet_mixes_two_people(real_clip, shared_data, name):
    seqs = real_clip(name).sequences
    shirts = _shirts(shared_data / "videos" / f"{name}.mp4", seqs)
    usual = np.array([np.median(shirt, axis=0) for shirt in shirts])
    apart = np.linalg.norm(usual[:, None] - usual[None], axis=-1)[~np.eye(len(seqs), dtype=bool)]
    assert apart.min() > 15  # navy, grey, white, yellow: each tracklet is another person
    for i, shirt in enumerate(shirts):
        nearest = np.linalg.norm(shirt[:, None] - usual[None], axis=-1).argmin(1)
        assert (nearest == i).mean() > 0.95
    navy, yellow = usual[:, 0].argmin(), usual[:, 2].argmax()
    middle = [np.median(seq.boxes[:, [0, 2]]) for seq in seqs]
    assert middle[navy] == min(middle) and middle[yellow] == max(middle)  # as the people stand in both clips


def test_the_road_clip_shows_one_person_after_the_other(real_clip):
    first, second = real_clip("road-bc").sequences
    assert first.timestamps[-1] < second.timestamps[0]
    for seq in (first, second):
        centre = seq.boxes[:, [0, 2]].mean(1)
        assert centre[0] - centre[-1] > 250  # each walks from right to left
        assert np.abs(np.diff(centre)).max() < 40  # and never jumps, as a tracklet that changes its person would


def test_sequences_are_compact(real_clip):
    for seq in real_clip("hall-a").sequences:
        kilobytes = len(seq.without_heatmaps().to_bytes()) / 1024
        assert kilobytes / seq.duration < 20
        assert len(seq.to_bytes()) < 2**20 * max(seq.duration / 3, 1)
        assert GaitSequence.load(seq.to_bytes()).equals(seq)


def test_pictures_for_people(real_clip, tmp_path):
    paths = write_pictures(real_clip("road-bc"), tmp_path / "pictures")
    assert [path.name for path in paths] == ["track-1.png", "track-2.png"]
    for path in paths:
        image = cv2.imread(str(path))
        strip = image[44 : 44 + 64]
        assert image.shape[1] == 1280 and (strip > 200).mean() > 0.1  # the silhouettes are there
    assert len(real_clip("road-bc").thumbnails) == 2
    for data in real_clip("road-bc").thumbnails.values():
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[0] == 160


def test_who_stands_at_a_table_does_not_walk(shared_data, pipeline):
    """People come, stand for long and go: nobody is enrolled by a stance."""
    with pytest.raises(NoPerson) as caught:
        pipeline.process(shared_data / "videos" / "one-by-one-person-detection.mp4")
    people = caught.value.extra["skipped"]
    assert sum(person["reason"] == "standing" for person in people) >= 4
    assert all(person["reason"] == "standing" for person in people if person["usable"] >= 15)
