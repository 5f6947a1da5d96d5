"""The gallery: enrol walkers, identify them, forget them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

import models
from gallery.calibration import Calibration, load_calibrations, shipped_calibrations
from gallery.errors import BadEmbedding, FingerprintMismatch
from gallery.index import CollectionIndex
from gallery.names import check_collection, check_display_name, check_metadata, check_subject
from gallery.search import Hit
from gallery.store import Embedding, NewSubject, NewTemplate, Store
from gallery.stores import open_store
from gallery.types import Collection, Erasure, Identification, Subject, Template
from gallery.verdict import QualityGates, candidates_of, check_fpir, decide, threshold_of
from models import GaitNetwork
from pipelines.embed import embed
from pipelines.fingerprint import Fingerprint, fingerprint_of
from pipelines.sequence import GaitSequence

DEFAULT_NETWORK = "gei"
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
            the gait energy image where it is empty. Names are loaded when first needed.
        calibrations: by fingerprint, those that ship by default; without one of its fingerprint a collection gives no
            verdict but inconclusive.
        gates: what a sequence must have to be enrolled or told by.
        device: where embeddings are searched, and where a network that is loaded here runs; a GPU that is not there is
            an error.

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
    ) -> None:
        self.store = store
        self.name = store.collection(collection).name
        self._wanted = network
        self._calibrations = shipped_calibrations() if calibrations is None else calibrations
        self._gates = gates or QualityGates()
        self._device = device
        self._index = CollectionIndex(store, collection, device)

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
            device: as of the class.

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
            return cls(store, collection, network, calibrations=calibrations, gates=gates, device=device)
        except BaseException:
            store.close()
            raise

    @cached_property
    def network(self) -> GaitNetwork:
        """The network that embeds for this collection."""
        if isinstance(self._wanted, GaitNetwork):
            return self._wanted
        if self._wanted is None:
            pinned = self.collection.fingerprint
            return models.load(DEFAULT_NETWORK if pinned is None else pinned.network).to(self._device)
        return models.load(self._wanted).to(self._device)

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
    ) -> Template:
        """Enrol a walker. On return the enrolment is durable and every process that shares the store finds it.

        The first enrolment pins an empty collection to the fingerprint. Enrolling the same track of the same clip for
        the same subject again gives the template that is there, with ``duplicate`` set.

        Args:
            subject: id, 1 to 128 characters without control characters and slashes; made where it is new.
            seq: the walker.
            display_name, metadata: of the subject; None leaves what is stored.
            clip_sha256: hexadecimal digest of the clip's bytes, by which repeated enrolments are told.

        Raises:
            BadSubject: the subject's id, name or metadata cannot be stored.
            TooShort: too few frames.
            FingerprintMismatch: the collection is pinned to another fingerprint.
            ClipOfOtherSubject: the same track of the same clip is enrolled as someone else.
            HeatmapsMissing, BadEmbedding, StoreUnavailable, NotFound: as they say.
        """
        new_subject = NewSubject(check_subject(subject), display_name, metadata)
        check_display_name(display_name)
        check_metadata(metadata)
        if clip_sha256 is not None and not _SHA256.fullmatch(clip_sha256):
            raise ValueError("clip_sha256 is 64 lower-case hexadecimal digits.")
        self._gates.check_enrolment(seq)
        collection = self.collection
        fingerprint = fingerprint_of(self.network, seq.perception)
        if collection.fingerprint not in (None, fingerprint):
            raise FingerprintMismatch.between(self.name, collection.fingerprint, fingerprint)
        kept = seq if collection.keeps_heatmaps else seq.without_heatmaps()
        template = NewTemplate(
            fingerprint=fingerprint,
            embedding=self._embed([seq])[0].numpy(),
            sequence=kept.to_bytes(),
            has_heatmaps=kept.heatmaps is not None,
            quality=seq.quality,
            track=seq.track,
            start=float(seq.timestamps[0]),
            end=float(seq.timestamps[-1]),
            clip_sha256=clip_sha256,
        )
        return self.store.enroll(self.name, new_subject, template)

    def identify(self, seq: GaitSequence, top_k: int = 5, fpir: float = 0.01) -> Identification:
        """Who a walker is; see :meth:`identify_many`."""
        return self.identify_many([seq], top_k, fpir)[0]

    def identify_many(self, seqs: Sequence[GaitSequence], top_k: int = 5, fpir: float = 0.01) -> list[Identification]:
        """Who each of several walkers is, embedded and searched together.

        Args:
            seqs: the probes, of one fingerprint.
            top_k: most candidates for each, at least 1.
            fpir: the false-positive identification rate that a match may have, one that is calibrated.

        Raises:
            FingerprintMismatch: a probe's fingerprint is not the collection's.
            BadFpir: not a rate, or not one that the calibration covers.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: as they say.
        """
        check_fpir(fpir)
        if top_k < 1:
            raise ValueError("top_k is at least 1.")
        by_perception: dict[str, list[int]] = {}
        for i, seq in enumerate(seqs):
            by_perception.setdefault(seq.perception, []).append(i)
        out: dict[int, Identification] = {}
        for perception, indices in by_perception.items():
            fingerprint = fingerprint_of(self.network, perception)
            some = [seqs[i] for i in indices]
            out.update(zip(indices, self._identify(some, fingerprint, top_k, fpir), strict=True))
        return [out[i] for i in range(len(seqs))]

    def _identify(
        self, seqs: Sequence[GaitSequence], fingerprint: Fingerprint, top_k: int, fpir: float
    ) -> list[Identification]:
        began = time.perf_counter()
        with_frames = [i for i, seq in enumerate(seqs) if len(seq)]
        probes = self._embed([seqs[i] for i in with_frames])
        embedded = time.perf_counter()
        found, size = self._index.search(fingerprint, probes, top_k)
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
                collection=self.name,
                fingerprint=fingerprint,
                trained=fingerprint.trained,
                track=seq.track,
                start=float(seq.timestamps[0]) if len(seq) else 0.0,
                end=float(seq.timestamps[-1]) if len(seq) else 0.0,
                quality=seq.quality,
                timings=timings,
            )
            replies.append(reply)
        return replies

    def _embed(self, seqs: Sequence[GaitSequence]) -> Tensor:
        embeddings = embed(seqs, self.network)
        if not torch.isfinite(embeddings).all():
            raise BadEmbedding(f"The network {self.network.name!r} gave an embedding that is not finite.")
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

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
