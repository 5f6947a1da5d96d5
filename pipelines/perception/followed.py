"""People who are followed from frame to frame, and how often each of them is looked at.

Half the frames do for a person who is tall in the picture, or of whom there are enough frames: neighbouring frames show
nearly the same. Once several gait cycles have been seen, a third of the frames does. In small pictures masks are noisy,
and every frame of a short walk helps. (``docs/accuracy.md``, "how often a walker is looked at".)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from gaitkeeper.pipelines.perception.base import Person, iou, shared_area
from gaitkeeper.pipelines.perception.blazepose import Region
from gaitkeeper.pipelines.perception.usable import why_unusable

TALL, NO_LONGER_TALL = 180.0, 160.0
"""Height in pixels from which half the frames do, and below which they no longer do."""
ENOUGH, RECENT = 45, 6.0
"""Number of usable frames of the last seconds from which half of the following frames do."""
PLENTY, LATELY, SELDOM = 75, 9.0, 2 / 3
"""Number of usable frames of the last seconds, some five gait cycles, from which this share of those looks does."""
NEAR = 0.02
"""Share of the smaller box that two people share if they are near each other. Then every frame counts."""
SAME_PERSON = 0.45


@dataclass(eq=False)
class Followed:
    """A followed person.

    Attributes:
        region: where to look next.
        seen: time of the last look that showed the person, in seconds.
        speed: of the region, in pixels a second.
        person: the person in the current frame; None if out of sight.
        usable: times of the latest usable looks.
        tall: True if half the frames do because of the person's height.
        looked: time of the last look, whatever it showed.
        crowded: True if another person is near.
    """

    region: Region
    seen: float
    speed: tuple[float, float] = (0.0, 0.0)
    person: Person | None = None
    usable: deque[float] = field(default_factory=lambda: deque(maxlen=PLENTY))
    tall: bool = False
    looked: float = -np.inf
    crowded: bool = False

    def expected(self, time: float) -> Region:
        """The region, extrapolated at the speed of the last sightings."""
        ahead = time - self.seen
        return replace(self.region, x=self.region.x + self.speed[0] * ahead, y=self.region.y + self.speed[1] * ahead)

    def is_expected_within(self, size: tuple[int, int], time: float) -> bool:
        """True if the middle of the body is expected in the frame, of width and height ``size``."""
        place = self.expected(time)
        return 0 <= place.x < size[0] and 0 <= place.y < size[1]

    def advance(self, region: Region, person: Person, time: float) -> None:
        """Take a sighting; the region's side and the speed are smoothed because landmarks jitter."""
        ahead = max(time - self.seen, 1e-3)
        fresh = (region.x - self.region.x) / ahead, (region.y - self.region.y) / ahead
        self.speed = 0.6 * self.speed[0] + 0.4 * fresh[0], 0.6 * self.speed[1] + 0.4 * fresh[1]
        self.region = replace(region, side=0.5 * self.region.side + 0.5 * region.side)
        self.seen = time
        self.person = person

    def rate(self, time: float, look_rate: float) -> float:
        """Looks a second that do for this person; infinity for every frame.

        Args:
            time: seconds.
            look_rate: looks a second at a person of whom half the frames do.
        """
        if self.crowded or not (self.tall or self._has(ENOUGH, RECENT, time)):
            return np.inf
        return SELDOM * look_rate if self._has(PLENTY, LATELY, time) else look_rate

    def _has(self, number: int, seconds: float, time: float) -> bool:
        """True if there are so many usable frames of the last seconds."""
        return len(self.usable) >= number and time - self.usable[-number] <= seconds

    def note(self, others: Iterable[Person], size: tuple[int, int], time: float) -> None:
        """Record what a look showed.

        Args:
            others: all people in the frame.
            size: width and height of the frame in pixels.
            time: seconds.
        """
        person = self.person
        if person is None:
            return
        height = float(person.box[3] - person.box[1])
        self.tall = height >= (NO_LONGER_TALL if self.tall else TALL)
        if why_unusable(person, others, size) is None:
            self.usable.append(time)

    def carry(self, step: float, size: tuple[int, int]) -> None:
        """Move the person on by ``step`` seconds, in a frame, of width and height ``size``, that is left out."""
        if self.person is not None:
            self.person = moved(self.person, self.speed[0] * step, self.speed[1] * step, size)


def moved(person: Person, dx: float, dy: float, size: tuple[int, int]) -> Person:
    """The person so many pixels to the right and down, in a frame of width and height ``size`` that was left out."""
    x1, y1, x2, y2 = person.window
    box = np.clip(person.box + np.array([dx, dy, dx, dy]), 0, [*size, *size]).astype(np.float32)
    return replace(
        person,
        box=box if (box[2:] > box[:2]).all() else person.box,
        window=(x1 + dx, y1 + dy, x2 + dx, y2 + dy),
        joints=person.joints + np.array([dx, dy, 0], np.float32),
        carried=True,
    )


def is_seen(person: Person, others: Iterable[Followed]) -> bool:
    """True if the person is one of those who are followed already."""
    boxes = [one.person.box for one in others if one.person is not None]
    return bool(boxes) and bool((iou(person.box[None], np.array(boxes)) > SAME_PERSON).any())


def is_near_another(one: Followed, everyone: Iterable[Followed]) -> bool:
    """True if the person's box touches that of another one, or if another one nearby is out of sight."""
    if one.person is None:
        return False
    box = one.person.box
    area = float((box[2:] - box[:2]).prod())
    for other in everyone:
        if other is one:
            continue
        if other.person is None:
            half = 0.5 * other.region.side
            if abs(other.region.x - one.region.x) < half and abs(other.region.y - one.region.y) < half:
                return True
        else:
            smaller = min(area, float((other.person.box[2:] - other.person.box[:2]).prod()))
            if shared_area(box, other.person.box) > NEAR * smaller:
                return True
    return False
