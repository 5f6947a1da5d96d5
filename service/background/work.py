"""Processes a clip request, at once or as a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.errors import ClipOfOtherSubject, LooksLikeOtherSubject, StoreUnavailable
from gaitkeeper.gallery.names import check_camera, check_metadata, check_subject
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.gallery.types.pairs import Merge
from gaitkeeper.gallery.types.sightings import Source
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.auth.access import require_collection
from gaitkeeper.service.background.requests import ClipRequest, EnrollRequest, IdentifyRequest, request_of
from gaitkeeper.service.background.webhooks import Webhooks
from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.options import IdentifyOptions, complete
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition.clip_walkers import ClipSource, OpenClip
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.recognition.looks import check_named
from gaitkeeper.service.recognition.parsing.walker_options import check_names, check_source, point_of
from gaitkeeper.service.schemas import EnrollReply, IdentifyReply, JobOutcome, JobReply, WalkersReply

ClipReply = EnrollReply | IdentifyReply | WalkersReply
Reply = ClipReply | JobReply | Merge

SHORT_BYTES = 2 * 2**20
"""Clips below this size in bytes are not probed for their length: they are processed quickly anyway."""


class Work:
    """Runs enrolments, identifications and looks, and counts them."""

    def __init__(self, engine: Engine, metrics: Metrics, webhooks: Webhooks | None = None) -> None:
        self.engine = engine
        self.metrics = metrics
        self.webhooks = webhooks

    def check(self, request: ClipRequest) -> None:
        """Check everything that does not depend on the clip's content. Raises as :meth:`do`."""
        check_camera(request.options["camera"])
        if isinstance(request, EnrollRequest):
            check_named(request.options["subjects"] or {})
            if request.subject is not None:
                check_subject(request.subject)
            self._gallery(request, create=True)
        elif isinstance(request, IdentifyRequest):
            check_metadata(request.options["where"])
            check_rates(self._gallery(request), fpir=request.options["fpir"])
        else:
            require_collection(request.options["collection"])

    def _gallery(self, request: EnrollRequest | IdentifyRequest, *, create: bool = False) -> Gallery:
        options = request.options
        if options["point"] is not None:
            point_of(options["point"])
        return self.engine.gallery(options["collection"], create=create, network=options["network"])

    @staticmethod
    def check_parts(request: ClipRequest, clips: int) -> None:
        """Check that a request has what it needs, and nothing in two ways; ``clips`` is the number of its clips.

        Raises:
            InvalidRequest: something is missing or given in two ways.
        """
        if isinstance(request, EnrollRequest):
            check_names(request.subject, request.options, clips)
        if isinstance(request, EnrollRequest | IdentifyRequest):
            options = request.options
            check_source(clips > 0, options["handle"], options["rotate"], annotate=request.needs_job)

    def is_long(self, clip: OpenClip, deadline: float) -> bool:
        """Whether a clip should become a job."""
        if clip.file.seek(0, 2) <= SHORT_BYTES:
            return False
        return clip.probe(self.engine.pipeline.decoder, deadline).duration > self.engine.settings.async_seconds

    def do(
        self,
        request: ClipRequest,
        clip: ClipSource | None,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        more: Sequence[ClipSource] = (),
        annotate: Path | None = None,
        source: Source = Source.REQUEST,
    ) -> tuple[int, ClipReply]:
        """Process a clip, or what a handle stands for; returns HTTP status and reply. ``more`` are further clips to
        enrol from, ``annotate`` is the path of the annotated clip to write, ``source`` is what sightings come from.
        Raises as the engine's method.
        """
        if isinstance(request, EnrollRequest):
            enrolled = self.engine.enroll(
                clip, request.subject, more=more, on_progress=on_progress, deadline=deadline, **request.options
            )
            self.metrics.enrolled(enrolled)
            known = all(one.template.duplicate for one in (enrolled, *enrolled.others))
            return 200 if known else 201, enrolled
        if not isinstance(request, IdentifyRequest):
            if clip is None:
                raise InvalidRequest("clip: a clip is required.")
            looked = self.engine.walkers(clip, on_progress=on_progress, deadline=deadline, **request.options)
            self.metrics.looked(looked)
            return 200, looked
        room = None
        if annotate is not None:
            room = self.engine.settings.annotated_bytes - self.engine.state.annotated_bytes()
        identified = self.engine.identify(
            clip,
            annotate=annotate,
            annotated_bytes=room,
            source=source,
            on_progress=on_progress,
            deadline=deadline,
            **complete(IdentifyOptions, request.options),
        )
        self.metrics.identified(identified)
        if self.webhooks:
            self.webhooks.identified(identified)
        return 200, identified

    def do_job(self, kind: str, clip: Path, fields: Mapping[str, Any], on_progress: Progress) -> tuple[int, ClipReply]:
        """As :meth:`do`, for a request that was stored as a job. Its annotated clip is written beside its clip. The
        pictures of a look are not part of the reply, because it is stored: they stay in memory, under the handle.
        """
        request = request_of(kind, fields)
        annotate = clip.with_suffix(".mp4") if request.needs_job else None
        status, reply = self.do(request, clip, on_progress, annotate=annotate, source=Source.JOB)
        return status, without_pictures(reply) if isinstance(reply, WalkersReply) else reply


def without_pictures(reply: WalkersReply) -> WalkersReply:
    """The reply to a look without thumbnails, strips and boxes."""
    bare = {"thumbnail": None, "strips": None, "trail": None}
    return reply.model_copy(update={"walkers": [walker.model_copy(update=bare) for walker in reply.walkers]})


def still_there(there: Callable[[str], bool], subjects: Iterable[str]) -> bool:
    """Whether all subjects still exist. If the store is unreachable, none can have been erased."""
    try:
        return all(there(subject) for subject in subjects)
    except StoreUnavailable:
        return True


def named(reply: Reply) -> list[str]:
    """The subjects that a reply names."""
    if isinstance(reply, EnrollReply):
        done = (reply, *reply.others)
        return [one.template.subject for one in done] + [one.warning.subject for one in done if one.warning]
    if isinstance(reply, IdentifyReply):
        return [candidate.subject for person in reply.people for candidate in person.candidates]
    if isinstance(reply, Merge):
        return [reply.subject, reply.other]
    return []


def outcome_of(reply: Reply) -> list[JobOutcome]:
    """What a reply says of each walker, in short."""
    if isinstance(reply, EnrollReply):
        made = [one.template for one in (reply, *reply.others)]
        return [JobOutcome(track=one.track, verdict=None, subject=one.subject) for one in made]
    if isinstance(reply, IdentifyReply):
        return [JobOutcome(track=one.track, verdict=one.verdict, subject=one.named) for one in reply.people]
    if isinstance(reply, WalkersReply):
        return [JobOutcome(track=one.track, verdict=None, subject=None) for one in reply.walkers]
    return []


def accused(error: GaitkeeperError) -> list[str]:
    """The enrolled subjects that an error names because the walker is, or resembles, them."""
    if not isinstance(error, (ClipOfOtherSubject, LooksLikeOtherSubject)):
        return []
    other: str = error.extra["subject"]
    # A subject of the same request, whose enrolment was undone, is not missing because it was erased.
    return [] if other in error.extra.get("undone", ()) else [other]
