"""Recognition of unknown walkers who reappear: under another track number in the same clip, or in another clip."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.decision.reappearance import Walks
from gaitkeeper.gallery.observations.strangers import Strangers
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import MultiplePeople
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.schemas import Person

FPIR = 0.01
"""The rate to ask for if no calibration has one."""

log = logging.getLogger("gaitkeeper")


def walker_of(seen: Seen, gallery: Gallery, track: int | None, point: str | None, camera: str | None) -> GaitSequence:
    """As :meth:`gaitkeeper.service.recognition.clip_walkers.Seen.walker`. If there are several walkers, the error also
    says which tracks are the same person.

    Args:
        seen: what the pipeline found in the clip.
        gallery: the gallery to compare with or enrol in. The clip is not added to it.
        track, point: choice of the walker.
        camera: name of the camera that recorded the clip, if it is given.

    Raises:
        MultiplePeople: as there. ``same_as`` of each of ``tracks`` is an earlier track of the same person.
        TrackNotFound: as there.
        FingerprintMismatch, StoreUnavailable: see the gallery.
    """
    try:
        return seen.walker(track, point)
    except MultiplePeople as error:
        same = reappearing(seen, gallery, camera)
        tracks = [{**choice, "same_as": same[choice["track"]]} for choice in error.extra["tracks"]]
        people = len({first_of(choice["track"], same) for choice in tracks})
        if people == len(tracks):
            raise
        who = "1 person walks" if people == 1 else f"{people} people walk"
        raise MultiplePeople(
            f"{who} in the clip, {len(tracks)} times in all, as it seems: choose a walk by `track`.",
            tracks=tracks,
        ) from error


def reappearing(seen: Seen, gallery: Gallery, camera: str | None) -> dict[int, int | None]:
    """By track, an earlier track of the clip that shows the same person; None if there is none.

    Raises:
        FingerprintMismatch, StoreUnavailable: see the gallery.
    """
    seqs, walks = seen.result.sequences, Walks(seen.result.spans)
    if len(seqs) < 2:
        return {seq.track: None for seq in seqs}
    calibration = gallery.calibration(fingerprint_of(gallery.network, seqs[0].perception))
    fpir = FPIR if calibration is None else calibration.loosest
    found = gallery.identify_many(seqs, top_k=1, fpir=fpir, camera=camera, learn=False, walks=walks)
    return {one.track: one.same_as for one in found}


def first_of(track: int, same: Mapping[int, int | None]) -> int:
    """The first track of the person that a track shows, following the ``same_as`` links."""
    while (earlier := same[track]) is not None:
        track = earlier
    return track


def keep_unknown(
    gallery: Gallery, seqs: Sequence[GaitSequence], people: list[Person], clip_sha256: str, camera: str | None
) -> None:
    """Keep the unknown walkers among ``people``, and set their ids. If this fails, the answer is unchanged.

    Args:
        gallery: the gallery that gave the answers.
        seqs: the sequences of the clip's walkers.
        people: the answers for these walkers, changed in place.
        clip_sha256: digest of the clip.
        camera: name of the camera that recorded the clip, if it is given.
    """
    sequences = {seq.track: seq for seq in seqs}
    for i, person in enumerate(people):
        if person.verdict is not Verdict.UNKNOWN:
            continue
        try:
            kept = Strangers(gallery).add(sequences[person.track], clip_sha256, camera)
        except GaitkeeperError as error:
            log.warning("a stranger could not be kept: %s: %s", error.code, error.detail)
            return
        people[i] = person.model_copy(update={"stranger": kept})
