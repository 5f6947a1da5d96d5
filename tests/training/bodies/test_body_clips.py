"""Clips of real bodies: the pipeline finds, tracks and segments the people in them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.silhouette import silhouette
from gaitkeeper.training.bodies.clips import BodyClip, Stage
from gaitkeeper.training.bodies.recording import Recording
from gaitkeeper.training.walkers.cli import app


@pytest.fixture(scope="module")
def stage(walking) -> Stage:
    return Stage(walking.model, walking.wardrobe)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(PipelineSettings(threads=1))


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


def test_two_people_are_two_walkers(stage: Stage, pipeline: Pipeline, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pair = [stage.appear(who, rng) for who in stage.people(2, 8)]
    clip = stage.two_crossing(*pair, seconds=3.0, size=(480, 270), seed=1, recording=Recording(rate=25))
    found = pipeline.sequences(clip.write(tmp_path / "a.mp4"))
    assert len(found) == 2
    assert max(overlap(clip, sequence, 0) for sequence in found) > 0.8
    assert max(overlap(clip, sequence, 1) for sequence in found) > 0.8


def test_the_command_writes_two_clips_of_each(assets: Path, tmp_path: Path) -> None:
    options = ["--bodies", "--people=1", "--seconds=1", "--size=160x120", "--rate=10", "--grey", "--other-outfit"]
    result = CliRunner().invoke(app, ["clips", str(tmp_path), *options, "--assets", str(assets), "--height=1.5"])
    assert result.exit_code == 0, result.output
    paths = [tmp_path / f"person-1-{name}.mp4" for name in ("gallery", "probe")]
    for path in paths:
        with av.open(str(path)) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(pictures) == 10 and pictures[0].shape == (120, 160, 3)
        assert np.ptp(pictures[0].astype(int), axis=2).max() < 12  # grey
    assert paths[0].read_bytes() != paths[1].read_bytes()
    refused = CliRunner().invoke(app, ["clips", str(tmp_path), "--bodies", "--size=9x9"])
    assert refused.exit_code == 2
