"""The gallery: enrol walkers, identify them, forget them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

import models
from gallery.calibration import Calibration, load_calibrations, shipped_calibrations
from gallery.errors import BadEmbedding, FingerprintMismatch, LooksLikeOtherSubject
from gallery.index import CollectionIndex
from gallery.names import check_collection, check_display_name, check_legal_basis, check_metadata, check_subject
from gallery.networks import network_of
from gallery.search import Hit
from gallery.store import Embedding, NewSubject, NewTemplate, Store
from gallery.stores import open_store
from gallery.types import (
    Collection,
    Enrolment,
    Erasure,
    Identification,
    Outlier,
    Reason,
    Removal,
    Subject,
    Template,
    Verdict,
    Verification,
)
from gallery.verdict import (
    MIN_RATE_HZ,
    QualityGates,
    candidates_of,
    check_fmr,
    check_fpir,
    compare,
    decide,
    match_threshold_of,
    outliers,
    resemblance,
    threshold_of,
)
from models import GaitNetwork
from models.distance import part_distances
from pipelines.embed import embed
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.sequence import GaitSequence

T = TypeVar("T")

DEFAULT_NETWORK = "gaitpart"
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    ) -> None:
        self.store = store
        self.name = store.collection(collection).name
        self._wanted = network
        self._calibrations = shipped_calibrations() if calibrations is None else calibrations
        self._gates = gates or QualityGates()
        self._device = device
        self._fallback = fallback
        self._network = network if isinstance(network, GaitNetwork) else None
        self._index = CollectionIndex(store, collection, device, precision)

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
            UnknownStore, BadStore, StoreUnavailable: as :func:`gallery.stores.open_store`.
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
        if self._network is None:
            self._network = self._load()
        return self._network

    def _load(self) -> GaitNetwork:
        if isinstance(self._wanted, GaitNetwork):
            return self._wanted
        if self._wanted is not None:
            return models.load(self._wanted).to(self._device)
        pinned = self.collection.fingerprint
        known = () if self._fallback is None else (self._fallback,)
        network = models.load(self._fallback or DEFAULT_NETWORK) if pinned is None else network_of(pinned, known)
        return network.to(self._device)

    def _following(self, act: Callable[[GaitNetwork], T]) -> T:
        """What ``act`` gives with the collection's network; done again where the collection moved in the meantime."""
        while True:
            network = self.network
            try:
                return act(network)
            except FingerprintMismatch:
                if self._wanted is not None:
                    raise
                fresh = self._load()
                if (fresh.name, fresh.weights_id) == (network.name, network.weights_id):
                    raise
                self._network = fresh

    @property
    def collection(self) -> Collection:
        """The collection as it stands."""
        return self.store.collection(self.name)

    def collections(self) -> list[Collection]:
        """All collections of the store, by name."""
        return self.store.collections()

    def enroll(
        self,
        subject: str,
        seq: GaitSequence,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        clip_sha256: str | None = None,
        strict: bool = False,
    ) -> Template:
        """Enrol a walker. On return the enrolment is durable and every process that shares the store finds it.

        The first enrolment pins an empty collection to the fingerprint. Enrolling the same track of the same clip for
        the same subject again gives the template that is there, with ``duplicate`` set.

        Args:
            subject: id, 1 to 128 characters without control characters and slashes; made where it is new.
            seq: the walker.
            display_name, metadata: of the subject; None leaves what is stored.
            clip_sha256: hexadecimal digest of the clip's bytes, by which repeated enrolments are told.
            strict: refuse a walker who matches another subject at the strictest calibrated rate.

        Raises:
            BadSubject: the subject's id, name or metadata cannot be stored.
            TooShort, PoorQuality: too few frames, or seen too poorly.
            FingerprintMismatch: the collection is pinned to another fingerprint.
            ClipOfOtherSubject: the same track of the same clip is enrolled as someone else.
            LooksLikeOtherSubject: only if ``strict``.
            HeatmapsMissing, BadEmbedding, StoreUnavailable, NotFound: as they say.
        """
        return self.enrolment(
            subject, seq, display_name=display_name, metadata=metadata, clip_sha256=clip_sha256, strict=strict
        ).template

    def enrolment(
        self,
        subject: str,
        seq: GaitSequence,
        *,
        display_name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        clip_sha256: str | None = None,
        strict: bool = False,
    ) -> Enrolment:
        """As :meth:`enroll`, with a warning where the walker matches another subject."""
        new_subject = NewSubject(check_subject(subject), display_name, metadata)
        check_display_name(display_name)
        check_metadata(metadata)
        if clip_sha256 is not None and not _SHA256.fullmatch(clip_sha256):
            raise ValueError("clip_sha256 is 64 lower-case hexadecimal digits.")
        return self._following(lambda network: self._enroll(network, new_subject, seq, clip_sha256, strict))

    def _enroll(
        self, network: GaitNetwork, subject: NewSubject, seq: GaitSequence, clip_sha256: str | None, strict: bool
    ) -> Enrolment:
        collection = self.collection
        fingerprint = fingerprint_of(network, seq.perception)
        if collection.fingerprint not in (None, fingerprint):
            raise FingerprintMismatch.between(self.name, collection.fingerprint, fingerprint)
        calibration = self._calibrations.get(fingerprint)
        self._gates.check_enrolment(seq, MIN_RATE_HZ if calibration is None else calibration.min_rate_hz)
        embedding = self._embed(network, [seq])
        warning = None
        if calibration is not None:
            (hits,), size = self._index.search(fingerprint, embedding, 2)
            warning = resemblance(hits, subject.id, size, calibration)
        if warning is not None and strict:
            raise LooksLikeOtherSubject(warning.detail, **warning.model_dump(mode="json", exclude={"code", "detail"}))
        kept = seq if collection.keeps_heatmaps else seq.without_heatmaps()
        template = NewTemplate(
            fingerprint=fingerprint,
            embedding=embedding[0].numpy(),
            sequence=kept.to_bytes(),
            has_heatmaps=kept.heatmaps is not None,
            quality=seq.quality,
            track=seq.track,
            start=float(seq.timestamps[0]),
            end=float(seq.timestamps[-1]),
            clip_sha256=clip_sha256,
        )
        return Enrolment(template=self.store.enroll(self.name, subject, template), warning=warning)

    def identify(
        self, seq: GaitSequence, top_k: int = 5, fpir: float = 0.01, where: Mapping[str, str] | None = None
    ) -> Identification:
        """Who a walker is; see :meth:`identify_many`."""
        return self.identify_many([seq], top_k, fpir, where)[0]

    def identify_many(
        self,
        seqs: Sequence[GaitSequence],
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
    ) -> list[Identification]:
        """Who each of several walkers is, embedded and searched together.

        Args:
            seqs: the probes, of one fingerprint.
            top_k: most candidates for each, at least 1.
            fpir: the false-positive identification rate that a match may have, one that is calibrated.
            where: metadata that a subject must have to be a candidate, as in ``{"site": "north"}``; the templates of
                such subjects alone are searched, and count as the gallery's size.

        Raises:
            FingerprintMismatch: a probe's fingerprint is not the collection's.
            BadFpir: not a rate, or not one that the calibration covers.
            BadSubject: ``where`` is no metadata that a subject can have.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: as they say.
        """
        check_fpir(fpir)
        check_metadata(where)
        if top_k < 1:
            raise ValueError("top_k is at least 1.")
        by_perception: dict[str, list[int]] = {}
        for i, seq in enumerate(seqs):
            by_perception.setdefault(seq.perception, []).append(i)
        out: dict[int, Identification] = {}
        for indices in by_perception.values():
            some = [seqs[i] for i in indices]
            found = self._following(partial(self._identify, seqs=some, top_k=top_k, fpir=fpir, where=where))
            out.update(zip(indices, found, strict=True))
        return [out[i] for i in range(len(seqs))]

    def _identify(
        self,
        network: GaitNetwork,
        seqs: Sequence[GaitSequence],
        top_k: int,
        fpir: float,
        where: Mapping[str, str] | None,
    ) -> list[Identification]:
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seqs[0].perception)
        with_frames = [i for i, seq in enumerate(seqs) if len(seq)]
        probes = self._embed(network, [seqs[i] for i in with_frames])
        embedded = time.perf_counter()
        found, size = self._index.search(fingerprint, probes, top_k, where)
        hits: dict[int, list[Hit]] = dict(zip(with_frames, found, strict=True))
        timings = {"embed": embedded - began, "search": time.perf_counter() - embedded}
        calibration = self._calibrations.get(fingerprint)
        threshold = threshold_of(fpir, size, calibration)
        replies = []
        for i, seq in enumerate(seqs):
            verdict, reason = decide(seq, hits.get(i, []), threshold, calibration, self._gates)
            reply = Identification(
                verdict=verdict,
                reason=reason,
                candidates=candidates_of(hits.get(i, []), calibration),
                threshold=threshold,
                timings=timings,
                **self._about(seq, fingerprint),
            )
            replies.append(reply)
        return replies

    def verify(self, subject: str, seq: GaitSequence, fmr: float = 0.001) -> Verification:
        """Whether a walker is the subject that is claimed, told from this subject's templates alone.

        Args:
            subject: who it is said to be.
            seq: the probe.
            fmr: the false match rate that a match may have, one that is calibrated.

        Raises:
            NotFound: nobody of that id is enrolled.
            BadFmr: not a rate, or not one that the calibration covers.
            FingerprintMismatch: the probe's fingerprint is not the collection's.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: as they say.
        """
        check_fmr(fmr)
        return self._following(partial(self._verify, subject=self.subject(subject).id, seq=seq, fmr=fmr))

    def _verify(self, network: GaitNetwork, subject: str, seq: GaitSequence, fmr: float) -> Verification:
        began = time.perf_counter()
        fingerprint = fingerprint_of(network, seq.perception)
        probe = self._embed(network, [seq])[0] if len(seq) else None
        embedded = time.perf_counter()
        hit = None if probe is None else self._index.nearest_of(subject, fingerprint, probe)
        timings = {"embed": embedded - began, "search": time.perf_counter() - embedded}
        calibration = self._calibrations.get(fingerprint)
        threshold = match_threshold_of(fmr, calibration)
        distance = None if hit is None else hit.distance
        verdict, reason = compare(seq, distance, threshold.value, calibration, self._gates)
        if probe is not None and hit is None:
            verdict, reason = Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY
        return Verification(
            verdict=verdict,
            reason=reason,
            subject=subject,
            distance=distance,
            confidence=None if hit is None or calibration is None else calibration.confidence.at(hit.distance),
            template=None if hit is None else hit.template,
            threshold=threshold,
            timings=timings,
            **self._about(seq, fingerprint),
        )

    def _about(self, seq: GaitSequence, fingerprint: Fingerprint) -> dict[str, Any]:
        """What every answer says of its probe."""
        return {
            "collection": self.name,
            "fingerprint": fingerprint,
            "trained": fingerprint.trained,
            "track": seq.track,
            "start": float(seq.timestamps[0]) if len(seq) else 0.0,
            "end": float(seq.timestamps[-1]) if len(seq) else 0.0,
            "quality": seq.quality,
        }

    def outliers(self, subject: str) -> list[Outlier]:
        """Templates of a subject that may be of somebody else; see :func:`gallery.verdict.outliers`.

        Raises:
            NotFound: nobody of that id is enrolled.
        """
        ids = [template.id for template in self.templates(subject)]
        fingerprint = self.collection.fingerprint
        if len(ids) < 2 or fingerprint is None:
            return []
        embeddings = torch.from_numpy(np.stack([self.embedding(template) for template in ids]))
        found, size = self._index.search(fingerprint, embeddings, 2)
        others = [next((hit for hit in hits if hit.subject != check_subject(subject)), None) for hits in found]
        calibration = self._calibrations.get(fingerprint)
        threshold = None if calibration is None else calibration.threshold(calibration.loosest, size).value
        return outliers(ids, part_distances(embeddings, embeddings), others, threshold)

    @staticmethod
    def _embed(network: GaitNetwork, seqs: Sequence[GaitSequence]) -> Tensor:
        embeddings = embed(seqs, network)
        if not torch.isfinite(embeddings).all():
            raise BadEmbedding(f"The network {network.name!r} gave an embedding that is not finite.")
        return embeddings

    def subjects(self) -> list[Subject]:
        """All subjects, by id."""
        return self.store.subjects(self.name)

    def subject(self, subject: str) -> Subject:
        """One subject. Raises NotFound."""
        return self.store.subject(self.name, check_subject(subject))

    def templates(self, subject: str) -> list[Template]:
        """A subject's templates in the order of their enrolment. Raises NotFound for an unknown subject."""
        return self.store.templates(self.name, check_subject(subject))

    def embedding(self, template: str) -> Embedding:
        """A template's embedding, float32 (P, C), by the template's id. Raises NotFound."""
        return self.store.embedding(self.name, template)

    def sequence(self, template: str) -> GaitSequence:
        """The gait sequence that a template was made from, by the template's id. Raises NotFound."""
        return GaitSequence.load(self.store.sequence(self.name, template))

    def erase(self, subject: str) -> Erasure:
        """Forget a subject: its templates, embeddings and sequences. Raises NotFound."""
        return self.store.erase(self.name, check_subject(subject))

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
        new = NewSubject(check_subject(subject), display_name, metadata, legal_basis)
        return self.store.update_subject(self.name, new)

    def delete_template(self, template: str) -> Removal:
        """Remove one template, by its id; its subject stays. Raises NotFound."""
        return self.store.delete_template(self.name, template)

    def ready(self) -> bool:
        """Whether what is searched here has been proven equal to what the store holds, by number and digest."""
        return self._index.ready()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
