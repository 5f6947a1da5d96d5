"""One track is one person: a cut to another at the same place is two tracks, in clips and live."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest

from gaitkeeper.gallery.decision.verdict import QualityGates
from gaitkeeper.gallery.errors import LikenessChanged
from gaitkeeper.gallery.types import Reason
from gaitkeeper.pipelines.decode import frames
from gaitkeeper.pipelines.likeness import change
from gaitkeeper.pipelines.live import LiveWatch
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.tracklet import Sighting, _View


def sightings(clothes, outlines, step=0.04):
    """Usable sightings: each wears one of eight shades, and has an outline so many pixels to the right."""
    out = []
    for i, (shade, shift) in enumerate(zip(clothes, outlines, strict=True)):
        worn = np.zeros((2, 3, 8), np.float32)
        lower = int(shade)
        worn[..., lower], worn[..., min(lower + 1, 7)] = 1 - (shade - lower), shade - lower
        shape = np.zeros((64, 64), np.uint8)
        shape[:, 20 + shift : 40 + shift] = 255
        view = _View(shape, np.zeros((17, 3), np.float32), b"", 0.3)
        out.append(Sighting(i, i * step, np.zeros(4, np.float32), worn, None, view))
    return out


def test_a_cut_to_another_at_the_same_place_is_two_tracks(shared_data, pipeline):
    result = pipeline.process(shared_data / "odd-clips" / "cut.mp4")
    first, second = result.sequences
    assert first.timestamps[-1] < second.timestamps[0] <= first.timestamps[-1] + 0.1
    assert min(len(first), len(second)) >= 40
    for seq in (first, second):
        picture = cv2.imdecode(np.frombuffer(result.thumbnails[seq.track], np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[0] == 160


class Patient:
    """Perception that searches each live picture to the end, so that the walker is found at once."""

    def __init__(self, perception):
        self.perception = perception
        self.name, self.batch = perception.name, perception.batch

    def watch(self, *, live=False):
        return self.perception.watch()


def test_the_live_path_begins_anew_at_the_same_cut(shared_data, pipeline):
    watch = LiveWatch(Patient(pipeline.perception), pipeline.settings)
    shown = frames(shared_data / "odd-clips" / "cut.mp4")
    anew = [frame.time for frame in shown if watch.see(frame.image, frame.time).anew]
    assert len(anew) == 1 and 1.5 < anew[0] < 1.8
    [track] = watch._tracks.values()
    assert track.tracklet.sightings[0].time == pytest.approx(1.5, abs=0.05)  # nothing of the first is left


@pytest.mark.parametrize("name", ["plain", "gallery", "gallery2"])
def test_one_walker_stays_one(shared_data, pipeline, name):
    [seq] = pipeline.process(shared_data / "odd-clips" / f"{name}.mp4").sequences
    assert not seq.quality.likeness_changed


@pytest.mark.parametrize("person", ["01", "09"])
def test_a_pass_of_a_real_person_is_not_divided(shared_data, pipeline, person):
    found = pipeline.process(shared_data / "kth" / f"person{person}_walking_d4_uncomp.avi").sequences
    assert len(found) == 4
    assert not any(seq.quality.likeness_changed for seq in found)


def test_other_clothes_are_another_person():
    found = change(sightings([1] * 15 + [5] * 15, [0] * 30))
    assert found.other and found.time == pytest.approx(0.6)


def test_less_will_do_where_the_outline_does_not_go_on():
    clothes = [1.0] * 15 + [1.07] * 15
    assert change(sightings(clothes, [0] * 30)) is None
    found = change(sightings(clothes, [0] * 15 + [12] * 15))
    assert found.other and found.time == pytest.approx(0.6)


def test_an_outline_that_jumps_in_the_same_clothes_is_the_same_person():
    assert change(sightings([1] * 30, [0] * 15 + [12] * 15)) is None


def test_in_doubt_it_may_be_two_people_and_is_no_template(shared_data, pipeline):
    found = change(sightings([1.0] * 15 + [1.15] * 15, [0] * 30))
    assert found is not None and not found.other
    [seq] = pipeline.process(shared_data / "odd-clips" / "plain.mp4").sequences
    doubtful = replace(seq, quality=replace(seq.quality, likeness_changed=True))
    assert QualityGates().amiss(doubtful) is Reason.LIKENESS_CHANGED
    with pytest.raises(LikenessChanged):
        QualityGates().check_enrolment(doubtful)
    file = io.BytesIO()
    doubtful.save(file)
    assert GaitSequence.load(file.getvalue()).equals(doubtful)


def test_too_few_sightings_tell_nothing():
    assert change(sightings([1] * 6 + [5] * 5, [0] * 11)) is None
