"""Probes embedded, compared with a collection, and answered."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gallery.calibration import RIVALS, Calibration
from gallery.explain import COHORT, EXPLAINED, explain, impostors_of
from gallery.index import Index
from gallery.passers import PassersBy, same
from gallery.pinned import Embed, embedded
from gallery.search import Hit
from gallery.types import (
    Identification,
    MatchThreshold,
    Outlier,
    Reason,
    Resemblance,
    SeenFrom,
    Verdict,
    Verification,
)
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
from gallery.views import Corrections, View, centred
from models import GaitNetwork
from models.distance import part_distances
from models.errors import GaitkeeperError
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.heading import heading_of
from pipelines.sequence import GaitSequence

log = logging.getLogger("gaitkeeper")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a collection says of probes.

    Attributes:
        collection: its name.
        index: its embeddings.
        passers: who passed its cameras, and what is known of these by them.
        calibrations: by fingerprint.
        gates: what a sequence must have to be told by.
        embed: what embeds sequences.
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
    ) -> list[Identification]:
        """See :meth:`gallery.Gallery.identify_many`; the probes are of one perception."""
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seqs[0].perception)
        with_frames = [i for i, seq in enumerate(seqs) if len(seq)]
        raw = embedded(network, [seqs[i] for i in with_frames], self.embed)
        searching = time.perf_counter()
        views = [view_of(seqs[i], camera) for i in with_frames]
        corrections = self.passers.corrections(fingerprint)
        probes = centred(raw, views, corrections)
        found = self.index.search(fingerprint, probes, max(top_k, RIVALS + 1), where, corrections)
        hits: dict[int, list[Hit]] = dict(zip(with_frames, found.hits, strict=True))
        timings = {"embed": searching - began, "search": time.perf_counter() - searching}
        calibration = self.calibrations.get(fingerprint)
        replies = []
        for i, seq in enumerate(seqs):
            near = hits.get(i, [])
            threshold = threshold_of(fpir, found.size, calibration, near, centred=bool(corrections))
            verdict, reason = decide(seq, near, threshold, calibration, self.gates)
            reply = Identification(
                verdict=verdict,
                reason=reason,
                candidates=candidates_of(near[:top_k], calibration),
                threshold=threshold,
                timings=timings,
                age=found.age,
                **self._about(seq, fingerprint, camera, corrections),
            )
            replies.append(reply)
        if learn:
            for i, view, embedding in zip(with_frames, views, raw, strict=True):
                self.learn(network, seqs[i], view, embedding)
        if explained:
            own = dict(zip(with_frames, probes, strict=True))
            replies = [self._explained(network, reply, own.get(i), corrections) for i, reply in enumerate(replies)]
        return replies

    def _explained(
        self, network: GaitNetwork, reply: Identification, probe: Tensor | None, corrections: Corrections
    ) -> Identification:
        """The reply, with what there is to say of its candidates part by part, by the corrections of its search."""
        if probe is None:
            return reply
        calibration = self.calibrations.get(reply.fingerprint)
        measured = None if calibration is None else calibration.parts
        some = None if measured else self.index.cohort(reply.fingerprint, COHORT, corrections)
        cohort = torch.stack(list(some.values())) if some else None
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
        corrections = self.passers.corrections(fingerprint)
        hit = None
        if probe is not None:
            own = centred(probe[None], [view_of(seq, camera)], corrections)[0]
            hit = self.index.nearest_of(subject, fingerprint, own, corrections)
        timings = {"embed": searching - began, "search": time.perf_counter() - searching}
        calibration = self.calibrations.get(fingerprint)
        threshold = match_threshold_of(fmr, calibration)
        if corrections:  # nobody has measured how near strangers are then
            threshold = MatchThreshold(value=None, fmr=fmr, source=None)
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
            **self._about(seq, fingerprint, camera, corrections),
        )

    def learn(self, network: GaitNetwork, seq: GaitSequence, view: View | None, embedding: Tensor) -> bool:
        """Take a walker who was seen well enough into account for what is known of the view; whether it is kept."""
        if view is None or len(seq) < self.gates.min_frames or self.gates.poor(seq):
            return False
        try:
            return self.passers.add(network, seq, embedding, view)
        except GaitkeeperError as error:  # the answer stands
            log.warning("a passer-by could not be kept: %s: %s", error.code, error.detail)
            return False

    def learn_all(self, network: GaitNetwork, seen: Sequence[tuple[GaitSequence, View | None]]) -> int:
        """As :meth:`learn`, of several who have frames and were not embedded yet; how many are kept."""
        embeddings = embedded(network, [seq for seq, _ in seen], self.embed)
        return sum(
            self.learn(network, seq, view, embedding) for (seq, view), embedding in zip(seen, embeddings, strict=True)
        )

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
        corrections = self.passers.corrections(fingerprint)
        own = centred(embedding[None], [view], corrections)
        found = self.index.search(fingerprint, own, 2, corrections=corrections)
        warning = resemblance(found.hits[0], subject, found.size, calibration, centred=bool(corrections))
        return warning, found.cursor

    def passers_like(self, fingerprint: Fingerprint, templates: Sequence[str], size: int) -> list[str]:
        """Passers-by who are as near to one of some templates as the strictest calibrated rate allows.

        The very walk that a template was made of is among them in any case; without a calibration it alone is.

        Args:
            fingerprint: of the templates.
            templates: their ids.
            size: templates of the collection.
        """
        corrections = self.passers.corrections(fingerprint)
        there = list(self.index.embeddings(fingerprint, templates, corrections).values())
        kept = self.passers.kept(fingerprint)
        if not there or not kept:
            return []
        calibration, limit = self.calibrations.get(fingerprint), 0.0
        if calibration is not None:
            limit = calibration.threshold(calibration.strictest, size, centred=bool(corrections)).value or 0.0
        own = torch.stack(there)
        found = []
        for view, group in kept.items():
            others = centred(group.embeddings, [view] * len(group.templates), corrections)
            near = part_distances(own, others).amin(0) <= max(limit, same(others))
            found += [group.templates[i] for i in near.nonzero().flatten().tolist()]
        return found

    def outliers(self, subject: str, fingerprint: Fingerprint, templates: Sequence[str]) -> list[Outlier]:
        """See :meth:`gallery.Gallery.outliers`; of the subject's templates."""
        corrections = self.passers.corrections(fingerprint)
        there = self.index.embeddings(fingerprint, templates, corrections)
        if len(there) < 2:
            return []
        templates, embeddings = list(there), torch.stack(list(there.values()))
        found = self.index.search(fingerprint, embeddings, 2, corrections=corrections)
        others = [next((hit for hit in hits if hit.subject != subject), None) for hits in found.hits]
        calibration = self.calibrations.get(fingerprint)
        threshold = None
        if calibration is not None:
            threshold = calibration.threshold(calibration.loosest, found.size, centred=bool(corrections)).value
        return outliers(templates, part_distances(embeddings, embeddings), others, threshold)

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
    """From where a walker is seen; None without a camera, or of one who is seen too briefly to tell the heading."""
    heading = None if camera is None else heading_of(seq)
    return None if camera is None or heading is None else View(camera, heading.value)
