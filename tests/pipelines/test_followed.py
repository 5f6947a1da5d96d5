"""How often a walker is looked at, and what is made of the frames that were left out."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from gaitkeeper.pipelines.perception import Person
from gaitkeeper.pipelines.perception.blazepose import Look, Region
from gaitkeeper.pipelines.perception.followed import ENOUGH, Followed
from gaitkeeper.pipelines.perception.watcher import BlazePoseWatcher
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.track import looked_at
from gaitkeeper.pipelines.tracklet import Past, Tracklet

SIZE = (640, 480)
PICTURE = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)


def person(x: float, height: float, carried: bool = False) -> Person:
    """A bar about ``x`` whose feet are at 460, with joints inside it."""
    box = np.array([x - height / 6, 460 - height, x + height / 6, 460], np.float32)
    side = 1.28 * height
    window = (x - side / 2, 460 - height / 2 - side / 2, x + side / 2, 460 - height / 2 + side / 2)
    mask = np.zeros((256, 256), np.float32)
    mask[28:228, 103:153] = 1
    joints = np.full((17, 3), 0.9, np.float32)
    joints[:, 0] = x
    joints[:, 1] = 460 - height * np.linspace(0.95, 0.05, 17)
    return Person(box, 0.9, mask, window, joints, np.zeros((17, 64, 48), np.uint8), carried)


class Backend:
    """People of one height, who walk at constant speed, and a count of the looks at each."""

    def __init__(self, places: list[float], height: float, speed: float = 60.0, **settings: float) -> None:
        self.settings = PipelineSettings(**settings)
        self.places, self.height, self.speed = places, height, speed
        self.time = 0.0
        self.looks: list[tuple[float, int]] = []
        self.pool = self

    def map(self, work, items):
        return [work(item) for item in items]

    def submit(self, work, *args) -> Future:
        raise AssertionError("clips search in turn")

    def region(self, x: float) -> Region:
        return Region(x, 460 - self.height / 2, 1.28 * self.height)

    def now(self) -> list[float]:
        return [place + self.speed * self.time for place in self.places]

    def detector(self, image, tile):
        return [(0.9, self.region(x)) for x in self.now()]

    def look(self, image, regions):
        found = []
        for region in regions:
            number = int(np.argmin([abs(region.x - x) for x in self.now()]))
            x = self.now()[number]
            self.looks.append((self.time, number))
            found.append(Look(0.95, person(x, self.height), self.region(x)))
        return found

    def shares(self, hertz: float, seconds: float) -> tuple[list[Person], list[float]]:
        """The first person frame by frame, and for each second the share of its frames that were looked at."""
        watcher, seen, times = BlazePoseWatcher(self), [], []  # type: ignore[arg-type]
        for i in range(round(hertz * seconds)):
            self.time = i / hertz
            people = watcher.see(PICTURE, self.time)
            assert len(people) == len(self.places)
            seen.append(people[0])
            times.append(self.time)
        looked = {time for time, number in self.looks if number == 0}
        shares = [np.mean([t in looked for t in times if second <= t < second + 1]) for second in range(int(seconds))]
        return seen, [float(share) for share in shares]


def test_a_small_walker_is_looked_at_in_every_frame_until_there_are_enough():
    _, shares = Backend([100], 100).shares(30, 3)
    assert shares[0] == 1 and shares[2] == pytest.approx(0.5, abs=0.04)
    assert shares[1] == pytest.approx((ENOUGH - 30 + (60 - ENOUGH) / 2) / 30, abs=0.05)


@pytest.mark.parametrize("height", [100, 240])
def test_every_third_frame_does_after_several_gait_cycles(height):
    _, shares = Backend([100], height).shares(30, 10)
    assert shares[6:] == pytest.approx([1 / 3] * 4, abs=0.04)
    assert shares[2] == pytest.approx(0.5, abs=0.04)


def test_every_second_frame_of_a_tall_walker_does_from_the_start():
    seen, shares = Backend([100], 240).shares(30, 2)
    assert shares == pytest.approx([0.5, 0.5], abs=0.07)
    assert np.mean([one.carried for one in seen]) == pytest.approx(0.5, abs=0.05)
    middles = np.array([one.box[[0, 2]].mean() for one in seen])
    assert np.diff(middles)[10:] == pytest.approx(2.0, abs=0.4)  # a frame that was left out moves the person on


@pytest.mark.parametrize(("hertz", "share"), [(25, 0.5), (24, 0.5), (20, 1.0), (15, 1.0), (10, 1.0)])
def test_no_walker_is_looked_at_less_than_twelve_times_a_second_if_there_are_frames(hertz, share):
    _, shares = Backend([100], 240).shares(hertz, 2)
    assert shares[1] == pytest.approx(share, abs=0.05)


def test_those_who_touch_are_looked_at_in_every_frame():
    _, shares = Backend([100, 165], 240).shares(30, 2)
    assert shares[1] == 1


def test_a_setting_looks_at_everyone_in_every_frame():
    seen, shares = Backend([100], 240, look_rate=1000).shares(30, 2)
    assert shares == [1, 1]
    assert not any(one.carried for one in seen)


def test_who_leaves_the_picture_is_not_looked_for_beyond_it():
    one = Followed(Region(630, 300, 200), seen=1.0, speed=(300.0, 0.0))
    assert one.is_expected_within(SIZE, 1.0) and not one.is_expected_within(SIZE, 1.1)


def tracklet(frames: str, hertz: float = 30, repeated: str = "") -> Tracklet:
    """One who walks by: "l" for a frame that was looked at, "c" for one left out, "." for a look without a person."""
    found = Tracklet(1, 600)
    for i, letter in enumerate(frames):
        if letter != ".":
            one = person(100 + 2 * i, 200 + i % 4, letter == "c")
            found.add(PICTURE, one, [one], i, i / hertz, repeated=repeated[i : i + 1] == "r")
    return found


def test_frames_that_were_left_out_are_filled_and_not_missed():
    seq = tracklet("l" * 10 + "cl" * 20).sequence("told/1")
    assert (len(seq), seq.quality.frames, seq.quality.missed) == (50, 50, 0)
    assert seq.quality.rate_hz == pytest.approx(30)
    assert seq.timestamps == pytest.approx(np.arange(50) / 30)
    assert (seq.silhouettes[10] == seq.silhouettes[9]).all()
    middles = seq.boxes[:, [0, 2]].mean(1)
    assert np.diff(middles) == pytest.approx(2.0, abs=0.01)
    assert seq.joints[:, 0, 0] == pytest.approx(middles, abs=0.01)


def test_frames_that_were_left_out_count_as_frames_that_show_the_person():
    found = tracklet("lc" * 5)
    assert (found.seen, found.rate) == (9, pytest.approx(30))
    padded = tracklet("lc" * 21, repeated="nrr" * 14)
    assert (padded.seen, padded.rate) == (14, pytest.approx(10))


def test_filled_frames_count_towards_the_limit_of_a_sequence():
    found = Tracklet(1, 20)
    for i in range(60):
        one = person(100 + 2 * i, 200, i % 2 == 1)
        found.add(PICTURE, one, [one], i, i / 30)
    assert len(found.sequence("told/1")) == 20


def test_nothing_is_filled_where_the_person_was_missed_or_unusable():
    seq = tracklet("lclc..lclc").sequence("told/1")
    assert seq.quality.missed == 2
    found = Tracklet(1, 600)
    for i, place in enumerate((100, 102, 104, 106, 108, 110, 112)):
        one = person(place, 200, i % 2 == 1)
        others = [one] if i != 4 else [one, person(place, 220)]  # covered by a nearer person
        found.add(PICTURE, one, others, i, i / 30)
    assert found.sequence("told/1").timestamps * 30 == pytest.approx([0, 1, 2, 6])


def test_a_repeat_is_new_if_a_frame_that_was_left_out_was():
    padded = "nrr" * 14  # 10 Hz stored at 30
    seq = tracklet("lc" * 21, repeated=padded).sequence("told/1")
    assert seq.quality.rate_hz == pytest.approx(10)
    assert (len(seq), seq.quality.skipped) == (14, {"repeated": 28})


def test_sightings_that_are_exchanged_take_their_left_out_frames_along():
    a, b = tracklet("lc" * 20), tracklet("." + "lc" * 20)
    a.exchange_from(0.5, b)
    assert [t.sequence("told/1").quality.missed for t in (a, b)] == [0, 0]
    a.forget_before(0.9)
    assert a.sequence("told/1").quality.missed == 0


def test_what_a_window_forgot_is_filled_again_where_the_whole_track_is_asked_for():
    whole = tracklet("lc" * 40 + "l")
    past = Past()
    for time in (0.5, 1.0, 1.5):
        past.extend(whole.forget_before(time), 600)
    window, everything = whole.sequence("told/1"), whole.after(past).sequence("told/1")
    assert window.timestamps * 30 == pytest.approx(np.arange(46, 81))  # the first look from 1.5 s on
    assert everything.timestamps * 30 == pytest.approx(np.arange(81))
    assert everything.quality.missed == 0
    latest = Past()
    latest.extend(past, 5)
    assert [round(sighting.time * 30) for sighting in latest.sightings] == [36, 38, 40, 42, 44]
    assert [round(time * 30) for time in latest.left_out] == [37, 39, 41, 43]
    past.clear()
    assert len(whole.after(past).sequence("told/1")) == len(window)


def test_a_number_does_not_begin_with_a_frame_that_was_left_out():
    people = [person(100, 200), person(200, 200, True), person(300, 200, True)]
    assert looked_at([0, 1, 2], people, {1}) == [0, 1, None]
