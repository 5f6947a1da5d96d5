"""Subjects who are likely the same person, by the rule of the warning about look-alikes at enrolment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import torch
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.gallery.decision.units import SUBJECTS, TEMPLATES, Unit, units_of
from gaitkeeper.gallery.decision.verdict import resemblance
from gaitkeeper.gallery.identification.answers import Answers
from gaitkeeper.gallery.search.index import Found
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.stores.protocol import Store
from gaitkeeper.gallery.types import Subject
from gaitkeeper.gallery.types.pairs import Double, nearness
from gaitkeeper.gallery.views import Corrections
from gaitkeeper.pipelines.fingerprint import Fingerprint

AT_FIRST, AT_MOST = 8, 128
"""Number of nearest subjects that are compared with a subject: at first, and if all of them are alike."""


def doubles(store: Store, answers: Answers, fingerprint: Fingerprint, subjects: Sequence[Subject]) -> list[Double]:
    """The likely doubles of these subjects among all subjects with a greater id, most likely first.

    So each pair of a collection is found once, at the subject whose id comes first. Each subject is one search, and
    only its results are kept. Pairs that were said to be different people are left out.

    Args:
        store: the store of the collection.
        answers: answers of the same collection.
        fingerprint: fingerprint of the collection.
        subjects: the subjects to search for.
    """
    found = []
    for subject in subjects:
        now = datetime.now(UTC)
        listed = store.templates(answers.collection, subject.subject)
        current = [one.id for one in listed if one.expires is None or one.expires > now]
        alike = [one for one in _alike(answers, fingerprint, subject.subject, current) if one.other > subject.subject]
        apart = set(store.apart(answers.collection, subject.subject)) if alike else set()
        found += [one for one in alike if one.other not in apart]
    return sorted(found, key=nearness)


def _alike(answers: Answers, fingerprint: Fingerprint, subject: str, templates: Sequence[str]) -> list[Double]:
    """All subjects that are likely this one, up to :data:`AT_MOST` of them."""
    calibration = answers.calibrations.get(fingerprint)
    corrections = answers.passers.corrections(fingerprint)
    known = answers.index.embeddings(fingerprint, templates, corrections)
    if calibration is None or not known:
        return []
    ids, probes = list(known), torch.stack(list(known.values()))
    k = AT_FIRST
    while True:
        found = answers.index.search(fingerprint, probes, k + 1, corrections=corrections)  # one hit is itself
        pairs: dict[str, tuple[int, Hit]] = {}
        for i, hits in enumerate(found.hits):
            for hit in hits:
                best = pairs.get(hit.subject)
                if hit.subject != subject and (best is None or hit.distance < best[1].distance):
                    pairs[hit.subject] = i, hit
        # A subject beyond the last hit of a walk may have a nearer template that was not returned.
        reach = min((hits[-1].distance for hits in found.hits if len(hits) > k), default=math.inf)
        near = [(i, hit) for i, hit in pairs.values() if hit.distance <= reach]
        units = _units(answers, calibration, fingerprint, subject, probes, near, corrections)
        alike = [
            double
            for (i, hit), unit in zip(near, units, strict=True)
            if (double := _judged(calibration, found, subject, ids[i], hit, unit)) is not None
        ]
        if reach == math.inf or len(alike) < len(near) or k >= AT_MOST:
            return alike
        k *= 2


def _units(
    answers: Answers,
    calibration: Calibration,
    fingerprint: Fingerprint,
    subject: str,
    probes: Tensor,
    near: Sequence[tuple[int, Hit]],
    corrections: Corrections,
) -> list[Unit | None]:
    """The unit of each pair of a probe's number and a hit: by the collection's subjects other than these two."""
    if not calibration.in_units or not near:
        return [None] * len(near)
    known = answers.index.embeddings(fingerprint, [hit.template for _, hit in near], corrections)
    cohort = answers.index.cohort(fingerprint, SUBJECTS, TEMPLATES, corrections) or {}
    return units_of(
        probes[[i for i, _ in near]],
        [known.get(hit.template) for _, hit in near],
        [hit.subject for _, hit in near],
        {name: some for name, some in cohort.items() if name != subject},
    )


def _judged(
    calibration: Calibration, found: Found, subject: str, template: str, hit: Hit, unit: Unit | None
) -> Double | None:
    threshold = calibration.threshold(calibration.strictest, found.size, subjects=found.subjects, unit=unit)
    if resemblance(hit, threshold) is None:
        return None
    (first, mine), (second, theirs) = sorted([(subject, template), (hit.subject, hit.template)])
    return Double(
        subject=first,
        other=second,
        template=mine,
        other_template=theirs,
        distance=hit.distance,
        confidence=calibration.confidence_of(hit.distance, unit),
        threshold=threshold,
    )
