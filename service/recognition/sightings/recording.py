"""Keeps what was told of each walker as a sighting, and a picture of each enrolled subject."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.observations.sightings import Sightings
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.gallery.types.sightings import Source
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.schemas import Person

log = logging.getLogger("gaitkeeper")


def keep_sightings(
    gallery: Gallery, seen: Seen, people: list[Person], source: Source, where: Mapping[str, str] | None
) -> None:
    """Keep the verdicts on the walkers of a clip, and set the ids of their sightings. If this fails, the answer is
    unchanged.

    Args:
        gallery: the gallery that gave the verdicts.
        seen: what the pipeline found in the clip.
        people: the answers, changed in place.
        source: what the clip came from.
        where: the metadata of the subjects that were searched. A walker who is none of these subjects may be another,
            and is not kept.
    """
    walks = {walk.track: walk for walk in seen.result.sequences}
    try:
        sightings = Sightings(gallery)
        if sightings.keep_seconds is None:
            return
        for i, person in enumerate(people):
            if where and person.verdict is not Verdict.MATCH:
                continue
            kept = sightings.record(
                walks[person.track],
                person,
                source=source,
                camera=seen.camera,
                thumbnail=seen.result.thumbnails.get(person.track, b""),
                clip_sha256=seen.sha256,
                stranger=person.stranger,
            )
            people[i] = person.model_copy(update={"sighting": None if kept is None else kept.id})
    except GaitkeeperError as error:
        log.warning("a sighting could not be kept: %s: %s", error.code, error.detail)


def keep_picture(gallery: Gallery, subject: str, seen: Seen, track: int) -> None:
    """Keep the picture of a walker who was just enrolled, if the collection keeps sightings. If this fails, the
    enrolment stays.
    """
    picture = seen.result.thumbnails.get(track, b"")
    try:
        if picture and gallery.collection.sightings_seconds is not None:
            gallery.store.keep_picture(gallery.name, subject, picture)
    except GaitkeeperError as error:
        log.warning("a picture could not be kept: %s: %s", error.code, error.detail)
