"""Link detections to tracklets with OC-SORT (Cao et al., CVPR 2023), from the ``trackers`` library.

OC-SORT is similar to ByteTrack, but also weighs the direction in which each person walks, so that two people who cross
keep their numbers. ByteTrack swapped them whenever one hid the other.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gaitkeeper.pipelines.perception import Person

LOST_AFTER = 1.0


class Tracker:
    """Assigns a tracklet number to each person in a frame.

    Args:
        rate: frame rate of the clip in hertz.
    """

    def __init__(self, rate: float) -> None:
        self._rate = max(rate, 1.0)
        self._given, self._most = 0, -1
        self.begin()

    def begin(self) -> None:
        """End all tracks; their numbers are not used again."""
        from trackers import OCSORTTracker

        self._given = self._most + 1
        self._tracker = OCSORTTracker(
            lost_track_buffer=round(30 * LOST_AFTER),
            frame_rate=self._rate,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=0.15,
            high_conf_det_threshold=0.5,
        )

    def update(self, people: Sequence[Person], time: float) -> list[int | None]:
        """The tracklet number of each person, in the people's order; None for a person without one."""
        import supervision as sv

        detections = sv.Detections(
            xyxy=np.array([person.box for person in people], np.float32).reshape(-1, 4),
            confidence=np.array([person.score for person in people], np.float32),
            data={"person": np.arange(len(people))},
        )
        tracked = self._tracker.update(detections, timestamp=time)
        numbers: list[int | None] = [None] * len(people)
        given = () if tracked.tracker_id is None else tracked.tracker_id
        for person, number in zip(tracked.data.get("person", ()), given, strict=True):
            numbers[int(person)] = int(number) + self._given if number >= 0 else None
        self._most = max(self._most, *(number for number in numbers if number is not None), -1)
        return numbers


def looked_at(numbers: Sequence[int | None], people: Sequence[Person], known: Container[int]) -> list[int | None]:
    """The numbers, without those that begin with a frame in which the person was not looked at.

    Args:
        numbers: of the people, from :meth:`Tracker.update`.
        people: of the frame.
        known: numbers that people had before.
    """
    return [
        number if not person.carried or number in known else None
        for number, person in zip(numbers, people, strict=True)
    ]
