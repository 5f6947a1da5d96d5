"""Walkers judged unknown, kept where their collection asks for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gallery import Gallery
from gallery.strangers import Strangers
from gallery.types import Verdict
from models.errors import GaitkeeperError
from pipelines.sequence import GaitSequence
from service.schemas import Person

log = logging.getLogger("gaitkeeper")


def keep_unknown(
    gallery: Gallery, seqs: Sequence[GaitSequence], people: list[Person], clip_sha256: str, camera: str | None
) -> None:
    """Keep everybody among ``people`` who is unknown, and say under which id; where that fails the answer stands.

    Args:
        gallery: that said so.
        seqs: of a clip, of whom ``people`` tells, by track.
        people: changed in place.
        clip_sha256: digest of the clip.
        camera: that saw it, where it is named.
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
