"""Probes embedded, compared with a collection, and answered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from gallery.calibration import Calibration
from gallery.errors import StoreUnavailable
from gallery.explain import COHORT, EXPLAINED, explain, impostors_of
from gallery.index import Index
from gallery.pinned import Embed, embedded
from gallery.search import Hit
from gallery.types import (
    Identification,
    Outlier,
    Reason,
    Resemblance,
    SeenFrom,
    Verdict,
    Verification,
)
from gallery.units import SUBJECTS, TEMPLATES, Unit, units_of
from gallery.verdict import (
    MIN_RATE_HZ,
    QualityGates,
    candidates_of,
    compare,
    decide,
    match_threshold_of,
    outliers,
    resemblance,
    threshold_of,
)
from gallery.views import Corrections, View, Views, centred
from models import GaitNetwork
from models.distance import part_distances
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.heading import heading_of
from pipelines.sequence import GaitSequence


@dataclass(frozen=True, eq=False)
class Answers:
    """What a collection says of probes.

    Attributes:
        collection: its name.
        index: its embeddings.
        views: what it knows of cameras.
        calibrations: by fingerprint.
        gates: what a sequence must have to be told by.
        embed: what embeds sequences.
    """

    collection: str
    index: Index
    views: Views
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
    ) -> list[Identification]:
        """See :meth:`gallery.Gallery.identify_many`; the probes are of one perception."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seqs[0].perception)
        with_frames = [i for i, seq in enumerate(seqs) if len(seq)]
        raw = embedded(network, [seqs[i] for i in with_frames], self.embed)
        searching = time.perf_counter()
        views = [view_of(seqs[i], camera) for i in with_frames]
        corrections = self.views.corrections(fingerprint)
        probes = centred(raw, views, corrections)
        found = self.index.search(fingerprint, probes, top_k, where, corrections)
        calibration = self.calibrations.get(fingerprint)
        nearest = [hits[0] if hits else None for hits in found.hits]
        measured = self._units(fingerprint, calibration, probes, nearest, corrections)
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
        for i, view, embedding in zip(with_frames, views, raw, strict=True):
            named = replies[i].candidates[0].subject if replies[i].verdict is Verdict.MATCH else None
            self.learn(seqs[i], fingerprint, view, embedding, named)
        if explained:
            own = dict(zip(with_frames, probes, strict=True))
            replies = [self._explained(network, reply, own.get(i), corrections) for i, reply in enumerate(replies)]
        return replies

    def _units(
        self,
        fingerprint: Fingerprint,
        calibration: Calibration | None,
        probes: Tensor,
        hits: Sequence[Hit | None],
        corrections: Corrections,
    ) -> list[Unit | None]:
        """The unit of each probe (P, C) and the template that was found for it; None where nothing is measured by it.

        Probes and templates are less what is known of their views, by the same corrections.
        """
        if calibration is None or (calibration.collection is None and calibration.camera is None):
            return [None] * len(hits)
        cohort = self.index.cohort(fingerprint, SUBJECTS, TEMPLATES, corrections) or {}
        wanted = list(dict.fromkeys(hit.template for hit in hits if hit is not None))
        templates = self.index.embeddings(fingerprint, wanted, corrections)
        return units_of(
            probes,
            [None if hit is None else templates.get(hit.template) for hit in hits],
            [None if hit is None else hit.subject for hit in hits],
            cohort,
        )

    def _explained(
        self, network: GaitNetwork, reply: Identification, probe: Tensor | None, corrections: Corrections
    ) -> Identification:
        """The reply, with what there is to say of its candidates part by part, by the corrections of its search."""
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
        """See :meth:`gallery.Gallery.verify`."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seq.perception)
        probe = embedded(network, [seq], self.embed)[0] if len(seq) else None
        searching = time.perf_counter()
        corrections = self.views.corrections(fingerprint)
        calibration = self.calibrations.get(fingerprint)
        hit, unit = None, None
        if probe is not None:
            own = centred(probe[None], [view_of(seq, camera)], corrections)
            hit = self.index.nearest_of(subject, fingerprint, own[0], corrections)
            [unit] = self._units(fingerprint, calibration, own, [hit], corrections)
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

    def learn(
        self, seq: GaitSequence, fingerprint: Fingerprint, view: View | None, embedding: Tensor, subject: str | None
    ) -> None:
        """Take a walker who was seen well enough, and may be known, into account for what is known of the view."""
        if view is not None and len(seq) >= self.gates.min_frames and not self.gates.poor(seq):
            who = f"subject {subject}" if subject else f"walk {sha256(embedding.numpy().tobytes()).hexdigest()}"
            with suppress(StoreUnavailable):  # the answer stands; eight walks are not counted
                self.views.learn(fingerprint, view, {who: embedding})

    def check_enrolment(self, seq: GaitSequence, fingerprint: Fingerprint) -> None:
        """Raise TooShort or PoorQuality where a walker cannot become a template."""
        calibration = self.calibrations.get(fingerprint)
        self.gates.check_enrolment(seq, MIN_RATE_HZ if calibration is None else calibration.min_rate_hz)

    def resemblance(
        self, subject: str, fingerprint: Fingerprint, embedding: Tensor, view: View | None
    ) -> tuple[Resemblance | None, str | None]:
        """Whom but ``subject`` a walker's embedding (P, C) matches at the strictest calibrated rate.

        Also the cursor of ``Store.changes`` up to which that was looked for; None where nothing is known to be near.
        """
        calibration = self.calibrations.get(fingerprint)
        if calibration is None:
            return None, None
        corrections = self.views.corrections(fingerprint)
        own = centred(embedding[None], [view], corrections)
        found = self.index.search(fingerprint, own, 2, corrections=corrections)
        other = next((hit for hit in found.hits[0] if hit.subject != subject), None)
        [unit] = self._units(fingerprint, calibration, own, [other], corrections)
        threshold = calibration.threshold(calibration.strictest, found.size, subjects=found.subjects, unit=unit)
        return resemblance(other, threshold), found.cursor

    def outliers(self, subject: str, fingerprint: Fingerprint, templates: Sequence[str]) -> list[Outlier]:
        """See :meth:`gallery.Gallery.outliers`; of the subject's templates."""
        corrections = self.views.corrections(fingerprint)
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
    ) -> float | None:
        """The distance up to which two of these walks are taken for one person's, at the loosest calibrated rate.

        Args:
            fingerprint: of the embeddings.
            embeddings: (n, P, C), less what is known of their views.
            own: the template that each is, of the person whose walks they are; None for walks that are not enrolled.
            corrections: of the views.
            size, subjects: as of :meth:`gallery.calibration.Calibration.threshold`.

        Returns:
            None without a calibration.
        """
        calibration = self.calibrations.get(fingerprint)
        if calibration is None:
            return None
        units = [unit for unit in self._units(fingerprint, calibration, embeddings, own, corrections) if unit]
        unit = sorted(units, key=lambda unit: unit.length)[len(units) // 2] if units else None
        return calibration.threshold(calibration.loosest, size, subjects=subjects, unit=unit).value

    def _about(
        self, seq: GaitSequence, fingerprint: Fingerprint, camera: str | None, corrections: Corrections
    ) -> dict[str, Any]:
        """What every answer says of its probe."""
        view = view_of(seq, camera)
        seen = None
        if camera is not None:
            seen = SeenFrom(
                camera=camera,
                heading=None if view is None else view.heading,
                walks=self.views.walks(fingerprint, view),
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
    """From where a walker is seen; None without a camera, or of one who is seen too briefly to tell the heading."""
    heading = None if camera is None else heading_of(seq)
    return None if camera is None or heading is None else View(camera, heading.value)
