"""Tracklets collect one person's frames and make a gait sequence of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from gaitkeeper.pipelines import quality
from gaitkeeper.pipelines.appearance import appearance
from gaitkeeper.pipelines.filling import filled
from gaitkeeper.pipelines.likeness import change
from gaitkeeper.pipelines.perception import Person
from gaitkeeper.pipelines.perception.usable import why_unusable
from gaitkeeper.pipelines.portraits import Portraits
from gaitkeeper.pipelines.posture import upright_share
from gaitkeeper.pipelines.sequence import HEATMAP, GaitSequence
from gaitkeeper.pipelines.silhouette import mask_area, silhouette
from gaitkeeper.pipelines.trail import BoxTrail
from gaitkeeper.pipelines.walk_quality import Quality

Array = npt.NDArray[Any]

REPEATED = "repeated"
PADDED = 0.25
"""Share of repeated frames from which a clip is taken to be padded with them."""
AREA_RANGE = (0.6, 1.6)


@dataclass(frozen=True, eq=False)
class Sighting:
    """The person in one frame.

    Attributes:
        index: number of the frame among the processed ones.
        time: seconds.
        box: float32 (4,).
        appearance: result of :func:`gaitkeeper.pipelines.appearance.appearance`.
        reason: why the frame is not usable, or None.
        view: contents of a usable frame.
        repeated: True if the frame shows nothing that the sighting before did not.
    """

    index: int
    time: float
    box: Array
    appearance: Array
    reason: str | None
    view: _View | None
    repeated: bool = False


@dataclass(frozen=True, eq=False)
class _View:
    """Contents of a usable frame; heatmaps are compressed, because they are large and nearly empty."""

    silhouette: Array
    joints: Array
    heatmaps: bytes
    area: float


@dataclass(frozen=True, eq=False)
class Past:
    """What a tracklet forgot.

    Attributes:
        sightings: in time order.
        left_out: seconds of the frames in which the person was not looked at, rising.
    """

    sightings: list[Sighting] = field(default_factory=list)
    left_out: list[float] = field(default_factory=list)

    def extend(self, later: Past, limit: int) -> None:
        """Add what followed; keep the latest sightings, at most so many, and the frames left out since the first."""
        self.sightings.extend(later.sightings)
        del self.sightings[: max(len(self.sightings) - limit, 0)]
        self.left_out.extend(later.left_out)
        if self.sightings:
            del self.left_out[: bisect_right(self.left_out, self.sightings[0].time)]

    def clear(self) -> None:
        """Forget it altogether."""
        self.sightings.clear()
        self.left_out.clear()


class Tracklet:
    """One person followed through a clip.

    Args:
        number: the tracklet's number in its clip, from 1.
        limit: maximum number of kept frames.
    """

    def __init__(self, number: int, limit: int) -> None:
        self.number = number
        self.sightings: list[Sighting] = []
        self.frame_size = (0, 0)
        self._limit = limit
        self._usable = 0
        self._carried: list[float] = []
        self._news = False
        self._packer = zstandard.ZstdCompressor(level=1)
        self._portraits = Portraits()

    @property
    def seen(self) -> int:
        """Number of frames that show the person; repeated ones do not count in a padded clip."""
        return len(self._shown())

    @property
    def span(self) -> tuple[float, float]:
        """Seconds of the first and the last sighting."""
        return self.sightings[0].time, self.sightings[-1].time

    @property
    def trail(self) -> BoxTrail:
        """Where the person was seen."""
        times = np.array([sighting.time for sighting in self.sightings], np.float64)
        return BoxTrail(times, np.array([sighting.box for sighting in self.sightings], np.float32))

    @property
    def rate(self) -> float:
        """Rate of the frames with the person, usable or not, in hertz; 0 for a single frame."""
        return quality.rate(self._shown())

    def _shown(self) -> Array:
        """Times of the frames that show the person, rising, with those that were left out; without repeats as below."""
        seen = self._distinct()
        times = [sighting.time for sighting in seen]
        if len(seen) == len(self.sightings) and seen:
            times += [time for time in self._carried if times[0] < time < times[-1]]
        return np.sort(np.array(times))

    def _distinct(self) -> list[Sighting]:
        """The sightings without repeats where there are so many that the clip must be padded with them; else all.

        A single frame may look like a repeat where a small person moves little.
        """
        new = [sighting for sighting in self.sightings if not sighting.repeated]
        padded = len(self.sightings) - len(new) >= PADDED * len(self.sightings)
        return new if padded and new else self.sightings

    def add(
        self,
        image: Array,
        person: Person,
        others: list[Person],
        index: int,
        time: float,
        *,
        crowded: bool = False,
        repeated: bool = False,
    ) -> None:
        """Add one frame, or record why it is not usable. One that was left out is not counted as missed.

        Args:
            image: the frame, RGB uint8 (H, W, 3).
            person: the tracklet's person in it.
            others: all people in the frame.
            index: number of the frame among the processed ones.
            time: seconds.
            crowded: True if the mask may include a hidden person.
            repeated: True if the frame repeats the one before.
        """
        if person.carried:
            self._carried.append(time)
            self._news = self._news or not repeated
            return
        repeated, self._news = repeated and not self._news, False
        self.frame_size = (image.shape[1], image.shape[0])
        self._portraits.take(image, person, time)
        reason = "overlap" if crowded else why_unusable(person, others, self.frame_size)
        if reason is None and self._usable >= self._limit:
            reason = "enough"
        shape = silhouette(person.mask) if reason is None else None
        view = None
        if shape is not None:
            pixel = (person.window[2] - person.window[0]) / person.mask.shape[1]
            area = mask_area(person.mask, pixel) / float(person.box[3] - person.box[1]) ** 2
            view = _View(shape, person.joints, self._packer.compress(person.heatmaps.tobytes()), area)
            self._usable += 1
        elif reason is None:
            reason = "poor_mask"
        worn = appearance(image, person)
        self.sightings.append(Sighting(index, time, person.box, worn, reason, view, repeated))

    def exchange_from(self, time: float, other: Tracklet) -> None:
        """Swap with another tracklet all sightings from a moment on."""
        mine, theirs = ([s for s in t.sightings if s.time >= time] for t in (self, other))
        self.sightings = [s for s in self.sightings if s.time < time] + theirs
        other.sightings = [s for s in other.sightings if s.time < time] + mine
        left_out = [[t for t in tracklet._carried if t >= time] for tracklet in (self, other)]
        self._carried = [t for t in self._carried if t < time] + left_out[1]
        other._carried = [t for t in other._carried if t < time] + left_out[0]

    def forget_before(self, time: float) -> Past:
        """Drop everything before a moment, and return it."""
        gone = Past([s for s in self.sightings if s.time < time], [t for t in self._carried if t < time])
        self.sightings = self.sightings[len(gone.sightings) :]
        self._carried = self._carried[len(gone.left_out) :]
        self._usable = sum(s.view is not None for s in self.sightings)
        return gone

    def after(self, past: Past) -> Tracklet:
        """A copy with what it forgot, as far as its limit of frames allows."""
        twin = self.copy()
        twin.sightings = [*past.sightings, *self.sightings][-self._limit :]
        twin._carried = [*past.left_out, *self._carried]
        twin._usable = sum(s.view is not None for s in twin.sightings)
        return twin

    def parts(self) -> list[Tracklet]:
        """The tracklet, split where another person must have taken its place; in time order."""
        found = change(self._usable_ones())
        if found is None or not found.other:
            return [self]
        before, after = self.copy(), self.copy()
        before.sightings = [s for s in self.sightings if s.time < found.time]
        after.sightings = [s for s in self.sightings if s.time >= found.time]
        before._portraits, after._portraits = self._portraits.parted(found.time)
        return [*before.parts(), *after.parts()]

    def _usable_ones(self) -> list[Sighting]:
        return [s for s in self.sightings if s.view is not None]

    def copy(self) -> Tracklet:
        """A copy of the tracklet; later additions to one do not change the other."""
        twin = Tracklet(self.number, self._limit)
        twin.sightings, twin.frame_size = list(self.sightings), self.frame_size
        twin._carried = list(self._carried)
        twin._usable, twin._portraits = self._usable, self._portraits.parted(np.inf)[0]
        return twin

    def sequence(self, perception: str) -> GaitSequence:
        """The gait sequence of the usable frames; it may be empty."""
        seen = self._distinct()
        skipped = Counter(sighting.reason for sighting in seen if sighting.reason)
        usable = [(sighting, sighting.view) for sighting in seen if sighting.view]
        kept = _steady(usable)
        if len(kept) < len(usable):
            skipped["poor_mask"] += len(usable) - len(kept)
        left_out = np.array(self._carried)
        if repeats := len(self.sightings) - len(seen):
            skipped[REPEATED] = repeats + len(left_out)
            left_out = np.zeros(0)  # a padded clip shows nothing new in them
        t = len(kept)
        joints = np.array([view.joints for _, view in kept], np.float32).reshape(t, 17, 3)
        boxes = np.array([sighting.box for sighting, _ in kept], np.float32).reshape(t, 4)
        timestamps = np.array([sighting.time for sighting, _ in kept], np.float64)
        silhouettes = np.array([view.silhouette for _, view in kept], np.uint8).reshape(t, 64, 64)
        places = filled(timestamps, np.array([sighting.time for sighting in seen]), left_out).first(self._limit)
        hertz = quality.rate(places.times)
        unpack = zstandard.ZstdDecompressor().decompress
        heatmaps = np.empty((t, *HEATMAP), np.uint8)
        for row, (_, view) in zip(heatmaps, kept, strict=True):
            row[:] = np.frombuffer(unpack(view.heatmaps), np.uint8).reshape(HEATMAP)
        return GaitSequence(
            silhouettes=silhouettes[places.nearest],
            joints=places.between(joints),
            heatmaps=heatmaps if t == len(places.times) else heatmaps[places.nearest],
            timestamps=places.times,
            boxes=places.between(boxes),
            quality=Quality(
                frames=len(places.times),
                skipped=dict(sorted(skipped.items())),
                mean_joint_score=float(joints[..., 2].mean()) if t else 0.0,
                mask_stability=quality.mask_stability(np.array([view.area for _, view in kept])),
                cut_off_share=skipped["cut_off"] / max(len(seen), 1),
                gait_cycles=quality.gait_cycles(joints, silhouettes, boxes[:, 3] - boxes[:, 1], timestamps),
                rate_hz=hertz,
                low_rate=hertz < quality.MIN_RATE,
                upright=upright_share(joints),
                likeness_changed=change([s for s, _ in kept]) is not None,
                missed=self._missed(),
            ),
            track=self.number,
            perception=perception,
            frame_size=self.frame_size,
        )

    def _missed(self) -> int:
        """Frames between the first and the last sighting that were looked at and do not show the person."""
        if not self.sightings:
            return 0
        first, last = self.span
        left_out = sum(first < time < last for time in self._carried)
        return self.sightings[-1].index - self.sightings[0].index + 1 - len(self.sightings) - left_out

    def thumbnail(self) -> bytes:
        """JPEG of the person in the best frame, or of an outline if no picture was kept; empty without either."""
        shapes = [s.view.silhouette for s in self.sightings if s.view is not None]
        return self._portraits.jpeg(shapes[len(shapes) // 2] if shapes else None)


def _steady(usable: list[tuple[Sighting, _View]]) -> list[tuple[Sighting, _View]]:
    """Drop frames whose mask differs much from the usual size: half a person, or two people."""
    if len(usable) < 5:
        return usable
    usual = float(np.median([view.area for _, view in usable]))
    low, high = AREA_RANGE[0] * usual, AREA_RANGE[1] * usual
    return [(sighting, view) for sighting, view in usable if low <= view.area <= high]
