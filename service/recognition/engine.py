"""The engine: one pipeline and the galleries of one store, in this process. It turns clips into replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.decision.reappearance import Walks
from gaitkeeper.gallery.errors import Conflict, PoorQuality
from gaitkeeper.gallery.names import check_camera, check_metadata, check_subject, enrolled_only
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.pipelines.device import require_device
from gaitkeeper.pipelines.errors import ClipError
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.errors import InvalidRequest, NotReady
from gaitkeeper.service.files import require_video_target
from gaitkeeper.service.options import ClipOptions, EnrollOptions, IdentifyOptions, VerifyOptions, complete, documented
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.administration import DEFAULT_COLLECTION, Administration
from gaitkeeper.service.recognition.annotation import draw_verdicts
from gaitkeeper.service.recognition.clip_walkers import ClipSource, Seen
from gaitkeeper.service.recognition.pictures import person_of
from gaitkeeper.service.recognition.remote_work import Elsewhere
from gaitkeeper.service.recognition.unknown_walkers import keep_unknown, walker_of
from gaitkeeper.service.recognition.walker_options import judged, require_quality
from gaitkeeper.service.schemas import ClipEnrolment, EnrollReply, IdentifyReply, LearnReply, VerifyReply
from gaitkeeper.service.settings import Settings


class Engine(Administration):
    """Implements the operations of the REST routes and the command line. Thread-safe.

    Args:
        settings: the service's settings. The store is opened at once, the models at the first clip or by :meth:`check`.
        elsewhere: processes clips, and computes and searches embeddings, remotely. By default this process does it.
        network_files: whether callers may name the file of a network.

    Raises:
        DeviceUnavailable: the settings ask for a GPU, and none is available.
        StoreUnavailable, UnknownStore, BadStore: the store cannot be used.
    """

    def __init__(self, settings: Settings, elsewhere: Elsewhere | None = None, *, network_files: bool = False) -> None:
        if elsewhere is None:
            require_device(settings.pipeline.device)
        self.pipeline = elsewhere.pipeline if elsewhere else Pipeline(settings.pipeline)
        super().__init__(settings, elsewhere, network_files=network_files)

    def close(self) -> None:
        """Close the store and the decoder."""
        self.pipeline.close()
        super().close()

    def see(
        self,
        clip: ClipSource,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        *,
        rotate: int | None = None,
        camera: str | None = None,
    ) -> Seen:
        """Run the pipeline on a clip; see :meth:`Seen.through`. By default pictures are rotated as the settings say for
        the camera.
        """
        return Seen.through(self.pipeline, clip, on_progress, deadline, self.settings.turn_of(camera, rotate))

    @documented(EnrollOptions)
    def enroll(
        self,
        clip: ClipSource,
        subject: str,
        *,
        more: Sequence[ClipSource] = (),
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[EnrollOptions],
    ) -> EnrollReply:
        """Enrol a clip's only walker, or the one of ``track`` or at ``point``, as ``subject``. Durable on return.

        With ``more`` clips of the same person, one walker in each, all clips are processed before the first is
        enrolled.

        Raises:
            LooksLikeOtherSubject: the walker matches another subject. Only if ``strict``.
            PoorQuality: the walker's quality is too low, or its mean joint score is lower than required.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            ClipError: a clip cannot be used, has several walkers and none was chosen, or lacks the chosen one. If there
                are several clips, ``clip`` is the number of this one, from 1.
            InvalidRequest: a track or point is given together with several clips.
            BadSubject, BadCollection, BadCamera, UnknownNetwork, FingerprintMismatch, ClipOfOtherSubject,
            StoreUnavailable: see the gallery.
        """
        options = complete(EnrollOptions, given)
        check_subject(subject)
        check_camera(options["camera"])
        if more and (options["track"] is not None or options["point"] is not None):
            raise InvalidRequest("`track` and `point` choose a walker of one clip: send one clip, or leave them out.")
        gallery = self.gallery(options["collection"], create=True, network=options["network"])
        found: list[tuple[Seen, GaitSequence]] = []
        for number, one in enumerate((clip, *more), start=1):
            try:
                found.append(self._one_walker(one, gallery, options, on_progress, deadline))
            except (ClipError, PoorQuality) as error:
                if more:
                    error.extra["clip"] = number
                raise
        replies = []
        for seen, walker in found:
            started = time.perf_counter()
            done = gallery.enrolment(
                subject, walker, clip_sha256=seen.sha256, strict=options["strict"], camera=options["camera"]
            )
            timings = _with(seen.result.timings, {"enroll": time.perf_counter() - started})
            replies.append(
                EnrollReply(
                    template=done.template, warning=done.warning, clip=seen.clip, skipped=seen.skipped, timings=timings
                )
            )
        first, *others = replies
        return first.model_copy(update={"others": [ClipEnrolment(**dict(other)) for other in others]})

    def _one_walker(
        self,
        clip: ClipSource,
        gallery: Gallery,
        options: EnrollOptions | VerifyOptions,
        on_progress: Progress | None,
        deadline: float | None,
    ) -> tuple[Seen, GaitSequence]:
        """What the pipeline finds in a clip, and the walker that the options choose."""
        camera = options["camera"]
        seen = self.see(clip, on_progress, deadline, rotate=options["rotate"], camera=camera)
        walker = walker_of(seen, gallery, options["track"], options["point"], camera)
        require_quality(walker, options["min_quality"])
        return seen, walker

    @documented(IdentifyOptions)
    def identify(
        self,
        clip: ClipSource,
        *,
        annotate: str | Path | None = None,
        annotated_bytes: int | None = None,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[IdentifyOptions],
    ) -> IdentifyReply:
        """Rank the collection's subjects for every walker of a clip.

        With ``annotate``, also write an MP4 file of the clip with boxes, names and verdicts, of at most
        ``annotated_bytes``.

        Raises:
            CannotWrite: the annotated clip cannot be written.
            TooLarge: the annotated clip would have more bytes.
            UnknownNetwork: no network has this name.
            ClipError: the clip cannot be used.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            NotFound, BadCollection, BadFpir, BadCamera, FingerprintMismatch, StoreUnavailable: see the gallery.
        """
        options = complete(IdentifyOptions, given)
        check_camera(options["camera"])
        check_metadata(options["where"])
        target = None if annotate is None else require_video_target(annotate, clip)
        gallery = self.gallery(options["collection"], network=options["network"]).for_one_request()
        check_rates(gallery, fpir=options["fpir"])
        seen = self.see(clip, on_progress, deadline, rotate=options["rotate"], camera=options["camera"])
        reply = self.identification(seen, gallery, **options)
        if not options["where"]:  # a walker who is unknown among some subjects may be known among all
            keep_unknown(gallery, seen.result.sequences, reply.people, seen.sha256, options["camera"])
        if target is not None:
            started = time.perf_counter()
            draw_verdicts(
                target,
                self.pipeline,
                clip,
                seen,
                reply,
                max_bytes=annotated_bytes,
                on_progress=on_progress,
                deadline=deadline,
            )
            timings = _with(reply.timings, {"annotate": time.perf_counter() - started})
            reply = reply.model_copy(update={"timings": timings})
        return reply

    @staticmethod
    def identification(seen: Seen, gallery: Gallery, **given: Unpack[IdentifyOptions]) -> IdentifyReply:
        """As :meth:`identify`, for a clip that is already processed."""
        options = complete(IdentifyOptions, given)
        found = gallery.identify_many(
            seen.result.sequences,
            top_k=options["top_k"],
            fpir=options["fpir"],
            where=options["where"],
            explained=options["explain"],
            camera=options["camera"],
            walks=Walks(seen.result.spans),
        )
        people = [
            person_of(
                judged(one, options["min_quality"]),
                seen.result,
                gallery,
                pictures=options["pictures"],
                boxes=options["boxes"],
            )
            for one in found
        ]
        timings = _with(seen.result.timings, people[0].timings)
        return IdentifyReply(
            collection=gallery.name, people=people, clip=seen.clip, skipped=seen.skipped, timings=timings
        )

    @documented(ClipOptions)
    def learn(
        self,
        clip: ClipSource,
        camera: str,
        *,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[ClipOptions],
    ) -> LearnReply:
        """Keep the walkers of a clip as passers-by of a camera, without identifying them.

        Raises:
            Conflict: the collection does not keep passers-by.
            ClipError: the clip cannot be used.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            NotFound, BadCollection, BadCamera, FingerprintMismatch, StoreUnavailable: see the gallery.
        """
        options = complete(ClipOptions, given)
        check_camera(camera)
        gallery = self.gallery(options["collection"])
        if gallery.passers_by.keep_seconds is None:
            raise Conflict(f"The collection {gallery.name!r} keeps no passers-by: set a time to keep them first.")
        seen = self.see(clip, on_progress, deadline, rotate=options["rotate"], camera=camera)
        started = time.perf_counter()
        kept = gallery.learn(seen.result.sequences, camera)
        return LearnReply(
            collection=gallery.name,
            camera=camera,
            walkers=len(seen.result.sequences),
            kept=kept,
            clip=seen.clip,
            skipped=seen.skipped,
            timings=_with(seen.result.timings, {"learn": time.perf_counter() - started}),
        )

    @documented(VerifyOptions)
    def verify(
        self,
        clip: ClipSource,
        subject: str,
        *,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[VerifyOptions],
    ) -> VerifyReply:
        """Verify that a clip's only walker, or the one of ``track`` or at ``point``, is ``subject``.

        Raises:
            PoorQuality: the walker's mean joint score is lower than required.
            UnknownNetwork: no network has this name.
            ClipError: the clip cannot be used, has several walkers and none was chosen, or lacks the chosen one.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            NotFound, BadCollection, BadSubject, BadFmr, BadCamera, FingerprintMismatch, StoreUnavailable: see the
                gallery.
        """
        options = complete(VerifyOptions, given)
        check_camera(options["camera"])
        gallery = self.gallery(options["collection"], network=options["network"])
        check_rates(gallery, fmr=options["fmr"])
        gallery.subject(subject)
        seen, walker = self._one_walker(clip, gallery, options, on_progress, deadline)
        person = gallery.verify(subject, walker, options["fmr"], options["camera"])
        timings = _with(seen.result.timings, person.timings)
        return VerifyReply(person=person, clip=seen.clip, skipped=seen.skipped, timings=timings)

    def check(self, wanted: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Test every part: the decoder on a clip, the person models on a picture, the network on a sequence, and the
        store by writing and reading. Also verify the index of every collection against the store.

        Args:
            wanted: called after each part. If it raises, the test ends.

        Returns:
            Seconds by part.

        Raises:
            GaitkeeperError: the error of the first part that does not work.
        """
        laps = [time.perf_counter()]

        def lap() -> None:
            laps.append(time.perf_counter())
            wanted()

        self.pipeline.decoder.probe(canary.clip())
        lap()
        perception = self.pipeline.tried(canary.picture())
        lap()
        gallery = self.gallery(DEFAULT_COLLECTION)
        gallery.embed([canary.sequence(perception)], gallery.network)
        lap()
        self.store.ping()
        lap()
        behind = [
            known.name for known in enrolled_only(self.store.collections()) if not self.gallery(known.name).ready()
        ]
        if behind:
            raise NotReady(f"The search index is behind the store in {', '.join(behind)}.")
        lap()
        parts = ("decoder", "perception", "network", "store", "index")
        return {name: laps[i + 1] - laps[i] for i, name in enumerate(parts)}


def _with(timings: dict[str, float], more: dict[str, float]) -> dict[str, float]:
    """Add stages to the timings, and add their time to the total, which stays last."""
    stages = {stage: seconds for stage, seconds in timings.items() if stage != "total"}
    return {**stages, **more, "total": timings["total"] + sum(more.values())}
