"""Probes embedded, compared with a collection, and answered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gallery.calibration import Calibration
from gallery.explain import COHORT, EXPLAINED, explain, impostors_of
from gallery.index import CollectionIndex
from gallery.pinned import embedded
from gallery.search import Hit
from gallery.types import Identification, Outlier, Reason, Resemblance, Verdict, Verification
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
from models import GaitNetwork
from models.distance import part_distances
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.sequence import GaitSequence


@dataclass(frozen=True, eq=False)
class Answers:
    """What a collection says of probes.

    Attributes:
        collection: its name.
        index: its embeddings.
        calibrations: by fingerprint.
        gates: what a sequence must have to be told by.
    """

    collection: str
    index: CollectionIndex
    calibrations: Mapping[Fingerprint, Calibration]
    gates: QualityGates

    def identify(
        self,
        network: GaitNetwork,
        seqs: Sequence[GaitSequence],
        top_k: int,
        fpir: float,
        where: Mapping[str, str] | None,
        explained: bool = False,
    ) -> list[Identification]:
        """See :meth:`gallery.Gallery.identify_many`; the probes are of one perception."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seqs[0].perception)
        with_frames = [i for i, seq in enumerate(seqs) if len(seq)]
        probes = embedded(network, [seqs[i] for i in with_frames])
        searching = time.perf_counter()
        found = self.index.search(fingerprint, probes, top_k, where)
        hits: dict[int, list[Hit]] = dict(zip(with_frames, found.hits, strict=True))
        timings = {"embed": searching - began, "search": time.perf_counter() - searching}
        calibration = self.calibrations.get(fingerprint)
        threshold = threshold_of(fpir, found.size, calibration)
        replies = []
        for i, seq in enumerate(seqs):
            verdict, reason = decide(seq, hits.get(i, []), threshold, calibration, self.gates)
            reply = Identification(
                verdict=verdict,
                reason=reason,
                candidates=candidates_of(hits.get(i, []), calibration),
                threshold=threshold,
                timings=timings,
                **self._about(seq, fingerprint),
            )
            replies.append(reply)
        if explained:
            own = dict(zip(with_frames, probes, strict=True))
            replies = [self._explained(network, reply, own.get(i)) for i, reply in enumerate(replies)]
        return replies

    def _explained(self, network: GaitNetwork, reply: Identification, probe: Tensor | None) -> Identification:
        """The reply, with what there is to say of its candidates part by part."""
        if probe is None:
            return reply
        calibration = self.calibrations.get(reply.fingerprint)
        measured = None if calibration is None else calibration.parts
        cohort = None if measured else self.index.cohort(reply.fingerprint, COHORT)
        templates = [(candidate.subject, candidate.template) for candidate in reply.candidates[:EXPLAINED]]
        found = self.index.embeddings(reply.fingerprint, [template for _, template in templates])
        explanation = explain(probe, templates, found, network.strips, impostors_of(measured, cohort))
        return reply.model_copy(update={"explanation": explanation})

    def verify(self, network: GaitNetwork, subject: str, seq: GaitSequence, fmr: float) -> Verification:
        """See :meth:`gallery.Gallery.verify`."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seq.perception)
        probe = embedded(network, [seq])[0] if len(seq) else None
        searching = time.perf_counter()
        hit = None if probe is None else self.index.nearest_of(subject, fingerprint, probe)
        timings = {"embed": searching - began, "search": time.perf_counter() - searching}
        calibration = self.calibrations.get(fingerprint)
        threshold = match_threshold_of(fmr, calibration)
        distance = None if hit is None else hit.distance
        verdict, reason = compare(seq, distance, threshold.value, calibration, self.gates)
        if probe is not None and hit is None:
            verdict, reason = Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY
        return Verification(
            verdict=verdict,
            reason=reason,
            subject=subject,
            distance=distance,
            confidence=None if hit is None or calibration is None else calibration.confidence.at(hit.distance),
            template=None if hit is None else hit.template,
            threshold=threshold,
            timings=timings,
            **self._about(seq, fingerprint),
        )

    def check_enrolment(self, seq: GaitSequence, fingerprint: Fingerprint) -> None:
        """Raise TooShort or PoorQuality where a walker cannot become a template."""
        calibration = self.calibrations.get(fingerprint)
        self.gates.check_enrolment(seq, MIN_RATE_HZ if calibration is None else calibration.min_rate_hz)

    def resemblance(
        self, subject: str, fingerprint: Fingerprint, embedding: Tensor
    ) -> tuple[Resemblance | None, str | None]:
        """Whom but ``subject`` a walker's embedding (P, C) matches at the strictest calibrated rate.

        Also the cursor of ``Store.changes`` up to which that was looked for; None where nothing is known to be near.
        """
        calibration = self.calibrations.get(fingerprint)
        if calibration is None:
            return None, None
        found = self.index.search(fingerprint, embedding[None], 2)
        return resemblance(found.hits[0], subject, found.size, calibration), found.cursor

    def outliers(
        self, subject: str, fingerprint: Fingerprint, templates: Sequence[str], embeddings: Tensor
    ) -> list[Outlier]:
        """See :meth:`gallery.Gallery.outliers`; of the subject's n templates, and their embeddings (n, P, C)."""
        found = self.index.search(fingerprint, embeddings, 2)
        others = [next((hit for hit in hits if hit.subject != subject), None) for hits in found.hits]
        calibration = self.calibrations.get(fingerprint)
        threshold = None if calibration is None else calibration.threshold(calibration.loosest, found.size).value
        return outliers(templates, part_distances(embeddings, embeddings), others, threshold)

    def _about(self, seq: GaitSequence, fingerprint: Fingerprint) -> dict[str, Any]:
        """What every answer says of its probe."""
        return {
            "collection": self.collection,
            "fingerprint": fingerprint,
            "trained": fingerprint.trained,
            "track": seq.track,
            "start": float(seq.timestamps[0]) if len(seq) else 0.0,
            "end": float(seq.timestamps[-1]) if len(seq) else 0.0,
            "quality": seq.quality,
        }
