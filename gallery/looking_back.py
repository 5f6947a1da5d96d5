"""Sightings of walkers without a name, compared with a subject who was enrolled later, or is erased."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gaitkeeper.gallery.enrolment import Enrolled
from gaitkeeper.gallery.identification.answers import Answers
from gaitkeeper.gallery.identification.passers import same
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.types.sightings import SeenWalk, Sighting, id_of
from gaitkeeper.gallery.views import View, centred
from gaitkeeper.models.distance import part_distances

AT_ONCE = 256
"""Walks that are compared at the same time, so that memory stays bounded."""


def look_back(
    enrolled: Enrolled,
    answers: Answers,
    subject: str,
    walks: Sequence[tuple[Sighting, SeenWalk]],
    fpir: float | None,
) -> list[tuple[Sighting, float, float | None]]:
    """Compare sightings with a subject, as an identification would.

    Args:
        enrolled: the collection.
        answers: its answers.
        subject: id of the subject.
        walks: sightings with their walks, embedded by the collection's network.
        fpir: false-positive identification rate of the threshold; None for the strictest calibrated one.

    Returns:
        Each sighting, its distance to the subject's nearest template, and the distance up to which it is a match, which
        is None without a calibration. Empty if the subject has no template.

    Raises:
        NotFound: no subject has this id.
        BadFpir: the rate is not calibrated.
    """
    collection = enrolled.collection
    fingerprint = collection.fingerprint
    if fingerprint is None or not walks:
        return []
    corrections = answers.passers.corrections(fingerprint)
    calibration = answers.calibrations.get(fingerprint)
    templates = [template.id for template in enrolled.templates(subject)]
    there = answers.index.embeddings(fingerprint, templates, corrections)
    if not there:
        return []
    ids, own = list(there), torch.stack(list(there.values()))
    found: list[tuple[Sighting, float, float | None]] = []
    for start in range(0, len(walks), AT_ONCE):
        some = walks[start : start + AT_ONCE]
        views = [_view(sighting, walk) for sighting, walk in some]
        probes = centred(torch.from_numpy(np.stack([walk.embedding for _, walk in some])), views, corrections)
        nearest = part_distances(own, probes).min(0)
        hits = [
            Hit(subject, ids[at], distance)
            for at, distance in zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
        ]
        units = answers.units(fingerprint, calibration, probes, hits, corrections, views)
        for (sighting, _), hit, unit in zip(some, hits, units, strict=True):
            limit = None
            if calibration is not None:
                rate = calibration.strictest if fpir is None else fpir
                limit = calibration.threshold(rate, collection.templates, subjects=collection.subjects, unit=unit).value
            found.append((sighting, hit.distance, limit))
    return found


def forget_sightings_of(enrolled: Enrolled, answers: Answers, subject: str) -> int:
    """Delete the sightings without a name of the walks that a subject's templates were made from, and of those that
    match it at the strictest calibrated rate. Returns their number.
    """
    collection, store = enrolled.collection, enrolled.store
    if collection.sightings_seconds is None:
        return 0
    gone = [id_of(one.clip_sha256, one.track) for one in enrolled.templates(subject) if one.clip_sha256]
    walks = {
        sighting.id: (sighting, walk)
        for sighting, walk in store.seen_walks(collection.name)
        if walk.fingerprint == collection.fingerprint
    }
    for sighting, distance, limit in look_back(enrolled, answers, subject, list(walks.values()), None):
        embedding = torch.from_numpy(walks[sighting.id][1].embedding)
        if distance <= max(limit or 0.0, same(embedding[None])):
            gone.append(sighting.id)
    return store.forget_sightings(collection.name, sightings=gone).sightings if gone else 0


def _view(sighting: Sighting, walk: SeenWalk) -> View | None:
    if sighting.camera is None or walk.heading is None:
        return None
    return View(sighting.camera, walk.heading)
