"""Frames one by one: windows of gait, and when a track may be another person's."""

from __future__ import annotations

import time
from concurrent.futures import Future
from itertools import islice
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.live import LiveWatch
from gaitkeeper.pipelines.perception import Person
from gaitkeeper.pipelines.perception.watcher import LiveBlazePoseWatcher
from gaitkeeper.pipelines.settings import PipelineSettings

NAVY, YELLOW, RED = (30, 40, 110), (220, 200, 60), (200, 30, 30)
SIZE = (240, 640)


def person(x: float, y: float = 40) -> Person:
    """A bar 40 pixels wide and 160 high about x."""
    box = np.array([x - 20, y, x + 20, y + 160], np.float32)
    mask = np.zeros((256, 256), np.float32)
    mask[28:228, 103:153] = 1
    joints = np.zeros((17, 3), np.float32)
    joints[:] = (x, y + 80, 0.9)
    window = (x - 102.4, y + 80 - 102.4, x + 102.4, y + 80 + 102.4)
    return Person(box, 0.9, mask, window, joints, np.zeros((17, 64, 48), np.uint8))


class Told:
    """A perception that sees whom it is told."""

    name = "told/1"

    def __init__(self):
        self.people = []

    def watch(self, *, live=False):
        assert live
        return self

    def see(self, image, time):
        return self.people


class Stream:
    """Feeds a watch at 30 Hz; keeps what comes."""

    def __init__(self, **settings):
        self.told = Told()
        self.watch = LiveWatch(self.told, PipelineSettings(**settings))
        self.time, self.due, self.anew, self.ended, self.seen = 0.0, [], [], [], []

    def feed(self, *people, size=SIZE, step=1 / 30):
        """One frame of people, (place, colour of their clothes) each."""
        image = np.full((*size, 3), 128, np.uint8)
        for x, colour in reversed(people):  # the first is the nearest
            image[40:200, int(x) - 20 : int(x) + 20] = colour
        self.told.people = [person(x, 40 - 2 * i) for i, (x, _) in enumerate(people)]
        self.time += step
        sight = self.watch.see(image, self.time)
        self.due += sight.due
        self.anew += [(round(self.time, 2), track) for track in sight.anew]
        self.ended += sight.ended
        self.seen.append([one.track for one in sight.people])
        return sight


def test_a_window_is_due_with_enough_gait_and_again_every_half():
    stream = Stream()
    for i in range(120):
        stream.feed((100 + 2 * i, NAVY))
    times = [one.time for one in stream.due]
    assert times[0] == pytest.approx(1.5, abs=0.06)
    assert np.diff(times) == pytest.approx(0.75, abs=0.05)
    assert all(one.enough and not one.final for one in stream.due)
    lengths = [len(one.sequence("told/1")) for one in stream.due]
    assert lengths == sorted(lengths) and lengths[0] in (44, 45)  # more as it accrues
    assert stream.seen[1:] == [[1]] * 119  # the tracker gives numbers from the second sighting on


def test_no_more_than_the_latest_is_kept():
    stream = Stream(live_longest=2.0)
    for i in range(150):
        stream.feed((100 + 2 * i, NAVY))
    sequence = stream.due[-1].sequence("told/1")
    assert sequence.duration <= 2.0 and sequence.timestamps[-1] == stream.due[-1].time
    # A window that is to be judged stays as it was, whatever comes after it.
    assert stream.due[0].sequence("told/1").timestamps[0] == pytest.approx(2 / 30)


def test_18_the_end_of_a_track_is_judged_on_all_of_it_since_it_began_anew():
    stream = Stream(live_longest=2.0)
    for i in range(150):
        stream.feed((100 + 2 * i, NAVY))
    [whole] = stream.watch.end()
    assert whole.sequence("told/1").timestamps[[0, -1]] == pytest.approx([2 / 30, 5.0])
    assert whole.gait == pytest.approx(148 / 30, abs=0.01)

    short = Stream(live_longest=2.0, max_sequence_frames=90)
    for i in range(150):
        short.feed((100 + 2 * i, NAVY))
    [latest] = short.watch.end()
    assert len(latest.sequence("told/1")) == 90 and latest.sequence("told/1").timestamps[-1] == pytest.approx(5.0)

    cut = Stream(live_longest=2.0)
    for i in range(150):
        cut.feed((100 + 2 * i, NAVY if i < 75 else YELLOW))
    [after] = cut.watch.end()
    assert after.window == 2 and after.sequence("told/1").timestamps[0] > 75 / 30


def test_who_has_gone_for_a_while_ends_and_comes_back_as_somebody_new():
    stream = Stream()
    for i in range(60):
        stream.feed((100 + 2 * i, NAVY))
    for _ in range(40):
        stream.feed()
    assert stream.ended == [1]
    final = stream.due[-1]
    assert final.final and final.enough
    assert final.sequence("told/1").timestamps[[0, -1]] == pytest.approx([2 / 30, 2.0])  # all of the track
    for i in range(60):
        stream.feed((100 + 2 * i, NAVY))
    assert stream.seen[-1] == [2]
    # From the second sighting on; the second began after the first was seen last.
    assert final.span == (1, 59) and stream.due[-1].span[0] == 101 and stream.due[-1].track == 2


def test_a_window_that_begins_anew_begins_its_span_anew():
    """A cut to somebody else at the same place: what was seen before is not this person's."""
    stream = Stream()
    for i in range(60):
        stream.feed((100 + 2 * i, NAVY))
    for i in range(60, 130):
        stream.feed((100 + 2 * i, YELLOW))
    assert stream.anew and stream.due[0].span[0] == 1
    assert stream.due[-1].window == 2 and 59 <= stream.due[-1].span[0] <= 62 and stream.due[-1].span[1] <= 129


def test_the_end_of_a_stream_ends_its_tracks():
    stream = Stream()
    for i in range(20):
        stream.feed((100 + 2 * i, NAVY))
    [last] = stream.watch.end()
    assert last.final and not last.enough
    assert stream.watch.end() == []


@pytest.mark.parametrize("change", [{"size": (200, 600)}, {"step": 5.0}])
def test_another_size_or_a_gap_in_time_is_another_scene(change):
    stream = Stream()
    for i in range(20):
        stream.feed((100 + 2 * i, NAVY))
    stream.feed((140, NAVY), **change)
    stream.feed((142, NAVY), **{**change, "step": 1 / 30})
    assert stream.ended == [1] and stream.seen[-1] == [2]


def test_clothes_that_change_at_a_jump_begin_the_window_anew():
    stream = Stream()
    for i in range(60):
        stream.feed((100 + 2 * i, NAVY if i < 30 else YELLOW))
    [(when, track)] = stream.anew
    assert track == 1 and 1.0 < when < 1.35
    assert stream.due == []  # 1 s of the one and 1 s of the other are no 1.5 s of anybody
    for i in range(20):
        stream.feed((220 + 2 * i, YELLOW))
    assert stream.due[0].window == 2
    assert stream.due[0].sequence("told/1").timestamps[0] > 30 / 30


def crossed(stream, first, second):
    """Two meet in the middle and go apart again, wearing ``first[0], second[0]`` before and ``[1]`` after."""
    for i in range(80):
        after = int(i > 39)
        a, b = 100 + 5 * i, 500 - 5 * i
        stream.feed((a, first[after]), (b, second[after]))


def test_two_who_cross_in_clothes_of_their_own_keep_their_windows():
    stream = Stream()
    crossed(stream, (NAVY, NAVY), (YELLOW, YELLOW))
    assert {track for seen in stream.seen for track in seen} == {1, 2}
    assert stream.anew == []


def test_two_who_wear_the_same_may_have_been_swapped_and_begin_anew():
    stream = Stream()
    crossed(stream, (NAVY, NAVY), (NAVY, NAVY))
    assert sorted(track for _, track in stream.anew) == [1, 2]


def test_two_who_were_swapped_begin_anew():
    stream = Stream()
    crossed(stream, (NAVY, RED), (RED, NAVY))
    assert {track for _, track in stream.anew} == {1, 2}


def test_live_perception_finds_and_follows_a_rendered_walker(pipeline: Pipeline):
    from gaitkeeper.service.operations.demo import CLIPS

    watcher = pipeline.perception.watch(live=True)
    assert isinstance(watcher, LiveBlazePoseWatcher)
    with av.open(str(CLIPS / "person-1-gallery.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 15)]
    # The first picture stands until the search beside it has found her.
    end = time.monotonic() + 60
    count = 0
    while not watcher.see(pictures[0], count / 30) and time.monotonic() < end:
        count += 1
        time.sleep(0.02)
    for i, picture in enumerate(pictures):
        [one] = watcher.see(picture, (count + 1 + i) / 30)
        assert one.box[3] - one.box[1] > 100


def test_a_machine_too_busy_to_search_beside_finds_walkers_in_the_present_frame(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    from gaitkeeper.service.operations.demo import CLIPS

    watcher = pipeline.perception.watch(live=True)
    assert isinstance(watcher, LiveBlazePoseWatcher)
    with av.open(str(CLIPS / "person-1-gallery.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 15)]
    # The search beside ends a second late, and where its person was there is nobody now.
    backend = watcher._backend
    late: Future[Any] = Future()
    monkeypatch.setattr(backend, "searches", SimpleNamespace(submit=lambda *_: late))
    empty = np.full_like(pictures[0], 90)
    assert watcher.see(pictures[0], 0.0) == []
    late.set_result(([], []))
    assert watcher.see(empty, 1.0) == []
    # From now on it searches in turn, some tiles each time: the person is in the frame in which she was found.
    seen = [watcher.see(picture, 1.6 + 0.6 * i) for i, picture in enumerate(pictures)]
    [one] = next(people for people in seen if people)
    [truth] = pipeline.perception.watch().see(pictures[[len(people) for people in seen].index(1)], 0.0)
    assert one.box == pytest.approx(truth.box, abs=12)


@pytest.mark.parametrize("hertz", [8.0, 10.0, 15.0])
def test_8_a_slow_camera_is_judged_after_as_many_seconds(hertz):
    stream = Stream()
    for i in range(round(4 * hertz)):
        stream.feed((100 + 60 * i / hertz, NAVY), step=1 / hertz)
    assert stream.due[0].time == pytest.approx(1.5, abs=2.5 / hertz)
    sequence = stream.due[0].sequence("told/1")
    assert sequence.quality.rate_hz == pytest.approx(hertz)
    assert not sequence.quality.low_rate


def test_8_live_pictures_that_repeat_others_count_for_nothing():
    padded, plain = Stream(), Stream()
    for i in range(60):
        for _ in range(3):
            padded.feed((100 + 6 * i, NAVY))
        plain.time = padded.time - 3 / 30
        plain.feed((100 + 6 * i, NAVY))
    one, other = (stream.due[0].sequence("told/1") for stream in (padded, plain))
    assert one.quality.rate_hz == pytest.approx(10)
    assert one.quality.skipped == {"repeated": pytest.approx(2 * len(one), abs=2)}
    assert len(one) == pytest.approx(len(other), abs=1)
    both = min(len(one), len(other))
    assert (one.silhouettes[:both] == other.silhouettes[:both]).all()
    sight = padded.feed((100 + 6 * 59, NAVY))
    assert [(person.track, person.usable) for person in sight.people] == [(1, False)]  # shown, and of no use
