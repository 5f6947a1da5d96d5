"""The gallery: enrol walkers, identify them, forget them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

from torch import Tensor

from gallery.answers import Answers, view_of
from gallery.decision.calibration import Calibration, load_calibrations, shipped_calibrations
from gallery.decision.reappearance import Walks
from gallery.decision.verdict import QualityGates, check_fmr, check_fpir
from gallery.errors import FingerprintMismatch, LooksLikeOtherSubject, NotFound, Overtaken
from gallery.names import (
    check_camera,
    check_collection,
    check_display_name,
    check_legal_basis,
    check_metadata,
    check_subject,
    enrolled_only,
    known_subject,
)
from gallery.passers import PassersBy
from gallery.pinned import Embed, PinnedNetwork, embedded
from gallery.search.index import CollectionIndex, Index
from gallery.stores.open import open_store
from gallery.stores.protocol import Embedding, NewSubject, NewTemplate, Store
from gallery.types import (
    Action,
    Collection,
    Enrolment,
    Erasure,
    Identification,
    Outlier,
    Removal,
    Subject,
    Template,
    Verification,
    ViewStatistics,
)
from gallery.views import Corrections, View
from models import GaitNetwork
from pipelines.embed import embed
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.sequence import GaitSequence

_SHA256 = re.compile(r"[0-9a-f]{64}")


class EnrolOptions(TypedDict, total=False):
    """What may be said of an enrolment.

    Attributes:
        display_name, metadata: of the subject; None leaves what is stored.
        clip_sha256: hexadecimal digest of the clip's bytes, by which repeated enrolments are told.
        strict: refuse a walker who matches another subject at the strictest calibrated rate.
        camera: name of the camera that saw the walker; see :mod:`gallery.views`.
    """

    display_name: str | None
    metadata: Mapping[str, str] | None
    clip_sha256: str | None
    strict: bool
    camera: str | None


class Gallery:
    """One collection of a store, with the network that embeds for it. Safe under threads.

    >>> with Gallery.open("sqlite:///gallery.db") as gallery:
    ...     gallery.enroll("alice", sequence)
    ...     gallery.identify(probe).candidates[0]

    Args:
        store: closed with the gallery.
        collection: name of a collection of the store.
        network: a network, a name or path for ``models.load``, or None for the one that the collection is pinned to,
            also after it has moved to another. Names are loaded when first needed.
        calibrations: by fingerprint, those that ship by default; without one of its fingerprint a collection gives no
            verdict but inconclusive.
        gates: what a sequence must have to be enrolled or told by.
        device: where embeddings are searched, and where a network that is loaded here runs; a GPU that is not there is
            an error.
        fallback: name or path of the network of a collection that is empty, where ``network`` is None; also looked at
            when a collection's network is looked for.
        precision: in which embeddings are searched, "float32", "float16" or "bfloat16".
        index: what searches the collection, where that is not done here: with a device and precision of its own.
        embed: what embeds sequences, where that is not done here.

    Raises:
        NotFound: the store has no such collection.
    """

    def __init__(
        self,
        store: Store,
        collection: str = "default",
        network: GaitNetwork | str | Path | None = None,
        *,
        calibrations: Mapping[Fingerprint, Calibration] | None = None,
        gates: QualityGates | None = None,
        device: str = "cpu",
        fallback: str | Path | None = None,
        precision: str = "float32",
        index: Index | None = None,
        embed: Embed = embed,
    ) -> None:
        self.store = store
        self.embed = embed
        self.name = store.collection(collection).name
        self._pinned = PinnedNetwork(store, self.name, network, device, fallback)
        self.passers_by = PassersBy(store, self.name)
        self._answers = Answers(
            self.name,
            index or CollectionIndex(store, collection, device, precision),
            self.passers_by,
            shipped_calibrations() if calibrations is None else calibrations,
            gates or QualityGates(),
            embed,
        )

    @classmethod
    def open(
        cls,
        url: str,
        collection: str = "default",
        network: GaitNetwork | str | Path | None = None,
        *,
        create: bool = True,
        keeps_heatmaps: bool = False,
        calibrations: Mapping[Fingerprint, Calibration] | str | Path | None = None,
        gates: QualityGates | None = None,
        device: str = "cpu",
        fallback: str | Path | None = None,
        precision: str = "float32",
    ) -> Self:
        """The gallery at ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Args:
            url: where the store is.
            collection: name of the collection.
            network: as of the class.
            create: make the collection where there is none of that name.
            keeps_heatmaps: of a collection that is made: whether it keeps the joint heatmaps of enrolled sequences,
                about 0.3 MB a second, which a move to a network that reads them needs.
            calibrations: by fingerprint, or the file that holds them; by default those that ship.
            gates: as of the class.
            device, fallback, precision: as of the class.

        Raises:
            NotFound: there is no such collection and ``create`` is False.
            UnknownStore, BadStore, StoreUnavailable: as :func:`gallery.stores.open.open_store`.
            BadCollection, BadCalibration: the name or the file cannot be used.
        """
        if isinstance(calibrations, str | Path):
            calibrations = load_calibrations(calibrations)
        check_collection(collection)
        store = open_store(url)
        try:
            if create:
                store.ensure_collection(collection, keeps_heatmaps=keeps_heatmaps)
            return cls(
                store,
                collection,
                network,
                calibrations=calibrations,
                gates=gates,
                device=device,
                fallback=fallback,
                precision=precision,
            )
        except BaseException:
            store.close()
            raise

    @property
    def network(self) -> GaitNetwork:
        """The network that embeds for this collection."""
        return self._pinned.network

    @property
    def collection(self) -> Collection:
        """The collection as it stands."""
        return self.store.collection(self.name)

    def calibration(self, fingerprint: Fingerprint) -> Calibration | None:
        """What distances mean under a fingerprint, where that was measured."""
        return self._answers.calibrations.get(fingerprint)

    def collections(self) -> list[Collection]:
        """All collections of the store, by name."""
        return enrolled_only(self.store.collections())

    def enroll(self, subject: str, seq: GaitSequence, **options: Unpack[EnrolOptions]) -> Template:
        """Enrol a walker. On return the enrolment is durable and every process that shares the store finds it.

        The first enrolment pins an empty collection to the fingerprint. Enrolling the same track of the same clip for
        the same subject again gives the template that is there, with ``duplicate`` set.

        Args:
            subject: id, 1 to 128 characters without control characters and slashes; made where it is new.
            seq: the walker.
            options: see :class:`EnrolOptions`.

        Raises:
            BadSubject, BadCamera: the subject's id, name or metadata, or the camera's name, cannot be stored.
            TooShort, PoorQuality: too few frames, or seen too poorly.
            FingerprintMismatch: the collection is pinned to another fingerprint.
            ClipOfOtherSubject: the same track of the same clip is enrolled as someone else.
            LooksLikeOtherSubject: only if ``strict``.
            HeatmapsMissing, BadEmbedding, StoreUnavailable, NotFound: as they say.
        """
        return self.enrolment(subject, seq, **options).template

    def enrolment(self, subject: str, seq: GaitSequence, **options: Unpack[EnrolOptions]) -> Enrolment:
        """As :meth:`enroll`, with a warning where the walker matches another subject."""
        display_name, metadata = options.get("display_name"), options.get("metadata")
        check_display_name(display_name)
        check_metadata(metadata)
        new = NewSubject(check_subject(subject), display_name, metadata)
        clip, strict, camera = options.get("clip_sha256"), options.get("strict", False), options.get("camera")
        check_camera(camera)
        if clip is not None and not _SHA256.fullmatch(clip):
            raise ValueError("clip_sha256 is 64 lower-case hexadecimal digits.")
        view = view_of(seq, camera)
        return self._pinned.following(lambda network: self._enroll(network, new, seq, clip, strict, view))

    def _enroll(
        self,
        network: GaitNetwork,
        subject: NewSubject,
        seq: GaitSequence,
        clip_sha256: str | None,
        strict: bool,
        view: View | None,
    ) -> Enrolment:
        collection = self.collection
        fingerprint = fingerprint_of(network, seq.perception)
        if collection.fingerprint not in (None, fingerprint):
            raise FingerprintMismatch.between(self.name, collection.fingerprint, fingerprint)
        self._answers.check_enrolment(seq, fingerprint)
        embedding = embedded(network, [seq], self.embed)[0]
        template = NewTemplate.of(
            seq, fingerprint, embedding, heatmaps=collection.keeps_heatmaps, view=view, clip_sha256=clip_sha256
        )
        while True:
            warning, seen = self._answers.resemblance(subject.id, fingerprint, embedding, view)
            if warning is not None and strict:
                about = warning.model_dump(mode="json", exclude={"code", "detail"})
                raise LooksLikeOtherSubject(warning.detail, **about)
            try:
                enrolled = self.store.enroll(self.name, subject, template, seen if strict else None)
            except Overtaken:
                continue  # whoever came in the meantime may be the one whom this walker looks like
            self._answers.learn(network, seq, view, embedding)
            return Enrolment(template=enrolled, warning=warning)

    def identify(
        self,
        seq: GaitSequence,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        explained: bool = False,
        camera: str | None = None,
    ) -> Identification:
        """Who a walker is; see :meth:`identify_many`."""
        return self.identify_many([seq], top_k, fpir, where, explained, camera)[0]

    def identify_many(
        self,
        seqs: Sequence[GaitSequence],
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        explained: bool = False,
        camera: str | None = None,
        learn: bool = True,
        walks: Walks | None = None,
    ) -> list[Identification]:
        """Who each of several walkers is, embedded and searched together.

        Args:
            seqs: the probes, of one fingerprint.
            top_k: most candidates for each, at least 1.
            fpir: the false-positive identification rate that a match may have, one that is calibrated.
            where: metadata that a subject must have to be a candidate, as in ``{"site": "north"}``; the templates of
                such subjects alone are searched, and count as the gallery's size.
            explained: say of the first candidates part by part how far they are; see :mod:`gallery.decision.explain`.
            camera: name of the camera that saw the probes; what the collection knows of it is taken off; see
                :mod:`gallery.views`.
            learn: let the probes add to that, where the collection keeps passers-by; see :mod:`gallery.passers`.
            walks: of the clip or stream that the probes are of; then answers say who was in it before.

        Raises:
            FingerprintMismatch: a probe's fingerprint is not the collection's.
            BadCamera: a name that cannot be stored.
            BadFpir: not a rate, or not one that the calibration covers.
            BadSubject: ``where`` is no metadata that a subject can have.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: as they say.
        """
        check_fpir(fpir)
        check_metadata(where)
        check_camera(camera)
        if top_k < 1:
            raise ValueError("top_k is at least 1.")
        by_perception: dict[str, list[int]] = {}
        for i, seq in enumerate(seqs):
            by_perception.setdefault(seq.perception, []).append(i)
        out: dict[int, Identification] = {}
        for indices in by_perception.values():
            some = [seqs[i] for i in indices]
            answer = partial(
                self._answers.identify,
                seqs=some,
                top_k=top_k,
                fpir=fpir,
                where=where,
                explained=explained,
                camera=camera,
                learn=learn,
                walks=walks,
            )
            found = self._pinned.following(answer)
            out.update(zip(indices, found, strict=True))
        return [out[i] for i in range(len(seqs))]

    def verify(self, subject: str, seq: GaitSequence, fmr: float = 0.001, camera: str | None = None) -> Verification:
        """Whether a walker is the subject that is claimed, told from this subject's templates alone.

        Args:
            subject: who it is said to be.
            seq: the probe.
            fmr: the false match rate that a match may have, one that is calibrated.
            camera: as of :meth:`identify_many`; a claim adds nothing to what is known of it.

        Raises:
            NotFound: nobody of that id is enrolled.
            BadFmr: not a rate, or not one that the calibration covers.
            FingerprintMismatch: the probe's fingerprint is not the collection's.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: as they say.
        """
        check_fmr(fmr)
        check_camera(camera)
        claimed = self.subject(subject).id
        return self._pinned.following(partial(self._answers.verify, subject=claimed, seq=seq, fmr=fmr, camera=camera))

    def learn(self, seqs: Sequence[GaitSequence], camera: str) -> int:
        """Take walkers into account for what is known of a camera, without asking who they are.

        Returns:
            How many were kept: none where the collection keeps no passers-by, and not those who are seen too poorly,
            whose heading cannot be told, or who are like one that is there.

        Raises:
            BadCamera: a name that cannot be stored.
            FingerprintMismatch: a walker's fingerprint is not the collection's.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: as they say.
        """
        check_camera(camera)
        if self.passers_by.keep_seconds is None:
            return 0
        seen = [(seq, view_of(seq, camera)) for seq in seqs if len(seq)]
        return self._pinned.following(lambda network: self._learn(network, seen))

    def _learn(self, network: GaitNetwork, seen: Sequence[tuple[GaitSequence, View | None]]) -> int:
        pinned = self.collection.fingerprint
        for seq, _ in seen:
            if pinned not in (None, fingerprint := fingerprint_of(network, seq.perception)):
                raise FingerprintMismatch.between(self.name, pinned, fingerprint)
        return self._answers.learn_all(network, seen) if seen else 0

    def outliers(self, subject: str) -> list[Outlier]:
        """Templates of a subject that may be of somebody else; see :func:`gallery.decision.verdict.outliers`.

        Raises:
            NotFound: nobody of that id is enrolled.
        """
        owner = known_subject(subject)
        ids = [template.id for template in self.templates(owner)]
        fingerprint = self.collection.fingerprint
        if len(ids) < 2 or fingerprint is None:
            return []
        return self._answers.outliers(owner, fingerprint, ids)

    def corrections(self, fingerprint: Fingerprint) -> Corrections:
        """What is taken off embeddings before they are compared, by view; see :mod:`gallery.views`."""
        return self.passers_by.corrections(fingerprint)

    def keep_passers_by(self, keep_seconds: float | None) -> Removal:
        """Keep who passes a camera from now on, for so many seconds; None keeps nothing, and forgets all."""
        removed = self.passers_by.keep(keep_seconds)
        self.store.note(self.name, Action.KEEP_PASSERS_BY)
        return removed

    def alike_within(self, fingerprint: Fingerprint, embeddings: Tensor) -> float | None:
        """The distance up to which two of n walks, not enrolled, are taken for one person's; see
        :mod:`gallery.decision.units`.

        Args:
            fingerprint: of the embeddings, which may have moved on from the collection's.
            embeddings: (n, P, C), less what is known of their views.

        Returns:
            None without a calibration.
        """
        corrections, count = self.corrections(fingerprint), len(embeddings)
        return self._answers.alike_within(fingerprint, embeddings, [None] * count, corrections, count, count)

    def cameras(self) -> list[ViewStatistics]:
        """What the collection knows of the cameras that were named to it."""
        return self.passers_by.listed(self.collection.fingerprint)

    def forget_camera(self, camera: str) -> int:
        """Forget what is known of a camera, as when it was moved; the number of views that were known.

        Raises:
            NotFound: nothing is known of it.
            BadCamera: it is no camera's name.
        """
        check_camera(camera)
        gone = self.passers_by.forget(camera)
        if not gone:
            raise NotFound(f"The collection {self.name!r} knows nothing of a camera {camera!r}.", camera=camera)
        self.store.note(self.name, Action.FORGET_CAMERA)
        return gone

    def subjects(self) -> list[Subject]:
        """All subjects, by id."""
        return self.store.subjects(self.name)

    def subject(self, subject: str) -> Subject:
        """One subject. Raises NotFound."""
        return self.store.subject(self.name, known_subject(subject))

    def templates(self, subject: str) -> list[Template]:
        """A subject's templates in the order of their enrolment. Raises NotFound for an unknown subject."""
        return self.store.templates(self.name, known_subject(subject))

    def embedding(self, template: str) -> Embedding:
        """A template's embedding, float32 (P, C), by the template's id. Raises NotFound."""
        return self.store.embedding(self.name, template)

    def sequence(self, template: str) -> GaitSequence:
        """The gait sequence that a template was made from, by the template's id. Raises NotFound."""
        return GaitSequence.load(self.store.sequence(self.name, template))

    def erase(self, subject: str) -> Erasure:
        """Forget a subject: its templates, embeddings and sequences, and the passers-by who are like one of them.

        Passers-by have no names: those of the subject are known by the distance alone, and who is farther than the
        strictest calibrated rate allows is kept until it expires, or its camera is forgotten.

        Raises:
            NotFound: nobody of that id is enrolled.
        """
        owner, collection = known_subject(subject), self.collection
        templates = [template.id for template in self.templates(owner)]
        gone = 0
        if collection.fingerprint is not None:
            alike = self._answers.passers_like(collection.fingerprint, templates, collection.templates)
            gone = self.passers_by.erase(alike).templates
        return self.store.erase(self.name, owner).model_copy(update={"passers_by": gone})

    def update_subject(
        self,
        subject: str,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        legal_basis: str | None = None,
    ) -> Subject:
        """Change a subject's display name, metadata or legal basis; None leaves what is stored.

        Raises:
            NotFound: nobody of that id is enrolled.
            BadSubject: one of them cannot be stored.
        """
        check_display_name(display_name)
        check_metadata(metadata)
        check_legal_basis(legal_basis)
        new = NewSubject(known_subject(subject), display_name, metadata, legal_basis)
        return self.store.update_subject(self.name, new)

    def delete_template(self, template: str) -> Removal:
        """Remove one template, by its id; its subject stays. Raises NotFound."""
        return self.store.delete_template(self.name, template)

    def ready(self) -> bool:
        """Whether what is searched here has been proven equal to what the store holds, by number and digest."""
        return self._answers.index.ready()

    def close(self) -> None:
        """Close the store, and answer from memory no more."""
        self._answers.index.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
