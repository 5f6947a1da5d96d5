"""Setting right what a tracker swapped, on tracklets whose owners are known."""

from __future__ import annotations

import numpy as np
import pytest

from gaitkeeper.pipelines.appearance import appearance, difference
from gaitkeeper.pipelines.crossing import Crossings
from gaitkeeper.pipelines.perception import Person
from gaitkeeper.pipelines.tracklet import Tracklet

NAVY, YELLOW = (30, 40, 110), (220, 200, 60)
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


def draw(people: list[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    image = np.full((*SIZE, 3), 128, np.uint8)
    for x, colour in people:
        image[40:200, int(x) - 20 : int(x) + 20] = colour
    return image


def walk(clothes, places, swap_at: int | None) -> tuple[dict[int, Tracklet], Crossings]:
    """Two people at ``places[i] = (xa, xb)``; a tracker that swaps their numbers from frame ``swap_at`` on."""
    tracklets = {0: Tracklet(1, 600), 1: Tracklet(2, 600)}
    crossings = Crossings()
    for i, (xa, xb) in enumerate(places):
        image = draw([(xa, clothes[0]), (xb, clothes[1])])
        people = [person(xa), person(xb, 38)]
        numbers = [0, 1] if swap_at is None or i < swap_at else [1, 0]
        crossings.note(i / 30, numbers, people)
        for number, one in zip(numbers, people, strict=True):
            tracklets[number].add(image, one, people, i, i / 30)
    return tracklets, crossings


def ends(tracklet: Tracklet) -> tuple[float, float]:
    """Where it began and where it ended, in pixels."""
    first, last = tracklet.sightings[0].box, tracklet.sightings[-1].box
    return float(first[0] + 20), float(last[0] + 20)


CROSS = [(100 + 6 * i, 500 - 6 * i) for i in range(65)]
# They meet in the middle and both turn back: motion speaks for a crossing, clothes against it.
TURN = [(100 + 6 * min(i, 64 - i), 470 - 6 * min(i, 64 - i)) for i in range(65)]


@pytest.mark.parametrize("swap_at", [None, 32])
@pytest.mark.parametrize("clothes", [(NAVY, YELLOW), (NAVY, NAVY)], ids=["other clothes", "same clothes"])
def test_who_cross_go_on_as_themselves(clothes, swap_at):
    tracklets, crossings = walk(clothes, CROSS, swap_at)
    assert crossings.resolve(tracklets) == (swap_at is not None)
    assert ends(tracklets[0]) == (100, 484)
    assert ends(tracklets[1]) == (500, 116)
    assert tracklets[0].seen == tracklets[1].seen == 65


@pytest.mark.parametrize("swap_at", [None, 32])
def test_who_meet_and_turn_back_are_told_by_their_clothes(swap_at):
    tracklets, crossings = walk((NAVY, YELLOW), TURN, swap_at)
    assert crossings.resolve(tracklets) == (swap_at is not None)
    assert ends(tracklets[0]) == (100, 100)


def test_without_witnesses_nothing_is_touched():
    tracklets, crossings = walk((NAVY, YELLOW), CROSS[31:45], 2)
    assert crossings.resolve(tracklets) == 0


def test_people_who_never_meet_are_left_alone():
    apart = [(100 + i, 500 + i) for i in range(40)]
    tracklets, crossings = walk((NAVY, YELLOW), apart, None)
    assert crossings.resolve(tracklets) == 0


def test_appearance_is_of_the_person_not_of_the_wall():
    navy = appearance(draw([(200, NAVY)]), person(200))
    assert navy.shape == (2, 3, 8)
    assert navy.sum(-1) == pytest.approx(1)
    assert difference(navy, appearance(draw([(420, NAVY)]), person(420))) < 0.05
    assert difference(navy, appearance(draw([(200, YELLOW)]), person(200))) > 0.5


def test_appearance_at_the_edge_of_the_picture():
    half_out = person(5)
    half_out.box[0] = 0
    out = appearance(draw([(20, NAVY)]), half_out)
    assert np.isfinite(out).all()
