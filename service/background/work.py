"""Processes a clip request, at once or as a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gaitkeeper.gallery.errors import ClipOfOtherSubject, LooksLikeOtherSubject, StoreUnavailable
from gaitkeeper.gallery.names import check_camera, check_metadata, check_subject
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.gallery.types import Verdict
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.background.requests import ClipRequest, EnrollRequest, request_of
from gaitkeeper.service.background.webhooks import Webhooks
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.options import IdentifyOptions, complete
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition.clip_walkers import ClipSource, OpenClip
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.recognition.walker_options import point_of
from gaitkeeper.service.schemas import EnrollReply, IdentifyReply, JobOutcome, JobReply

Reply = EnrollReply | IdentifyReply | JobReply

SHORT_BYTES = 2 * 2**20
"""Clips below this size in bytes are not probed for their length: they are processed quickly anyway."""


class Work:
    """Runs enrolments and identifications, and counts them."""

    def __init__(self, engine: Engine, metrics: Metrics, webhooks: Webhooks | None = None) -> None:
        self.engine = engine
        self.metrics = metrics
        self.webhooks = webhooks

    def check(self, request: ClipRequest) -> None:
        """Check everything that does not depend on the clip's content. Raises as :meth:`do`."""
        options, enrolls = request.options, isinstance(request, EnrollRequest)
        check_camera(options["camera"])
        if isinstance(request, EnrollRequest):
            check_subject(request.subject)
            if request.options["point"] is not None:
                point_of(request.options["point"])
        else:
            check_metadata(request.options["where"])
        gallery = self.engine.gallery(options["collection"], create=enrolls, network=options["network"])
        if not isinstance(request, EnrollRequest):
            check_rates(gallery, fpir=request.options["fpir"])

    def is_long(self, clip: OpenClip, deadline: float) -> bool:
        """Whether a clip should become a job."""
        if clip.file.seek(0, 2) <= SHORT_BYTES:
            return False
        return clip.probe(self.engine.pipeline.decoder, deadline).duration > self.engine.settings.async_seconds

    def do(
        self,
        request: ClipRequest,
        clip: ClipSource,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        more: Sequence[ClipSource] = (),
        annotate: Path | None = None,
    ) -> tuple[int, EnrollReply | IdentifyReply]:
        """Process a clip; returns HTTP status and reply. ``more`` are further clips to enrol from, ``annotate`` is the
        path of the annotated clip to write. Raises as the engine's method.
        """
        if isinstance(request, EnrollRequest):
            enrolled = self.engine.enroll(
                clip, request.subject, more=more, on_progress=on_progress, deadline=deadline, **request.options
            )
            self.metrics.enrolled(enrolled)
            known = all(one.template.duplicate for one in (enrolled, *enrolled.others))
            return 200 if known else 201, enrolled
        identified = self.engine.identify(
            clip,
            annotate=annotate,
            annotated_bytes=self.engine.settings.annotated_bytes - self.engine.state.annotated_bytes(),
            on_progress=on_progress,
            deadline=deadline,
            **complete(IdentifyOptions, request.options),
        )
        self.metrics.identified(identified)
        if self.webhooks:
            self.webhooks.identified(identified)
        return 200, identified

    def do_job(
        self, kind: str, clip: Path, fields: Mapping[str, Any], on_progress: Progress
    ) -> tuple[int, EnrollReply | IdentifyReply]:
        """As :meth:`do`, for a request that was stored as a job. Its annotated clip is written beside its clip."""
        request = request_of(kind, fields)
        annotate = clip.with_suffix(".mp4") if request.needs_job else None
        return self.do(request, clip, on_progress, annotate=annotate)


def still_there(there: Callable[[str], bool], subjects: Iterable[str]) -> bool:
    """Whether all subjects still exist. If the store is unreachable, none can have been erased."""
    try:
        return all(there(subject) for subject in subjects)
    except StoreUnavailable:
        return True


def named(reply: Reply) -> list[str]:
    """The subjects that a reply names."""
    if isinstance(reply, EnrollReply):
        warnings = [one.warning.subject for one in (reply, *reply.others) if one.warning]
        return [reply.template.subject, *warnings]
    if isinstance(reply, IdentifyReply):
        return [candidate.subject for person in reply.people for candidate in person.candidates]
    return []


def outcome_of(reply: Reply) -> list[JobOutcome]:
    """What a reply says of each walker, in short."""
    if isinstance(reply, EnrollReply):
        made = [one.template for one in (reply, *reply.others)]
        return [JobOutcome(track=one.track, verdict=None, subject=one.subject) for one in made]
    if isinstance(reply, IdentifyReply):
        return [
            JobOutcome(
                track=one.track,
                verdict=one.verdict,
                subject=one.candidates[0].subject if one.verdict is Verdict.MATCH else None,
            )
            for one in reply.people
        ]
    return []


def accused(error: GaitkeeperError) -> list[str]:
    """The subjects that an error names because the walker is, or resembles, them."""
    return [error.extra["subject"]] if isinstance(error, (ClipOfOtherSubject, LooksLikeOtherSubject)) else []
