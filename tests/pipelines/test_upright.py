"""Walkers who do not stand upright in the picture are no templates, and the clip's right turn is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gaitkeeper.gallery.decision.verdict import QualityGates
from gaitkeeper.gallery.types import Reason
from gaitkeeper.pipelines.decode import frames, probe
from gaitkeeper.pipelines.errors import NoPerson, NotUpright
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.posture import MIN_UPRIGHT, upright_share
from gaitkeeper.pipelines.settings import PipelineSettings


class Turned:
    """Decodes a clip and turns its pictures counter-clockwise, as a camera that hangs so would."""

    def __init__(self, turn, every=1):
        self.quarters, self.every, self.settings = turn // 90, every, PipelineSettings()

    def probe(self, source, deadline=None):
        return probe(source, self.settings)

    def frames(self, source, info, deadline=None):
        for frame in frames(source, info):
            yield replace(frame, image=np.ascontiguousarray(np.rot90(frame.image, self.quarters)))

    def close(self):
        pass


@pytest.fixture(scope="module")
def turned():
    """Process a clip filmed by a camera that hangs so many degrees wrong."""
    pipeline = Pipeline(PipelineSettings(sandbox=False))

    def process(path, turn):
        pipeline.decoder = Turned(turn)
        return pipeline.process(path)

    return process


def test_upside_down_is_no_template(shared_data, pipeline):
    path = shared_data / "odd-clips" / "upside_down.mp4"
    try:
        found = pipeline.process(path).sequences
    except NotUpright as error:
        assert error.extra["rotate"] == 180
        return
    for seq in found:
        assert seq.quality.upright < MIN_UPRIGHT and seq.quality.turn == 180
        assert QualityGates(min_frames=1).amiss(seq) is Reason.NOT_UPRIGHT
        with pytest.raises(NotUpright, match="rotate=180") as caught:
            QualityGates(min_frames=1).check_enrolment(seq)
        assert caught.value.extra["rotate"] == 180


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("name", ["odd-clips/plain.mp4", "videos/hall-a.mp4"])
def test_a_clip_that_lies_is_said_which_turn_rights_it(shared_data, turned, name, turn):
    try:
        found = turned(shared_data / name, turn).sequences
    except NotUpright as error:
        assert error.extra["rotate"] == turn
    else:
        assert found and all(seq.quality.upright < MIN_UPRIGHT and seq.quality.turn == turn for seq in found)


@pytest.mark.parametrize("name", ["hall-a", "road-bc", "quartet-gallery", "quartet-back"])
def test_who_walks_upright_is_upright(real_clip, name):
    for seq in real_clip(name).sequences:
        assert seq.quality.upright > 0.97 and seq.quality.turn is None
        assert QualityGates().amiss(seq) is None


def test_where_nobody_is_no_turn_is_named(make_clip, pipeline):
    noise = np.random.default_rng(3)
    path = make_clip("noise.mp4", count=40, pictures=lambda i: noise.integers(0, 255, (240, 320, 3), np.uint8))
    with pytest.raises(NoPerson):
        pipeline.process(path)


def test_the_share_counts_frames_whose_head_is_over_hips_over_ankles():
    joints = np.zeros((4, 17, 3), np.float32)
    joints[:, :5, 1], joints[:, 11:13, 1], joints[:, 15:17, 1] = 10, 50, 90
    assert upright_share(joints) == 1
    joints[0, :, 1] *= -1  # on the head
    joints[1, :, 1] = 0  # lying
    assert upright_share(joints) == 0.5
    assert upright_share(joints[:0]) == 1
