"""Clips in, replies out: one pipeline and the galleries of one store, in this process."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from gallery import Gallery, open_store
from gallery.errors import Conflict, FingerprintMismatch, NotFound, PoorQuality
from gallery.names import check_camera, check_collection, check_metadata, check_subject, enrolled_only
from gallery.strangers import Strangers
from gallery.verdict import check_fmr, check_fpir
from models import GaitNetwork
from pipelines.embed import embed
from pipelines.errors import ClipError, MultiplePeople, TrackNotFound
from pipelines.pipeline import ClipResult, Pipeline
from pipelines.sequence import GaitSequence
from service import canary
from service.access import require_collection
from service.choosing import is_at, judged, network_named, point_of, require_quality
from service.errors import InvalidRequest, NotReady
from service.pictures import person_of, strips
from service.returning import keep_unknown
from service.schemas import (
    CamerasReply,
    Clip,
    ClipEnrolment,
    Collection,
    CollectionsReply,
    EnrollReply,
    Erasure,
    IdentifyReply,
    NamedReply,
    Removal,
    Skipped,
    StrangersReply,
    Strips,
    SubjectReply,
    SubjectsReply,
    TemplatesReply,
    TrackChoice,
    VerifyReply,
)
from service.settings import Settings
from service.state import State

DEFAULT_COLLECTION = "default"

ClipSource = str | Path | IO[bytes]
Progress = Callable[[str, float], None]
"""Told a stage and the share of it that is done, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the pipeline saw in a clip, and the digest of the clip's bytes."""

    result: ClipResult
    sha256: str

    @classmethod
    def through(
        cls,
        pipeline: Pipeline,
        clip: ClipSource,
        on_progress: Progress | None = None,
        deadline: float | None = None,
    ) -> Seen:
        """Run a pipeline on a clip.

        Args:
            pipeline: what looks.
            clip: path, or a binary file that can seek; it is read from its start and left open.
            on_progress: told the stage and how much of it is done.
            deadline: instant of ``time.monotonic`` at which to give up.

        Raises:
            ClipError: the clip cannot be used; see :mod:`pipelines.errors`.
            DeadlineExceeded: the work was not done by then.
        """
        tell = on_progress or _silent
        with Path(clip).open("rb") if isinstance(clip, (str, Path)) else nullcontext(clip) as file:
            file.seek(0)
            sha256 = sha256_of(file)
            return cls(pipeline.process(file, lambda share: tell("looking at the clip", share), deadline), sha256)

    @property
    def clip(self) -> Clip:
        """Digest, size and length."""
        return Clip(sha256=self.sha256, **asdict(self.result.clip))

    @property
    def skipped(self) -> list[Skipped]:
        """People who were followed but did not become a sequence."""
        return [Skipped.model_validate(tracklet) for tracklet in self.result.skipped]

    def walker(self, track: int | None, point: str | None = None) -> GaitSequence:
        """The sequence of ``track``, of whoever is at ``point``, or of the only walker.

        Args:
            track: number of the walker.
            point: as :func:`service.choosing.point_of` reads it, of the upright picture.

        Raises:
            MultiplePeople: there are several and none was chosen, or several are at that point; ``tracks`` lists them.
            TrackNotFound: none has that number, or nobody is there.
        """
        walkers = {sequence.track: sequence for sequence in self.result.sequences}
        if point is not None:
            chosen = [sequence for sequence in walkers.values() if is_at(sequence, point_of(point))]
            if not chosen:
                raise TrackNotFound(f"No walker of the clip is at {point}.")
            if track is None and len(chosen) > 1:
                raise self._several(chosen)
            walkers = {sequence.track: sequence for sequence in chosen}
        if track is None and len(walkers) == 1:
            return next(iter(walkers.values()))
        if track is None:
            raise self._several(list(walkers.values()))
        if track not in walkers:
            known = ", ".join(map(str, walkers))
            raise TrackNotFound(f"No walker of the clip has track {track}; there is {known}.")
        return walkers[track]

    def _several(self, walkers: Sequence[GaitSequence]) -> MultiplePeople:
        known = {sequence.track for sequence in walkers}
        return MultiplePeople(
            f"{len(walkers)} people walk in the clip: name the `track` of the one to enrol.",
            tracks=[choice.model_dump() for choice in self.choices() if choice.track in known],
        )

    def choices(self, *, thumbnails: bool = True) -> list[TrackChoice]:
        """The walkers to choose from."""
        pictures = self.result.thumbnails if thumbnails else {}
        return [
            TrackChoice(
                track=sequence.track,
                start=float(sequence.timestamps[0]),
                end=float(sequence.timestamps[-1]),
                box=tuple(map(float, sequence.boxes[len(sequence) // 2])),
                quality=sequence.quality,
                thumbnail=base64.b64encode(pictures[sequence.track]).decode() if thumbnails else None,
            )
            for sequence in self.result.sequences
        ]


class Engine:
    """Does what the REST routes and the command line offer; safe under threads.

    Args:
        settings: what to open. The store is opened at once, the models at the first clip or by :meth:`check`.

    Raises:
        StoreUnavailable, UnknownStore, BadStore: the store cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pipeline = Pipeline(settings.pipeline)
        self.store = open_store(settings.store, settings.vault)
        self._state: State | None = None
        self._galleries: dict[str, Gallery] = {}
        self._networks: dict[str, GaitNetwork] = {}
        self._lock = threading.Lock()
        try:
            self.store.ensure_collection(DEFAULT_COLLECTION)
        except BaseException:
            self.store.close()
            raise

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store and of the decoder."""
        self.pipeline.close()
        self.store.close()
        if self._state is not None:
            self._state.close()

    @property
    def state(self) -> State:
        """What the service itself remembers; opened when first asked for. Raises StoreUnavailable."""
        with self._lock:
            if self._state is None:
                self._state = State(self.settings.state_path)
            return self._state

    def gallery(self, collection: str, *, create: bool = False, network: str | None = None) -> Gallery:
        """The gallery of a collection.

        Args:
            collection: its name.
            create: make it where there is none.
            network: name of the network that it must be pinned to, or, if ``create``, will be.

        Raises:
            NotFound: there is no such collection, and it was not to be made.
            BadCollection: no collection can have this name.
            Forbidden: whoever is asking may not act on it.
            UnknownNetwork: there is no network of that name.
            FingerprintMismatch: the collection is pinned to another.
        """
        require_collection(collection)
        wanted = None if network is None else self._network(network)
        with self._lock:
            if collection not in self._galleries:
                check_collection(collection)
                found = self.store.ensure_collection(collection) if create else self.store.collection(collection)
                self._galleries[found.name] = self._opened(collection, self.settings.network)
            gallery = self._galleries[collection]
            if wanted is None:
                return gallery
            pinned = gallery.collection.fingerprint
            if pinned is None and create:
                gallery = self._galleries[collection] = self._opened(collection, network)
        if pinned is not None and (pinned.network, pinned.weights) != (wanted.name, wanted.weights_id):
            asked = replace(pinned, network=wanted.name, weights=wanted.weights_id)
            raise FingerprintMismatch.between(collection, pinned, asked)
        return gallery

    def _opened(self, collection: str, network: str | None) -> Gallery:
        # A collection that holds something stays with the network that it holds embeddings of.
        return Gallery(self.store, collection, fallback=network, precision=self.settings.precision)

    def _network(self, name: str) -> GaitNetwork:
        with self._lock:
            if name not in self._networks:
                self._networks[name] = network_named(name)
            return self._networks[name]

    def see(self, clip: ClipSource, on_progress: Progress | None = None, deadline: float | None = None) -> Seen:
        """Run the pipeline on a clip; see :meth:`Seen.through`."""
        return Seen.through(self.pipeline, clip, on_progress, deadline)

    def enroll(
        self,
        clip: ClipSource,
        subject: str,
        *,
        more: Sequence[ClipSource] = (),
        track: int | None = None,
        point: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        strict: bool = False,
        camera: str | None = None,
        min_quality: float = 0.0,
        network: str | None = None,
        on_progress: Progress | None = None,
        deadline: float | None = None,
    ) -> EnrollReply:
        """Enrol a clip's one walker, or the one of ``track`` or at ``point``, as ``subject``; durable on return.

        With ``more`` clips of the same person, one walker in each, all are looked at before the first is enrolled.

        Raises:
            LooksLikeOtherSubject: only if ``strict``: the walker matches somebody else.
            PoorQuality: the walker is seen too poorly, or more poorly than ``min_quality``.
            DeadlineExceeded: the clip was not looked at by ``deadline``, an instant of ``time.monotonic``.
            ClipError: a clip cannot be used, has several walkers and none was chosen, or not the chosen one; where
                there are several clips, ``clip`` counts them from 1.
            InvalidRequest: there are several clips, and a track or point.
            BadSubject, BadCollection, BadCamera, UnknownNetwork, FingerprintMismatch, ClipOfOtherSubject,
            StoreUnavailable: see the gallery.
        """
        check_subject(subject)
        check_camera(camera)
        if more and (track is not None or point is not None):
            raise InvalidRequest("With several clips nobody can be chosen by `track` or `point`: send one at a time.")
        gallery = self.gallery(collection, create=True, network=network)
        found: list[tuple[Seen, GaitSequence]] = []
        for number, one in enumerate((clip, *more), start=1):
            try:
                seen = self.see(one, on_progress, deadline)
                walker = seen.walker(track, point)
                require_quality(walker, min_quality)
            except (ClipError, PoorQuality) as error:
                if more:
                    error.extra["clip"] = number
                raise
            found.append((seen, walker))
        replies = []
        for seen, walker in found:
            started = time.perf_counter()
            done = gallery.enrolment(subject, walker, clip_sha256=seen.sha256, strict=strict, camera=camera)
            timings = _with(seen.result.timings, {"enroll": time.perf_counter() - started})
            replies.append(
                EnrollReply(
                    template=done.template, warning=done.warning, clip=seen.clip, skipped=seen.skipped, timings=timings
                )
            )
        first, *others = replies
        return first.model_copy(update={"others": [ClipEnrolment(**dict(other)) for other in others]})

    def identify(
        self,
        clip: ClipSource,
        *,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        pictures: bool = False,
        boxes: bool = False,
        explain: bool = False,
        camera: str | None = None,
        min_quality: float = 0.0,
        network: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        on_progress: Progress | None = None,
        deadline: float | None = None,
    ) -> IdentifyReply:
        """Rank the collection's subjects, those with the metadata ``where`` alone, for every walker of a clip.

        ``pictures``, ``boxes`` and ``explain`` ask for more about each walker; see :class:`service.schemas.Person`.
        Whoever has a lower mean joint score than ``min_quality`` is inconclusive. ``network`` is the one that the
        collection must be pinned to.

        Raises:
            UnknownNetwork: there is no network of that name.
            ClipError: the clip cannot be used.
            DeadlineExceeded: the clip was not looked at by ``deadline``, an instant of ``time.monotonic``.
            NotFound, BadCollection, BadFpir, BadCamera, FingerprintMismatch, StoreUnavailable: see the gallery.
        """
        check_fpir(fpir)
        check_camera(camera)
        check_metadata(where)
        gallery = self.gallery(collection, network=network)
        reply = self.identification(
            seen := self.see(clip, on_progress, deadline),
            gallery,
            top_k=top_k,
            fpir=fpir,
            where=where,
            pictures=pictures,
            boxes=boxes,
            explain=explain,
            camera=camera,
            min_quality=min_quality,
        )
        if not where:  # whoever is not among some may well be among all
            keep_unknown(gallery, seen.result.sequences, reply.people, seen.sha256, camera)
        return reply

    @staticmethod
    def identification(
        seen: Seen,
        gallery: Gallery,
        *,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        pictures: bool = False,
        boxes: bool = False,
        explain: bool = False,
        camera: str | None = None,
        min_quality: float = 0.0,
    ) -> IdentifyReply:
        """As :meth:`identify`, of a clip that was looked at before."""
        found = gallery.identify_many(
            seen.result.sequences, top_k=top_k, fpir=fpir, where=where, explained=explain, camera=camera
        )
        people = [
            person_of(judged(one, min_quality), seen.result, gallery, pictures=pictures, boxes=boxes) for one in found
        ]
        timings = _with(seen.result.timings, people[0].timings)
        return IdentifyReply(
            collection=gallery.name, people=people, clip=seen.clip, skipped=seen.skipped, timings=timings
        )

    def verify(
        self,
        clip: ClipSource,
        subject: str,
        *,
        track: int | None = None,
        point: str | None = None,
        fmr: float = 0.001,
        camera: str | None = None,
        min_quality: float = 0.0,
        network: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        on_progress: Progress | None = None,
        deadline: float | None = None,
    ) -> VerifyReply:
        """Whether a clip's one walker, or the one of ``track`` or at ``point``, is ``subject``.

        ``min_quality`` and ``network`` are as of :meth:`identify`, but that a poor walk raises.

        Raises:
            PoorQuality: the walker has a lower mean joint score than ``min_quality``.
            UnknownNetwork: there is no network of that name.
            ClipError: the clip cannot be used, has several walkers and none was chosen, or not the chosen one.
            DeadlineExceeded: the clip was not looked at by ``deadline``, an instant of ``time.monotonic``.
            NotFound, BadCollection, BadSubject, BadFmr, BadCamera, FingerprintMismatch, StoreUnavailable: see the
                gallery.
        """
        check_fmr(fmr)
        check_camera(camera)
        gallery = self.gallery(collection, network=network)
        gallery.subject(subject)
        seen = self.see(clip, on_progress, deadline)
        walker = seen.walker(track, point)
        require_quality(walker, min_quality)
        person = gallery.verify(subject, walker, fmr, camera)
        timings = _with(seen.result.timings, person.timings)
        return VerifyReply(person=person, clip=seen.clip, skipped=seen.skipped, timings=timings)

    def subjects(
        self, *, collection: str = DEFAULT_COLLECTION, limit: int | None = None, after: str | None = None
    ) -> SubjectsReply:
        """The subjects of a collection by id, all or a page. Raises NotFound where there is no such collection."""
        listed = [s for s in self.gallery(collection).subjects() if after is None or s.id > after]
        page = listed[:limit]
        return SubjectsReply(
            collection=collection, subjects=page, next=page[-1].id if len(page) < len(listed) else None
        )

    def has(self, collection: str, subject: str) -> bool:
        """Whether somebody of that id is enrolled."""
        try:
            self.gallery(collection).subject(subject)
        except NotFound:
            return False
        return True

    def subject(self, subject: str, *, collection: str = DEFAULT_COLLECTION) -> SubjectReply:
        """One subject, its templates, and which of these are outliers. Raises NotFound."""
        gallery = self.gallery(collection)
        return SubjectReply(
            subject=gallery.subject(subject),
            templates=gallery.templates(subject),
            outliers=gallery.outliers(subject),
        )

    def update_subject(
        self,
        subject: str,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        legal_basis: str | None = None,
        collection: str = DEFAULT_COLLECTION,
    ) -> SubjectReply:
        """Change a subject's display name, metadata or legal basis. Raises NotFound, BadSubject."""
        self.gallery(collection).update_subject(
            subject, display_name=display_name, metadata=metadata, legal_basis=legal_basis
        )
        return self.subject(subject, collection=collection)

    def template_pictures(self, subject: str, template: str, *, collection: str = DEFAULT_COLLECTION) -> Strips:
        """A template's walk, to look at. Raises NotFound."""
        gallery = self.gallery(collection)
        self._require_template(gallery, subject, template)
        return strips(gallery.sequence(template))

    @staticmethod
    def _require_template(gallery: Gallery, subject: str, template: str) -> None:
        if template not in {known.id for known in gallery.templates(subject)}:
            raise NotFound(f"The subject {subject!r} has no template {template!r}.", template=template)

    def delete_template(self, subject: str, template: str, *, collection: str = DEFAULT_COLLECTION) -> Removal:
        """Remove one template of a subject. Raises NotFound."""
        gallery = self.gallery(collection)
        self._require_template(gallery, subject, template)
        removed = gallery.delete_template(template)
        self.forget(collection, subject)
        return removed

    def templates(
        self,
        subject: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        limit: int | None = None,
        after: str | None = None,
    ) -> TemplatesReply:
        """A subject's templates, all or a page; none after a template that is gone. Raises NotFound."""
        found = self.gallery(collection).templates(subject)
        ids = [template.id for template in found]
        start = 0 if after is None else ids.index(after) + 1 if after in ids else len(ids)
        page = found[start:][:limit]
        more = start + len(page) < len(found)
        return TemplatesReply(
            collection=collection, subject=subject, templates=page, next=page[-1].id if more and page else None
        )

    def collections(self, *, limit: int | None = None, after: str | None = None) -> CollectionsReply:
        """The collections by name, all or a page."""
        listed = [c for c in enrolled_only(self.store.collections()) if after is None or c.name > after]
        page = listed[:limit]
        return CollectionsReply(collections=page, next=page[-1].name if len(page) < len(listed) else None)

    def collection(self, collection: str) -> Collection:
        """One collection. Raises NotFound, BadCollection."""
        return self.gallery(collection).collection

    def cameras(self, collection: str) -> CamerasReply:
        """What a collection knows of cameras. Raises NotFound where there is no such collection."""
        return CamerasReply(collection=collection, views=self.gallery(collection).cameras())

    def forget_camera(self, collection: str, camera: str) -> CamerasReply:
        """Forget what a collection knows of a camera; what it knows of others. Raises NotFound, BadCamera."""
        self.gallery(collection).forget_camera(camera)
        return self.cameras(collection)

    def create_collection(
        self, collection: str, *, keeps_heatmaps: bool = False, ttl_seconds: float | None = None
    ) -> Collection:
        """Make a collection.

        Raises:
            BadCollection: no collection can have this name.
            Conflict: there is one.
        """
        require_collection(check_collection(collection))
        if any(known.name == collection for known in self.store.collections()):
            raise Conflict(f"There is a collection {collection!r} already.", collection=collection)
        return self.store.ensure_collection(collection, keeps_heatmaps=keeps_heatmaps, ttl_seconds=ttl_seconds)

    def delete_collection(self, collection: str) -> Removal:
        """Remove a collection with everything in it; the default one is made anew. Raises NotFound, BadCollection."""
        gallery = self.gallery(collection)
        Strangers(gallery).keep(None)
        removed = self.store.delete_collection(gallery.name)
        with self._lock:
            self._galleries.pop(collection, None)
        if collection == DEFAULT_COLLECTION:
            self.store.ensure_collection(collection)
        self.forget(collection)
        return removed

    def strangers(self, *, collection: str = DEFAULT_COLLECTION) -> StrangersReply:
        """Those whom the collection did not know, grouped. Raises NotFound where there is no such collection."""
        kept = Strangers(self.gallery(collection))
        return StrangersReply(collection=collection, keep_seconds=kept.keep_seconds, groups=kept.groups())

    def keep_strangers(self, keep_seconds: float | None, *, collection: str = DEFAULT_COLLECTION) -> StrangersReply:
        """Keep those who are unknown from now on, for so long; None keeps nobody, and forgets all. Raises NotFound."""
        Strangers(self.gallery(collection)).keep(keep_seconds)
        return self.strangers(collection=collection)

    def name_strangers(
        self, group: str, subject: str, *, display_name: str | None = None, collection: str = DEFAULT_COLLECTION
    ) -> NamedReply:
        """Enrol a group of strangers as one subject. Raises as :meth:`gallery.strangers.Strangers.name`."""
        templates = Strangers(self.gallery(collection)).name(group, subject, display_name)
        return NamedReply(collection=collection, subject=templates[0].subject, templates=templates)

    def forget_strangers(self, group: str | None = None, *, collection: str = DEFAULT_COLLECTION) -> Removal:
        """Forget a group of strangers, or all of them. Raises NotFound."""
        return Strangers(self.gallery(collection)).forget(group)

    def stranger_pictures(self, stranger: str, *, collection: str = DEFAULT_COLLECTION) -> Strips:
        """A stranger's walk, to look at. Raises NotFound."""
        return strips(Strangers(self.gallery(collection)).sequence(stranger))

    def erase(self, subject: str, *, collection: str = DEFAULT_COLLECTION) -> Erasure:
        """Remove a subject with everything kept of it. Raises NotFound."""
        erased = self.gallery(collection).erase(subject)
        self.forget(collection, subject)
        return erased

    def forget(self, collection: str, subject: str | None = None) -> None:
        """Drop kept replies that name a subject, or all of a collection; to be called once it is erased."""
        if self.settings.state_path.exists():
            self.state.forget(collection, subject)

    def check(self) -> dict[str, float]:
        """Try every part: decoder on a clip, person models on a picture, network on a sequence, store both ways; and
        have the index of every collection proven equal to the store.

        Returns:
            Seconds by part.

        Raises:
            GaitkeeperError: of the first part that does not work.
        """
        laps = [time.perf_counter()]
        self.pipeline.decoder.probe(canary.clip())
        laps.append(time.perf_counter())
        perception = self.pipeline.perception
        perception.watch().see(canary.picture(), 0.0)
        laps.append(time.perf_counter())
        embed([canary.sequence(perception.name)], self.gallery(DEFAULT_COLLECTION).network)
        laps.append(time.perf_counter())
        self.store.ping()
        laps.append(time.perf_counter())
        behind = [
            known.name for known in enrolled_only(self.store.collections()) if not self.gallery(known.name).ready()
        ]
        if behind:
            raise NotReady(f"What is searched is not yet what is stored in {', '.join(behind)}.")
        laps.append(time.perf_counter())
        parts = ("decoder", "perception", "network", "store", "index")
        return {name: laps[i + 1] - laps[i] for i, name in enumerate(parts)}


def _with(timings: dict[str, float], more: dict[str, float]) -> dict[str, float]:
    """Further stages, and at the end the total grown by them."""
    stages = {stage: seconds for stage, seconds in timings.items() if stage != "total"}
    return {**stages, **more, "total": timings["total"] + sum(more.values())}


def sha256_of(file: IO[bytes]) -> str:
    """Digest of a file from where it stands, lower-case hexadecimal."""
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def _silent(stage: str, share: float) -> None:
    """Progress that nobody wants to know."""
