"""Clips of real bodies: the pipeline finds, tracks and segments the people in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.bodies.clips import Appearance, Stage, gallery
from gaitkeeper.training.bodies.footage import BodyClip
from gaitkeeper.training.bodies.recording import Recording
from gaitkeeper.training.walkers.cli import app

SMALL = (212, 120)
SLOW = Recording(rate=3)


@pytest.fixture(scope="module")
def stage(walking) -> Stage:
    return Stage(walking.model, walking.wardrobe)


@pytest.fixture(scope="module")
def pair(stage: Stage) -> list[Appearance]:
    rng = np.random.default_rng(0)
    return [stage.appear(who, rng) for who in stage.people(2, 8)]


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(PipelineSettings(threads=1))


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def overlap(clip: BodyClip, sequence, person: int = 0) -> float:
    """Median intersection over union of a sequence's silhouettes with the truth."""
    covers = [frame.cover[person] for frame in clip.frames()]
    at = np.rint(sequence.timestamps * clip.recording.rate).astype(int)
    truth = np.stack([silhouette(covers[i]) for i in at]) > 0
    seen = sequence.silhouettes > 0
    return float(np.median((truth & seen).sum((1, 2)) / (truth | seen).sum((1, 2))))


def test_a_walker_is_found_followed_and_segmented(stage: Stage, pipeline: Pipeline, tmp_path: Path) -> None:
    [who] = stage.people(1, 4)
    worn = stage.appear(who, np.random.default_rng(0))
    clip = stage.crossing(worn, seconds=2.0, size=(320, 180), seed=2, recording=Recording(rate=25))
    [found] = pipeline.sequences(clip.write(tmp_path / "a.mp4"))
    assert len(found) >= 40 and found.quality.gait_cycles > 1
    assert overlap(clip, found) > 0.85


def test_a_small_grey_walker_is_found(stage: Stage, pipeline: Pipeline, tmp_path: Path) -> None:
    """As in KTH: 160 × 120, and a person of about 80 pixels."""
    [who] = stage.people(1, 6)
    worn = stage.appear(who, np.random.default_rng(0))
    recording = Recording(rate=25, grey=True)
    clip = stage.crossing(worn, seconds=1.2, azimuth=30.0, size=(160, 120), seed=1, recording=recording)
    tall = [np.flatnonzero(frame.cover[0].any(1)) for frame in clip.frames()]
    assert 65 < np.mean([rows[-1] - rows[0] for rows in tall]) < 115
    [found] = pipeline.sequences(clip.write(tmp_path / "a.mp4"))
    assert len(found) >= 18 and overlap(clip, found) > 0.75


def test_two_people_are_two_walkers(stage: Stage, pair: list[Appearance], pipeline: Pipeline, tmp_path: Path) -> None:
    clip = stage.two_crossing(*pair, seconds=3.0, size=(480, 270), seed=1, recording=Recording(rate=25))
    found = pipeline.sequences(clip.write(tmp_path / "a.mp4"))
    assert len(found) == 2
    assert max(overlap(clip, sequence, 0) for sequence in found) > 0.8
    assert max(overlap(clip, sequence, 1) for sequence in found) > 0.8


@pytest.mark.parametrize("azimuth", [90.0, 60.0, 0.0, 180.0, 250.0])
@pytest.mark.parametrize("size", [SMALL, (160, 120)])
def test_crossing_keeps_the_walker_in_full_view(
    stage: Stage, pair: list[Appearance], azimuth: float, size: tuple[int, int]
) -> None:
    clip = stage.crossing(pair[0], azimuth=azimuth, seconds=4.0, size=size, seed=1, recording=SLOW)
    for frame in clip.frames():
        mask = frame.cover[0] > 0
        assert mask.sum() > 150
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def test_the_truth_of_a_frame_agrees_with_its_pixels(stage: Stage, pair: list[Appearance]) -> None:
    for frame in stage.crossing(pair[0], azimuth=60.0, seconds=1.5, size=(240, 200), seed=1, recording=SLOW).frames():
        rows, columns = (np.flatnonzero((frame.cover[0] > 0.5).any(axis)) for axis in (1, 0))
        seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert np.allclose(frame.boxes[0], seen, atol=2.0)
        near = cv2.dilate((frame.cover[0] > 0.5).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        x, y = np.floor(frame.joints[0]).astype(int).T
        assert near[y, x].all()
        assert frame.joints[0, 0, 1] < frame.joints[0, 11:13, 1].min() < frame.joints[0, 15:, 1].min()


def test_two_crossing_hides_one_for_a_while_and_shows_both_before_and_after(
    stage: Stage, pair: list[Appearance]
) -> None:
    frames = list(stage.two_crossing(*pair, size=SMALL, recording=Recording(rate=10)).frames())
    alone = stage.two_crossing(*pair, size=SMALL, recording=Recording(rate=10))
    whole = [frame.cover[0].sum() for frame in replace(alone, figures=alone.figures[1:]).frames()]
    hidden = [1 - frame.cover[1].sum() / area for frame, area in zip(frames, whole, strict=True)]
    assert hidden[0] == pytest.approx(0, abs=1e-5) and hidden[-1] == pytest.approx(0, abs=1e-5)
    assert max(hidden) > 0.5
    middles = np.array([frame.boxes[:, [0, 2]].mean(1) for frame in frames])
    assert (middles[0, 0] - middles[0, 1]) * (middles[-1, 0] - middles[-1, 1]) < 0


def test_in_a_row_shows_both_apart(stage: Stage, pair: list[Appearance]) -> None:
    for frame in stage.in_a_row(*pair, seconds=2.0, size=SMALL, recording=SLOW).frames():
        (left, right) = sorted(frame.boxes.tolist())
        assert left[2] < right[0] and left[0] > 0 and right[2] < SMALL[0]
        assert frame.boxes[:, 1].min() > 0 and frame.boxes[:, 3].max() < SMALL[1]


def test_cut_at_knees_never_shows_a_knee(stage: Stage, pair: list[Appearance]) -> None:
    for who in pair:
        for frame in stage.cut_at_knees(who, size=SMALL, recording=Recording(rate=8)).frames():
            assert frame.cover[0, -1].max() > 0.5
            assert (frame.joints[0, 13:, 1] > SMALL[1]).all()
            assert (frame.joints[0, :9, 1] < SMALL[1]).all() and frame.boxes[0, 1] > 0


def test_empty_shows_nobody_and_holds_still(stage: Stage, tmp_path: Path) -> None:
    clip = stage.empty(seconds=0.5, size=SMALL)
    assert [frame.cover.shape for frame in clip.frames()] == 15 * [(0, SMALL[1], SMALL[0])]
    images = decoded(clip.write(tmp_path / "empty.mp4"))
    assert np.abs(images[0].astype(int) - images[-1].astype(int)).mean() < 3


def test_pacing_goes_there_and_back_and_turns_outside_the_picture(stage: Stage, pair: list[Appearance]) -> None:
    frames = list(stage.pacing(pair[0], seconds=12.0, size=SMALL, recording=Recording(rate=4)).frames())
    middles = [frame.joints[0, 11:13, 0].mean() for frame in frames]
    assert (np.diff(middles[:22]) * np.diff(middles[24:46]) < 0).all()
    shown = [bool(frame.cover[0].any()) for frame in frames]
    assert not (shown[0] or shown[24] or shown[-1]) and any(shown[:24]) and any(shown[24:])
    with pytest.raises(ValueError, match="too short"):
        stage.pacing(pair[0], seconds=4.0)


def test_gallery_has_two_walks_of_everybody_and_one_room(stage: Stage) -> None:
    clips = dict(gallery(stage, 2, seconds=1.0, size=SMALL, seed=5, recording=SLOW))
    assert list(clips) == [f"person-{n}-{name}" for n in (1, 2) for name in ("gallery", "probe")]
    meshes = {name: clip.figures[0].dressed.mesh.points for name, clip in clips.items()}
    for n in (1, 2):
        enrolled, probe = (f"person-{n}-{name}" for name in ("gallery", "probe"))
        assert np.array_equal(meshes[enrolled], meshes[probe])
        assert not np.array_equal(clips[enrolled].figures[0].posed.turns, clips[probe].figures[0].posed.turns)
        assert not np.array_equal(clips[enrolled].view.position, clips[probe].view.position)
    assert meshes["person-1-probe"].shape != meshes["person-2-probe"].shape


def test_the_command_writes_two_clips_of_each(assets: Path, tmp_path: Path) -> None:
    options = ["--people=1", "--seconds=1", "--size=160x120", "--rate=10", "--grey", "--other-outfit"]
    result = CliRunner().invoke(app, ["clips", str(tmp_path), *options, "--assets", str(assets), "--height=1.5"])
    assert result.exit_code == 0, result.output
    paths = [tmp_path / f"person-1-{name}.mp4" for name in ("gallery", "probe")]
    for path in paths:
        pictures = decoded(path)
        assert len(pictures) == 10 and pictures[0].shape == (120, 160, 3)
        assert np.ptp(pictures[0].astype(int), axis=2).max() < 12  # grey
    assert paths[0].read_bytes() != paths[1].read_bytes()


@pytest.mark.parametrize("size", ["640", "641x480", "axb", "10x10"])
def test_the_command_refuses_a_bad_size(tmp_path: Path, size: str) -> None:
    refused = CliRunner().invoke(app, ["clips", str(tmp_path), "--size", size])
    assert refused.exit_code == 2 and "is not a size" in refused.output
