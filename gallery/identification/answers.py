"""Answers to probes: embeds them and compares them with a collection."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.gallery.decision.explain import COHORT, EXPLAINED, explain, impostors_of
from gaitkeeper.gallery.decision.reappearance import Walk, Walks, likenesses
from gaitkeeper.gallery.decision.units import SUBJECTS, TEMPLATES, Unit, units_of
from gaitkeeper.gallery.decision.verdict import (
    QualityGates,
    candidates_of,
    compare,
    decide,
    match_threshold_of,
    outliers,
    resemblance,
    threshold_of,
    unfit,
)
from gaitkeeper.gallery.errors import FingerprintMismatch
from gaitkeeper.gallery.identification.passers import PassersBy, same
from gaitkeeper.gallery.networks import Embed, embedded
from gaitkeeper.gallery.search.index import Index
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.types import (
    Identification,
    Outlier,
    Reason,
    Resemblance,
    SeenFrom,
    Verdict,
    Verification,
)
from gaitkeeper.gallery.views import Corrections, View, centred
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.pipelines.heading import heading_of
from gaitkeeper.pipelines.quality import MIN_RATE
from gaitkeeper.pipelines.sequence import GaitSequence

log = logging.getLogger("gaitkeeper")


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers probes from one collection.

    Attributes:
        collection: name of the collection.
        index: index of its embeddings.
        passers: passers-by of its cameras, and the corrections computed from them.
        calibrations: by fingerprint.
        gates: quality limits of a sequence.
        embed: function that embeds sequences.
    """

    collection: str
    index: Index
    passers: PassersBy
    calibrations: Mapping[Fingerprint, Calibration]
    gates: QualityGates
    embed: Embed

    def identify(
        self,
        network: GaitNetwork,
        seqs: Sequence[GaitSequence],
        top_k: int,
        fpir: float,
        where: Mapping[str, str] | None,
        explained: bool = False,
        camera: str | None = None,
        learn: bool = True,
        walks: Walks | None = None,
    ) -> list[Identification]:
        """See :meth:`gaitkeeper.gallery.Gallery.identify_many`; the probes are of one perception."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seqs[0].perception)
        with_frames = [i for i, seq in enumerate(seqs) if len(seq)]
        raw = embedded(network, [seqs[i] for i in with_frames], self.embed)
        searching = time.perf_counter()
        views = [view_of(seqs[i], camera) for i in with_frames]
        corrections = self.passers.corrections(fingerprint)
        probes = centred(raw, views, corrections)
        found = self.index.search(fingerprint, probes, top_k, where, corrections)
        calibration = self.calibrations.get(fingerprint)
        nearest = [hits[0] if hits else None for hits in found.hits]
        measured = self.units(fingerprint, calibration, probes, nearest, corrections, views)
        hits: dict[int, list[Hit]] = dict(zip(with_frames, found.hits, strict=True))
        units = dict(zip(with_frames, measured, strict=True))
        timings = {"embed": searching - began, "search": time.perf_counter() - searching}
        replies = []
        for i, seq in enumerate(seqs):
            near, unit = hits.get(i, []), units.get(i)
            threshold = threshold_of(fpir, found.size, calibration, subjects=found.subjects, unit=unit)
            verdict, reason = decide(seq, near, threshold, calibration, self.gates)
            reply = Identification(
                verdict=verdict,
                reason=reason,
                candidates=candidates_of(near, calibration, unit),
                threshold=threshold,
                timings=timings,
                age=found.age,
                **self._about(seq, fingerprint, camera, corrections),
            )
            replies.append(reply)
        if walks is not None:
            fit = [
                Walk(seqs[i].track, fingerprint, embedding, view, replies[i].named)
                for i, view, embedding in zip(with_frames, views, raw, strict=True)
                if unfit(seqs[i], calibration, self.gates) is None
            ]
            units_between = partial(self._units_between, fingerprint, calibration, corrections)
            same = walks.returning(fit, partial(likenesses, calibration, fpir, corrections, units_between))
            replies = [reply.model_copy(update={"same_as": same.get(reply.track)}) for reply in replies]
        if learn:
            for i, view, embedding in zip(with_frames, views, raw, strict=True):
                self.learn(network, seqs[i], view, embedding)
        if explained:
            own = dict(zip(with_frames, probes, strict=True))
            replies = [self._explained(network, reply, own.get(i), corrections) for i, reply in enumerate(replies)]
        return replies

    def units(
        self,
        fingerprint: Fingerprint,
        calibration: Calibration | None,
        probes: Tensor,
        hits: Sequence[Hit | None],
        corrections: Corrections,
        views: Sequence[View | None] | None = None,
    ) -> list[Unit | None]:
        """The unit of each probe (P, C) and the template found for it; None if units are not used.

        The same corrections by view are subtracted from the probes, the templates, and the passers-by of the probes'
        ``views``.
        """
        if calibration is None or not calibration.in_units:
            return [None] * len(hits)
        wanted = list(dict.fromkeys(hit.template for hit in hits if hit is not None))
        known = self.index.embeddings(fingerprint, wanted, corrections)
        templates = [None if hit is None else known.get(hit.template) for hit in hits]
        subjects = [None if hit is None else hit.subject for hit in hits]
        return self._units_between(fingerprint, calibration, corrections, probes, templates, subjects, views)

    def _units_between(
        self,
        fingerprint: Fingerprint,
        calibration: Calibration | None,
        corrections: Corrections,
        probes: Tensor,
        templates: Sequence[Tensor | None],
        subjects: Sequence[str | None],
        views: Sequence[View | None] | None,
    ) -> list[Unit | None]:
        """As :meth:`units`, for each probe and a template (P, C) of a subject that need not be enrolled."""
        if calibration is None or not calibration.in_units:
            return [None] * len(probes)
        return units_of(
            probes,
            templates,
            subjects,
            self.index.cohort(fingerprint, SUBJECTS, TEMPLATES, corrections) or {},
            None
            if views is None or calibration.camera is None
            else [self._passed(fingerprint, v, corrections) for v in views],
        )

    def _passed(self, fingerprint: Fingerprint, view: View | None, corrections: Corrections) -> Tensor | None:
        """Corrected embeddings of a view's passers-by, (n, P, C); None if the view is unknown."""
        if view is None:
            return None
        return centred(seen := self.passers.of(fingerprint, view), [view] * len(seen), corrections)

    def _explained(
        self, network: GaitNetwork, reply: Identification, probe: Tensor | None, corrections: Corrections
    ) -> Identification:
        """Add an explanation of the candidates to the reply, with the corrections used in its search."""
        if probe is None:
            return reply
        calibration = self.calibrations.get(reply.fingerprint)
        measured = None if calibration is None else calibration.parts
        some = None if measured else self.index.cohort(reply.fingerprint, COHORT, 1, corrections)
        cohort = torch.cat(list(some.values())) if some else None
        templates = [(candidate.subject, candidate.template) for candidate in reply.candidates[:EXPLAINED]]
        found = self.index.embeddings(reply.fingerprint, [template for _, template in templates], corrections)
        explanation = explain(probe, templates, found, network.strips, impostors_of(measured, cohort))
        return reply.model_copy(update={"explanation": explanation})

    def verify(
        self, network: GaitNetwork, subject: str, seq: GaitSequence, fmr: float, camera: str | None
    ) -> Verification:
        """See :meth:`gaitkeeper.gallery.Gallery.verify`."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seq.perception)
        probe = embedded(network, [seq], self.embed)[0] if len(seq) else None
        searching = time.perf_counter()
        corrections = self.passers.corrections(fingerprint)
        calibration = self.calibrations.get(fingerprint)
        hit, unit = None, None
        if probe is not None:
            own = centred(probe[None], [view_of(seq, camera)], corrections)
            hit = self.index.nearest_of(subject, fingerprint, own[0], corrections)
            [unit] = self.units(fingerprint, calibration, own, [hit], corrections, [view_of(seq, camera)])
        timings = {"embed": searching - began, "search": time.perf_counter() - searching}
        threshold = match_threshold_of(fmr, calibration, unit)
        distance = None if hit is None else hit.distance
        verdict, reason = compare(seq, distance, threshold.value, calibration, self.gates)
        if probe is not None and hit is None:
            verdict, reason = Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY
        return Verification(
            verdict=verdict,
            reason=reason,
            subject=subject,
            distance=distance,
            confidence=None if hit is None or calibration is None else calibration.confidence_of(hit.distance, unit),
            template=None if hit is None else hit.template,
            threshold=threshold,
            timings=timings,
            **self._about(seq, fingerprint, camera, corrections),
        )

    def learn(self, network: GaitNetwork, seq: GaitSequence, view: View | None, embedding: Tensor) -> bool:
        """Keep a walker of sufficient quality as a passer-by of the view. Returns whether it was kept."""
        if view is None or self.gates.too_short(seq) or self.gates.poor(seq):
            return False
        try:
            return self.passers.add(network, seq, embedding, view)
        except GaitkeeperError as error:  # the answer is unchanged
            log.warning("a passer-by could not be kept: %s: %s", error.code, error.detail)
            return False

    def learn_all(
        self, network: GaitNetwork, seen: Sequence[tuple[GaitSequence, View | None]], pinned: Fingerprint | None
    ) -> int:
        """As :meth:`learn`, for several sequences that are not embedded yet. Returns the number of kept ones.

        Raises:
            FingerprintMismatch: the collection is pinned to another fingerprint than a sequence's.
        """
        for seq, _ in seen:
            if pinned not in (None, fingerprint := fingerprint_of(network, seq.perception)):
                raise FingerprintMismatch.between(self.collection, pinned, fingerprint)
        embeddings = embedded(network, [seq for seq, _ in seen], self.embed)
        return sum(
            self.learn(network, seq, view, embedding) for (seq, view), embedding in zip(seen, embeddings, strict=True)
        )

    def check_enrolment(self, seq: GaitSequence, fingerprint: Fingerprint) -> None:
        """Raise TooShort or PoorQuality if a walker cannot become a template."""
        calibration = self.calibrations.get(fingerprint)
        self.gates.check_enrolment(seq, MIN_RATE if calibration is None else calibration.min_rate_hz)

    def resemblance(
        self, subject: str, fingerprint: Fingerprint, embedding: Tensor, view: View | None
    ) -> tuple[Resemblance | None, str | None]:
        """The subject other than ``subject`` that an embedding (P, C) matches at the strictest calibrated rate.

        Also returns the cursor of ``Feed.changes`` up to which the collection was searched. Without a calibration both
        are None.
        """
        calibration = self.calibrations.get(fingerprint)
        if calibration is None:
            return None, None
        corrections = self.passers.corrections(fingerprint)
        own = centred(embedding[None], [view], corrections)
        found = self.index.search(fingerprint, own, 2, corrections=corrections)
        other = next((hit for hit in found.hits[0] if hit.subject != subject), None)
        [unit] = self.units(fingerprint, calibration, own, [other], corrections, [view])
        threshold = calibration.threshold(calibration.strictest, found.size, subjects=found.subjects, unit=unit)
        return resemblance(other, threshold), found.cursor

    def passers_like(self, fingerprint: Fingerprint, templates: Sequence[str], size: int) -> list[str]:
        """Passers-by within the threshold of the strictest calibrated rate from any of these templates.

        They always include the walk that a template was made from. Without a calibration they include only that walk.

        Args:
            fingerprint: fingerprint of the templates.
            templates: ids of the templates.
            size: number of templates in the collection.
        """
        corrections = self.passers.corrections(fingerprint)
        there = list(self.index.embeddings(fingerprint, templates, corrections).values())
        kept = self.passers.kept(fingerprint)
        if not there or not kept:
            return []
        own = torch.stack(there)
        limit = self.alike_within(fingerprint, own, [None] * len(own), corrections, size, size, strict=True) or 0.0
        found = []
        for view, group in kept.items():
            others = centred(group.embeddings, [view] * len(group.templates), corrections)
            near = part_distances(own, others).amin(0) <= max(limit, same(others))
            found += [group.templates[i] for i in near.nonzero().flatten().tolist()]
        return found

    def outliers(self, subject: str, fingerprint: Fingerprint, templates: Sequence[str]) -> list[Outlier]:
        """See :meth:`gaitkeeper.gallery.Gallery.outliers`."""
        corrections = self.passers.corrections(fingerprint)
        there = self.index.embeddings(fingerprint, templates, corrections)
        if len(there) < 2:
            return []
        templates, embeddings = list(there), torch.stack(list(there.values()))
        found = self.index.search(fingerprint, embeddings, 2, corrections=corrections)
        others = [next((hit for hit in hits if hit.subject != subject), None) for hits in found.hits]
        own = [Hit(subject, template, 0.0) for template in templates]
        threshold = self.alike_within(fingerprint, embeddings, own, corrections, found.size, found.subjects)
        return outliers(templates, part_distances(embeddings, embeddings), others, threshold)

    def alike_within(
        self,
        fingerprint: Fingerprint,
        embeddings: Tensor,
        own: Sequence[Hit | None],
        corrections: Corrections,
        size: int,
        subjects: int,
        strict: bool = False,
    ) -> float | None:
        """The distance up to which two of these walks count as one person's, at the loosest calibrated rate.

        Args:
            fingerprint: fingerprint of the embeddings.
            embeddings: (n, P, C), with the corrections of their views subtracted.
            own: the template of each walk, if they are one person's enrolled walks; None if they are not enrolled.
            corrections: corrections by view.
            size, subjects: as of :meth:`gaitkeeper.gallery.decision.calibration.Calibration.threshold`.
            strict: use the strictest rate instead of the loosest.

        Returns:
            The distance; None without a calibration.
        """
        calibration = self.calibrations.get(fingerprint)
        if calibration is None:
            return None
        rate = calibration.strictest if strict else calibration.loosest
        units = [unit for unit in self.units(fingerprint, calibration, embeddings, own, corrections) if unit]
        unit = sorted(units, key=lambda unit: unit.length)[len(units) // 2] if units else None
        return calibration.threshold(rate, size, subjects=subjects, unit=unit).value

    def _about(
        self, seq: GaitSequence, fingerprint: Fingerprint, camera: str | None, corrections: Corrections
    ) -> dict[str, Any]:
        """The fields of an answer that describe the probe."""
        view = view_of(seq, camera)
        seen = None
        if camera is not None:
            seen = SeenFrom(
                camera=camera,
                heading=None if view is None else view.heading,
                walks=self.passers.count(fingerprint, view),
                applied=view in corrections,
            )
        return {
            "collection": self.collection,
            "fingerprint": fingerprint,
            "trained": fingerprint.trained,
            "track": seq.track,
            "start": float(seq.timestamps[0]) if len(seq) else 0.0,
            "end": float(seq.timestamps[-1]) if len(seq) else 0.0,
            "quality": seq.quality,
            "seen": seen,
        }


def view_of(seq: GaitSequence, camera: str | None) -> View | None:
    """The view of a walker; None without a camera, or if the walk is too short to determine the heading."""
    heading = None if camera is None else heading_of(seq)
    return None if camera is None or heading is None else View(camera, heading.value)
