"""Reappearance: recognises a walker who was in the same clip or live stream before, under another track number.

A person who leaves the picture and returns gives two tracks. There are still two answers, and the later one refers to
the earlier track. Two walks are compared like a probe and a template, with the same units and threshold, as if the
earlier walkers were enrolled. Two walkers who were in the picture at the same time are never the same person. Neither
are two walkers that the gallery matches to different subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.gallery.decision.units import Unit
from gaitkeeper.gallery.views import Corrections, View, centred
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.fingerprint import Fingerprint

Span = tuple[float, float]
"""First and last time of a track, in seconds or in frames."""
MOST = 64
"""Maximum number of kept walks per live stream. New ones replace the oldest."""


@dataclass(frozen=True, eq=False)
class Walk:
    """A walk that can be compared with others.

    Attributes:
        track: track number in the clip or stream.
        fingerprint: of the embedding.
        embedding: float32 (P, C), without correction.
        view: the view; None if it is unknown.
        subject: the matched subject; None for no match.
    """

    track: int
    fingerprint: Fingerprint
    embedding: Tensor
    view: View | None
    subject: str | None


@dataclass(frozen=True, eq=False)
class Likeness:
    """The distance of a walk to the nearest of some earlier ones.

    Attributes:
        track, earlier: numbers of the two tracks.
        share: their distance divided by the threshold. They match up to 1.
    """

    track: int
    earlier: int
    share: float


Asked = Sequence[tuple[Walk, Sequence[Walk]]]
"""Walks of one fingerprint. Each comes with at least one earlier walk that may be the same person's."""
Compare = Callable[[Asked], list[Likeness]]
Units = Callable[[Tensor, list[Tensor], list[str | None], list[View | None]], list[Unit | None]]
"""Function that gives the units of probes (Q, P, C) and Q templates (P, C), from the templates' subjects and the
probes' views.
"""


def likenesses(
    calibration: Calibration | None, fpir: float, corrections: Corrections, units: Units, asked: Asked
) -> list[Likeness]:
    """Compare walks with earlier ones. The earlier walks count as a gallery with one template per subject.

    Args:
        calibration: calibration of the walks' fingerprint. Without one the result is empty.
        fpir: calibrated false-positive identification rate of the threshold.
        corrections: corrections by view, subtracted from the embeddings.
        units: gives the units, as for probes and templates.
        asked: the walks to compare.
    """
    if calibration is None:
        return []
    probes = centred(torch.stack([walk.embedding for walk, _ in asked]), [walk.view for walk, _ in asked], corrections)
    near: list[tuple[Walk, Tensor, float]] = []
    for probe, (_, earlier) in zip(probes, asked, strict=True):
        stacked = torch.stack([one.embedding for one in earlier])
        others = centred(stacked, [one.view for one in earlier], corrections)
        apart = part_distances(probe[None], others)[0]
        nearest = int(apart.argmin())
        near.append((earlier[nearest], others[nearest], float(apart[nearest])))
    # The matched subject does not count as a different person, like the subject of a template.
    subjects = [one.subject or walk.subject for (walk, _), (one, _, _) in zip(asked, near, strict=True)]
    found = units(probes, [embedding for _, embedding, _ in near], subjects, [walk.view for walk, _ in asked])
    told = []
    for (walk, earlier), (one, _, distance), unit in zip(asked, near, found, strict=True):
        limit = calibration.threshold(fpir, len(earlier), subjects=len(earlier), unit=unit).value
        told.append(Likeness(walk.track, one.track, distance / limit if limit else math.inf))
    return told


class Walks:
    """The walks of one clip or live stream. Not thread-safe.

    Args:
        spans: first and last time of all tracks of a clip.
    """

    def __init__(self, spans: Mapping[int, Span] | None = None) -> None:
        self._spans = dict(spans or {})
        self._over = set(self._spans)
        self._kept: dict[int, Walk] = {}
        self._same: dict[int, int] = {}

    def saw(self, track: int, span: Span, *, over: bool) -> None:
        """Record the span of a track of a live stream until now, and whether the track has ended.

        If the start of the span has moved, the track now shows another person and is reset.
        """
        before = self._spans.get(track)
        if before is not None and span[0] > before[0]:
            self._forget(track)
        self._spans[track] = span
        if over:
            self._over.add(track)

    def returning(self, walks: Sequence[Walk], compare: Compare) -> dict[int, int]:
        """Add walks, and return those that match an earlier track, as a mapping from later to earlier track.

        The nearest earlier walk counts. Tracks of one person cannot overlap in time: if two of them do, the farther one
        stays a separate person.
        """
        for walk in walks:
            self._kept.pop(walk.track, None)
            self._kept[walk.track] = walk
            self._same.pop(walk.track, None)
        asked = [(walk, earlier) for walk in walks if (earlier := self._before(walk))]
        for found in sorted(compare(asked) if asked else [], key=lambda one: (one.share, one.track)):
            if found.share <= 1 and not self._clash(found.track, found.earlier):
                self._same[found.track] = found.earlier
        while len(self._kept) > MOST and len(self._kept) > len(walks):
            self._forget(next(iter(self._kept)))
        return {walk.track: self._same[walk.track] for walk in walks if walk.track in self._same}

    def _before(self, walk: Walk) -> list[Walk]:
        """The kept walks of tracks that ended before this one began and that may be the same person's."""
        began = self._spans[walk.track][0]
        return [
            one
            for one in self._kept.values()
            if one.track in self._over
            and self._spans[one.track][1] < began
            and one.fingerprint == walk.fingerprint
            and (one.subject is None or walk.subject is None or one.subject == walk.subject)
        ]

    def _clash(self, track: int, earlier: int) -> bool:
        """Whether a link between these two would put one person in the picture twice at the same time, or give them two
        names.
        """
        together = [self._person(track), self._person(earlier)]
        for one in together[0]:
            for other in together[1]:
                (a, b), (c, d) = self._spans[one], self._spans[other]
                if one != other and a <= d and c <= b:
                    return True
        names = {self._kept[one].subject for group in together for one in group if one in self._kept}
        return len(names - {None}) > 1

    def _person(self, track: int) -> set[int]:
        """All tracks that are linked to this one so far."""
        found, new = {track}, {track}
        while new:
            pairs = [(a, b) for a, b in self._same.items() if a in new or b in new]
            new = {one for pair in pairs for one in pair} - found
            found |= new
        return found

    def _forget(self, track: int) -> None:
        self._kept.pop(track, None)
        self._same = {a: b for a, b in self._same.items() if track not in (a, b)}
