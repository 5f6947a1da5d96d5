"""Decide whether a sighting of a person can be used for the gait."""

from __future__ import annotations

from collections.abc import Iterable

from gaitkeeper.pipelines.perception.base import Person, shared_area

LOW_SCORE = 0.4
POOR_MASK = 0.6
OVERLAP = 0.3
EDGE = 0.5


def why_unusable(person: Person, others: Iterable[Person], size: tuple[int, int]) -> str | None:
    """Why a sighting is not usable for gait: "cut_off", "overlap", "poor_mask" or "low_score"; None if it is.

    Args:
        person: the person.
        others: all people in the frame; the person may be one of them.
        size: width and height of the frame in pixels.
    """
    x1, y1, x2, y2 = person.box
    if x1 <= EDGE or y1 <= EDGE or x2 >= size[0] - EDGE or y2 >= size[1] - EDGE:
        return "cut_off"
    if any(_covers(other, person) for other in others):
        return "overlap"
    if person.score < POOR_MASK or _feet_are_missing(person):
        return "poor_mask"
    if float(person.joints[:, 2].mean()) < LOW_SCORE:
        return "low_score"
    return None


def _covers(other: Person, person: Person) -> bool:
    """True if a nearer person (feet lower in the picture) covers much of this person's box."""
    if other is person or other.box[3] < person.box[3]:
        return False
    return bool(shared_area(other.box, person.box) > OVERLAP * (person.box[2:] - person.box[:2]).prod())


def _feet_are_missing(person: Person) -> bool:
    """True if both ankles lie well below the mask."""
    height = person.box[3] - person.box[1]
    return bool(person.joints[15:17, 1].min() > person.box[3] + 0.05 * height)
