"""Operations on the walkers of a clip before it is known who they are: what can be said of them, and the enrolment of
several at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.decision.verdict import QualityGates
from gaitkeeper.gallery.errors import NotFound, PoorQuality
from gaitkeeper.gallery.names import check_subject
from gaitkeeper.gallery.types import Template
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import ClipError
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.options import EnrollOptions, complete
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.recognition.parsing.walker_options import require_quality
from gaitkeeper.service.recognition.pictures import strips, trail
from gaitkeeper.service.recognition.sightings.recording import keep_picture
from gaitkeeper.service.schemas import ClipEnrolment, EnrollReply, Unfit, WalkerSeen, WalkersReply

log = logging.getLogger("gaitkeeper")


def walkers_reply(
    seen: Seen,
    collection: str,
    gallery: Gallery | None,
    same: Mapping[int, int | None],
    *,
    pictures: bool = False,
    boxes: bool = False,
) -> WalkersReply:
    """What was found in a clip, as a reply without a handle.

    Args:
        seen: what the pipeline found.
        collection: name of the collection in which the walkers would be enrolled.
        gallery: its gallery; None if the collection does not exist yet.
        same: by track, the earlier track of the same person.
        pictures: whether to add strips of each walker.
        boxes: whether to add the walkers' boxes.
    """
    walkers = [
        WalkerSeen(
            **{**choice.model_dump(), "same_as": same.get(sequence.track)},
            unfit=_unfit(sequence, gallery),
            strips=strips(sequence) if pictures else None,
            trail=trail(sequence) if boxes else None,
        )
        for choice, sequence in zip(seen.choices(), seen.result.sequences, strict=True)
    ]
    return WalkersReply(
        collection=collection, walkers=walkers, clip=seen.clip, skipped=seen.skipped, timings=seen.result.timings
    )


def _unfit(sequence: GaitSequence, gallery: Gallery | None) -> Unfit | None:
    try:
        (QualityGates() if gallery is None else gallery).check_enrolment(sequence)
    except (ClipError, PoorQuality) as error:
        return Unfit(code=error.code, detail=error.detail, reasons=error.extra.get("reasons", []))
    return None


class Named(NamedTuple):
    """One of several walkers to enrol."""

    track: int
    subject: str
    sequence: GaitSequence


def check_named(chosen: Mapping[int, str]) -> dict[int, str]:
    """The subjects by track, in composed form and in order of the tracks. Raises BadSubject."""
    return {track: check_subject(chosen[track]) for track in sorted(chosen)}


def enroll_several(
    gallery: Gallery, seen: Seen, chosen: Mapping[int, str], camera: str | None, given: EnrollOptions
) -> EnrollReply:
    """Enrol several walkers of a clip: all of them, or none.

    All walkers are checked first. If an enrolment fails nevertheless, for example because a walker matches another
    subject and ``strict`` is set, those made before it are undone.

    Args:
        gallery: the gallery.
        seen: what the pipeline found in the clip.
        chosen: subject by track. Several tracks may be one subject's, if they are not in the picture at the same time.
        camera: name of the camera.
        given: options of the enrolment.

    Raises:
        TrackNotFound: the clip has no such walker.
        InvalidRequest: two walkers are in the picture at the same time, and have the same subject.
        ClipError, PoorQuality, LooksLikeOtherSubject, ClipOfOtherSubject: of the first walker who cannot be enrolled;
            ``track`` is its number, ``tracks`` lists all who cannot, and ``undone`` the subjects whose enrolment was
            undone.
        FingerprintMismatch, StoreUnavailable: see the gallery.
    """
    options = complete(EnrollOptions, given)
    named = [Named(track, subject, seen.walker(track)) for track, subject in chosen.items()]
    _check_apart(seen, named)
    _check_fit(gallery, named, options["min_quality"])
    fresh = {one.subject for one in named if not _is_there(gallery, one.subject)}
    made: list[Template] = []
    replies: list[ClipEnrolment] = []
    for one in named:
        started = time.perf_counter()
        try:
            done = gallery.enrolment(
                one.subject, one.sequence, clip_sha256=seen.sha256, strict=options["strict"], camera=camera
            )
        except BaseException as error:
            _undo(gallery, made, fresh)
            if isinstance(error, GaitkeeperError):
                raise _refusal([(one, error)], undone=[template.subject for template in made]) from None
            raise
        made.append(done.template)
        # Perception served all walkers, so only the first reply counts its time.
        timings = seen.result.timings if not replies else {"total": 0.0}
        replies.append(
            ClipEnrolment(
                template=done.template,
                warning=done.warning,
                clip=seen.clip,
                skipped=seen.skipped,
                timings=with_stages(timings, {"enroll": time.perf_counter() - started}),
            )
        )
    for template in made:
        keep_picture(gallery, template.subject, seen, template.track)
    first, *others = replies
    return EnrollReply(**dict(first), others=others)


def _check_apart(seen: Seen, named: list[Named]) -> None:
    for one, other in combinations(named, 2):
        (begin, end), (start, stop) = seen.result.spans[one.track], seen.result.spans[other.track]
        if one.subject == other.subject and begin < stop and start < end:
            sentence = (
                f"tracks {one.track} and {other.track} are in the picture at the same time, so they cannot both be "
                f"{one.subject!r}"
            )
            raise InvalidRequest(f"subjects: {sentence}.", errors=[{"field": "subjects", "message": sentence}])


def _check_fit(gallery: Gallery, named: list[Named], min_quality: float) -> None:
    faults: list[tuple[Named, GaitkeeperError]] = []
    for one in named:
        try:
            require_quality(one.sequence, min_quality)
            gallery.check_enrolment(one.sequence)
        except (ClipError, PoorQuality) as error:
            faults.append((one, error))
    if faults:
        raise _refusal(faults)


def _refusal(faults: list[tuple[Named, GaitkeeperError]], undone: Sequence[str] = ()) -> GaitkeeperError:
    """The first error, which then says for each walker what is wrong, and which enrolments were undone."""
    (one, error), *_ = faults
    error.extra["track"] = one.track
    error.extra["undone"] = list(undone)
    error.extra["tracks"] = [
        {
            "track": named.track,
            "subject": named.subject,
            "code": fault.code,
            "detail": fault.detail,
        }
        for named, fault in faults
    ]
    return error


def _is_there(gallery: Gallery, subject: str) -> bool:
    try:
        gallery.subject(subject)
    except NotFound:
        return False
    return True


def _undo(gallery: Gallery, made: list[Template], fresh: set[str]) -> None:
    """Delete the templates that were made, and the subjects that came with them. What cannot be deleted is logged:
    the same request finds it again and does not enrol it twice.
    """
    for template in made:
        if template.duplicate:
            continue
        try:
            gallery.delete_template(template.id)
            if template.subject in fresh and not gallery.subject(template.subject).templates:
                gallery.erase(template.subject)
        except GaitkeeperError as error:
            log.error("an enrolment could not be undone: %s: %s", error.code, error.detail)


def with_stages(timings: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Add stages to the timings, and add their time to the total, which stays last."""
    stages = {stage: seconds for stage, seconds in timings.items() if stage != "total"}
    return {**stages, **more, "total": timings["total"] + sum(more.values())}
