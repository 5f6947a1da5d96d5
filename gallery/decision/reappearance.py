"""Who comes back: a walker of one clip, or of one live stream, who was in it before under another number.

A person who leaves the picture and returns is two tracks, and stays two: two answers, of which the later names the
earlier. Two walks are compared as a probe is with a template, in the same units and up to the same threshold, as if
the earlier walkers were enrolled. Who was in the picture at the same time as another is never the same person, nor are
two whom the gallery knows by different names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gallery.decision.calibration import Calibration
from gallery.decision.units import Unit
from gallery.views import Corrections, View, centred
from models.distance import part_distances
from pipelines.fingerprint import Fingerprint

Span = tuple[float, float]
"""The first and the last moment at which a track was seen, in seconds or in frames."""
MOST = 64
"""Walks that are kept of a live stream; the oldest go for new ones."""


@dataclass(frozen=True, eq=False)
class Walk:
    """A walk that somebody can be told by.

    Attributes:
        track: its number in the clip or stream.
        fingerprint: of the embedding.
        embedding: float32 (P, C), as it was made.
        view: from where it was seen; None where that is not known.
        subject: whom it was taken for; None for no match.
    """

    track: int
    fingerprint: Fingerprint
    embedding: Tensor
    view: View | None
    subject: str | None


@dataclass(frozen=True, eq=False)
class Likeness:
    """How near a walk is to the nearest of some earlier ones.

    Attributes:
        track, earlier: numbers of the two tracks.
        share: their distance as a share of the threshold; they agree up to 1.
    """

    track: int
    earlier: int
    share: float


Asked = Sequence[tuple[Walk, Sequence[Walk]]]
"""Walks of one fingerprint, each with the earlier ones, at least one, that may be the same person's."""
Compare = Callable[[Asked], list[Likeness]]
Units = Callable[[Tensor, list[Tensor], list[str | None], list[View | None]], list[Unit | None]]
"""The units of probes (Q, P, C) and Q templates (P, C), by whose the templates are and the probes' views."""


def likenesses(
    calibration: Calibration | None, fpir: float, corrections: Corrections, units: Units, asked: Asked
) -> list[Likeness]:
    """How near walks are to the nearest of some earlier ones, which count as a gallery of one template each.

    Args:
        calibration: of the walks' fingerprint; without one nothing is known to be near.
        fpir: the false-positive identification rate that the threshold is of, one that is calibrated.
        corrections: taken off the embeddings of views.
        units: measures distances, as it does those of probes and templates.
        asked: what to compare.
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
    # Whom they are taken for says nothing of different people, as a template's own subject does not.
    subjects = [one.subject or walk.subject for (walk, _), (one, _, _) in zip(asked, near, strict=True)]
    found = units(probes, [embedding for _, embedding, _ in near], subjects, [walk.view for walk, _ in asked])
    told = []
    for (walk, earlier), (one, _, distance), unit in zip(asked, near, found, strict=True):
        limit = calibration.threshold(fpir, len(earlier), subjects=len(earlier), unit=unit).value
        told.append(Likeness(walk.track, one.track, distance / limit if limit else math.inf))
    return told


class Walks:
    """The walks of one clip or live stream; for one thread.

    Args:
        spans: of all tracks of a clip, when each was seen.
    """

    def __init__(self, spans: Mapping[int, Span] | None = None) -> None:
        self._spans = dict(spans or {})
        self._over = set(self._spans)
        self._kept: dict[int, Walk] = {}
        self._same: dict[int, int] = {}

    def saw(self, track: int, span: Span, *, over: bool) -> None:
        """Note when a track of a live stream was seen until now, and whether that is all.

        Where the span begins after what was seen before, the track is another person's by now, and begins anew.
        """
        before = self._spans.get(track)
        if before is not None and span[0] > before[0]:
            self._forget(track)
        self._spans[track] = span
        if over:
            self._over.add(track)

    def returning(self, walks: Sequence[Walk], compare: Compare) -> dict[int, int]:
        """Take walks into account, and tell which of them agree with the walk of an earlier track: later to earlier.

        The nearest earlier walk counts. Of several that are the same person by that, no two may have been in the
        picture at the same time: the farther one is then a track of its own.
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
        """The kept walks of tracks that were over before this one's began, which may be the same person's."""
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
        """Whether somebody would be in the picture twice at once, or under two names, if these two were the same."""
        together = [self._person(track), self._person(earlier)]
        for one in together[0]:
            for other in together[1]:
                (a, b), (c, d) = self._spans[one], self._spans[other]
                if one != other and a <= d and c <= b:
                    return True
        names = {self._kept[one].subject for group in together for one in group if one in self._kept}
        return len(names - {None}) > 1

    def _person(self, track: int) -> set[int]:
        """All tracks that are the same person as one, by what was told until now."""
        found, new = {track}, {track}
        while new:
            pairs = [(a, b) for a, b in self._same.items() if a in new or b in new]
            new = {one for pair in pairs for one in pair} - found
            found |= new
        return found

    def _forget(self, track: int) -> None:
        self._kept.pop(track, None)
        self._same = {a: b for a, b in self._same.items() if track not in (a, b)}
