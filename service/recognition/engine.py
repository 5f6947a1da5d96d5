"""The engine: one pipeline and the galleries of one store, in this process. It turns clips into replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.decision.reappearance import Walks
from gaitkeeper.gallery.errors import Conflict, NotFound, PoorQuality
from gaitkeeper.gallery.names import check_camera, check_metadata, check_subject
from gaitkeeper.gallery.rates import check_rates
from gaitkeeper.gallery.types.sightings import Source
from gaitkeeper.pipelines.device import require_device
from gaitkeeper.pipelines.errors import ClipError
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.files import require_video_target
from gaitkeeper.service.options import (
    ClipOptions,
    EnrollOptions,
    IdentifyOptions,
    LookOptions,
    VerifyOptions,
    complete,
    documented,
)
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.annotation import draw_verdicts
from gaitkeeper.service.recognition.clip_walkers import ClipSource, Seen
from gaitkeeper.service.recognition.looks import check_named, enroll_several, walkers_reply, with_stages
from gaitkeeper.service.recognition.pairs import Pairs
from gaitkeeper.service.recognition.parsing.walker_options import check_names, check_source, judged, require_quality
from gaitkeeper.service.recognition.pictures import person_of
from gaitkeeper.service.recognition.remote_work import Elsewhere
from gaitkeeper.service.recognition.sightings.recording import keep_picture, keep_sightings
from gaitkeeper.service.recognition.unknown_walkers import keep_unknown, reappearing, walker_of
from gaitkeeper.service.schemas import (
    ClipEnrolment,
    EnrollReply,
    ErasedHandle,
    IdentifyReply,
    LearnReply,
    VerifyReply,
    WalkersReply,
)
from gaitkeeper.service.settings import Settings


class Engine(Pairs):
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
        return Seen.through(self.pipeline, clip, on_progress, deadline, self.settings.turn_of(camera, rotate), camera)

    def _seen(
        self,
        clip: ClipSource | None,
        options: EnrollOptions | IdentifyOptions | VerifyOptions,
        on_progress: Progress | None,
        deadline: float | None,
    ) -> Seen:
        """What the pipeline finds in a clip, or found in the one that a handle stands for. The camera of the request
        goes before that of the look.
        """
        if clip is not None:
            return self.see(clip, on_progress, deadline, rotate=options["rotate"], camera=options["camera"])
        seen = self.handles.look(options["handle"] or "").again()
        return replace(seen, camera=options["camera"] or seen.camera)

    @documented(LookOptions)
    def walkers(
        self,
        clip: ClipSource,
        *,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[LookOptions],
    ) -> WalkersReply:
        """Find the walkers of a clip, compare them with no one, and keep them for some minutes under a handle. The
        collection, in which they may be enrolled, need not exist yet.

        Raises:
            ClipError: the clip cannot be used.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            BadCollection, BadCamera, StoreUnavailable: see the gallery.
        """
        options = complete(LookOptions, given)
        check_camera(options["camera"])
        try:
            gallery = self.gallery(options["collection"])
        except NotFound:
            gallery = None
        seen = self.see(clip, on_progress, deadline, rotate=options["rotate"], camera=options["camera"])
        same = {} if gallery is None else reappearing(seen, gallery, options["camera"])
        shown = {"pictures": options["pictures"], "boxes": options["boxes"]}
        return self.handles.keep(seen, walkers_reply(seen, options["collection"], gallery, same, **shown))

    def show_walkers(self, handle: str) -> WalkersReply:
        """The reply to the look that gave a handle. Raises UnknownHandle."""
        return self.handles.look(handle).reply

    def erase_walkers(self, handle: str) -> ErasedHandle:
        """Erase the walkers that are kept under a handle. Raises UnknownHandle."""
        return self.handles.erase(handle)

    @documented(EnrollOptions)
    def enroll(
        self,
        clip: ClipSource | None = None,
        subject: str | None = None,
        *,
        more: Sequence[ClipSource] = (),
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[EnrollOptions],
    ) -> EnrollReply:
        """Enrol a clip's only walker, or the one of ``track`` or at ``point``, as ``subject``. Durable on return.

        With ``more`` clips of the same person, one walker in each, all clips are processed before the first is
        enrolled. With ``subjects``, several walkers of the clip are enrolled, all or none, see
        :func:`gaitkeeper.service.recognition.looks.enroll_several`. With a ``handle``, no clip is given or processed.

        Raises:
            UnknownHandle: nothing is kept for the caller under the handle.
            LooksLikeOtherSubject: the walker matches another subject. Only if ``strict``.
            PoorQuality: the walker's quality is too low, or its mean joint score is lower than required.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            ClipError: a clip cannot be used, has several walkers and none was chosen, or lacks the chosen one. If there
                are several clips, ``clip`` is the number of this one, from 1.
            InvalidRequest: the clip or its handle, or the subject or the subjects, are missing, or given in two ways.
            BadSubject, BadCollection, BadCamera, UnknownNetwork, FingerprintMismatch, ClipOfOtherSubject,
            StoreUnavailable: see the gallery.
        """
        options = complete(EnrollOptions, given)
        clips = () if clip is None else (clip, *more)
        check_source(bool(clips), options["handle"], options["rotate"])
        check_names(subject, options, len(clips))
        named = check_named(options["subjects"] or {})
        check_camera(options["camera"])
        if subject is not None:
            check_subject(subject)
        gallery = self.gallery(options["collection"], create=True, network=options["network"])
        if subject is None:
            seen = self._seen(clip, options, on_progress, deadline)
            return enroll_several(gallery, seen, named, seen.camera, options)
        found: list[tuple[Seen, GaitSequence]] = []
        for number, one in enumerate(clips or (None,), start=1):
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
                subject, walker, clip_sha256=seen.sha256, strict=options["strict"], camera=seen.camera
            )
            keep_picture(gallery, done.template.subject, seen, walker.track)
            timings = with_stages(seen.result.timings, {"enroll": time.perf_counter() - started})
            replies.append(
                EnrollReply(
                    template=done.template, warning=done.warning, clip=seen.clip, skipped=seen.skipped, timings=timings
                )
            )
        first, *others = replies
        return first.model_copy(update={"others": [ClipEnrolment(**dict(other)) for other in others]})

    def _one_walker(
        self,
        clip: ClipSource | None,
        gallery: Gallery,
        options: EnrollOptions | VerifyOptions,
        on_progress: Progress | None,
        deadline: float | None,
    ) -> tuple[Seen, GaitSequence]:
        """What the pipeline finds in a clip, and the walker that the options choose."""
        seen = self._seen(clip, options, on_progress, deadline)
        walker = walker_of(seen, gallery, options["track"], options["point"], seen.camera)
        require_quality(walker, options["min_quality"])
        return seen, walker

    @documented(IdentifyOptions)
    def identify(
        self,
        clip: ClipSource | None = None,
        *,
        annotate: str | Path | None = None,
        annotated_bytes: int | None = None,
        source: Source = Source.REQUEST,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[IdentifyOptions],
    ) -> IdentifyReply:
        """Rank the collection's subjects for every walker of a clip, or for the one of ``track`` or those at ``point``.
        With a ``handle``, no clip is given or processed.

        With ``annotate``, also write an MP4 file of the clip with boxes, names and verdicts, of at most
        ``annotated_bytes``. If the collection keeps sightings, each walker becomes one, from ``source``.

        Raises:
            UnknownHandle: nothing is kept for the caller under the handle.
            InvalidRequest: a clip and a handle are given, or neither; or ``annotate`` and a handle are.
            CannotWrite: the annotated clip cannot be written.
            TooLarge: the annotated clip would have more bytes.
            UnknownNetwork: no network has this name.
            ClipError: the clip cannot be used, or lacks the chosen walker.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            NotFound, BadCollection, BadFpir, BadCamera, FingerprintMismatch, StoreUnavailable: see the gallery.
        """
        options = complete(IdentifyOptions, given)
        check_source(clip is not None, options["handle"], options["rotate"], annotate=annotate is not None)
        check_camera(options["camera"])
        check_metadata(options["where"])
        target = None if annotate is None else require_video_target(annotate, clip)
        gallery = self.gallery(options["collection"], network=options["network"]).for_one_request()
        check_rates(gallery, fpir=options["fpir"])
        kept = None if options["handle"] is None else self.handles.look(options["handle"]).reply
        everybody = self._seen(clip, options, on_progress, deadline)
        seen = everybody.chosen(options["track"], options["point"])
        options["camera"] = seen.camera
        reply = self.identification(seen, gallery, **options)
        if not options["where"]:  # a walker who is unknown among some subjects may be known among all
            keep_unknown(gallery, seen.result.sequences, reply.people, seen.sha256, seen.camera)
        keep_sightings(gallery, seen, reply.people, source, options["where"])
        if target is not None and clip is not None:
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
            timings = with_stages(reply.timings, {"annotate": time.perf_counter() - started})
            reply = reply.model_copy(update={"timings": timings})
        if options["keep"] and kept is None:
            same = {person.track: person.same_as for person in reply.people}
            kept = self.handles.keep(everybody, walkers_reply(everybody, gallery.name, gallery, same))
        return reply if kept is None else reply.model_copy(update={"handle": kept.handle, "expires": kept.expires})

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
        timings = with_stages(seen.result.timings, people[0].timings)
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
            timings=with_stages(seen.result.timings, {"learn": time.perf_counter() - started}),
        )

    @documented(VerifyOptions)
    def verify(
        self,
        clip: ClipSource | None,
        subject: str,
        *,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        **given: Unpack[VerifyOptions],
    ) -> VerifyReply:
        """Verify that a clip's only walker, or the one of ``track`` or at ``point``, is ``subject``. With a ``handle``,
        the clip is None.

        Raises:
            UnknownHandle: nothing is kept for the caller under the handle.
            InvalidRequest: a clip and a handle are given, or neither.
            PoorQuality: the walker's mean joint score is lower than required.
            UnknownNetwork: no network has this name.
            ClipError: the clip cannot be used, has several walkers and none was chosen, or lacks the chosen one.
            DeadlineExceeded: the clip was not processed by ``deadline``, a time of ``time.monotonic``.
            NotFound, BadCollection, BadSubject, BadFmr, BadCamera, FingerprintMismatch, StoreUnavailable: see the
                gallery.
        """
        options = complete(VerifyOptions, given)
        check_source(clip is not None, options["handle"], options["rotate"])
        check_camera(options["camera"])
        gallery = self.gallery(options["collection"], network=options["network"])
        check_rates(gallery, fmr=options["fmr"])
        gallery.subject(subject)
        seen, walker = self._one_walker(clip, gallery, options, on_progress, deadline)
        person = gallery.verify(subject, walker, options["fmr"], seen.camera)
        timings = with_stages(seen.result.timings, person.timings)
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
        return canary.check_parts(self.pipeline, self, wanted)
