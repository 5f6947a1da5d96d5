"""The gallery: enrol, identify and erase walkers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, Unpack

import torch
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import Calibration, load_calibrations, shipped_calibrations
from gaitkeeper.gallery.decision.reappearance import Walks
from gaitkeeper.gallery.decision.verdict import QualityGates, check_fmr, check_fpir
from gaitkeeper.gallery.doubles import doubles
from gaitkeeper.gallery.enrolment import Enrolled, EnrolOptions, enrol
from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.identification.answers import Answers, view_of
from gaitkeeper.gallery.identification.passers import PassersBy
from gaitkeeper.gallery.looking_back import forget_sightings_of, look_back
from gaitkeeper.gallery.names import (
    check_camera,
    check_collection,
    check_display_name,
    check_metadata,
    check_subject,
    known_subject,
)
from gaitkeeper.gallery.networks import Embed, EmbedOnce, PinnedNetwork
from gaitkeeper.gallery.search.index import CollectionIndex, Index
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject, Store
from gaitkeeper.gallery.types import (
    Action,
    Enrolment,
    Erasure,
    Identification,
    Outlier,
    Removal,
    Template,
    Verification,
    ViewStatistics,
)
from gaitkeeper.gallery.types.pairs import Double
from gaitkeeper.gallery.types.sightings import MOST_SIGHTINGS, SeenWalk, Sighting
from gaitkeeper.gallery.views import Corrections
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.fingerprint import Fingerprint, fingerprint_of
from gaitkeeper.pipelines.sequence import GaitSequence

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Gallery(Enrolled):
    """One collection of a store, with the network that computes its embeddings. Thread-safe.

    >>> with Gallery.open("sqlite:///gallery.db") as gallery:
    ...     gallery.enroll("alice", sequence)
    ...     gallery.identify(probe).candidates[0]

    Args:
        store: the store. Closing the gallery closes it.
        collection: name of a collection of the store.
        network: a network, a name or path for ``models.load``, or None. None means the network that the collection is
            pinned to, also after a migration to another network. Names are loaded on first use.
        calibrations: calibrations by fingerprint; by default those that ship. Without a calibration for its fingerprint
            a collection only gives the verdict "inconclusive".
        gates: quality limits that a sequence must meet for enrolment and for identification.
        device: device for the search, and for a network that is loaded here. It is an error if the GPU is not
            available.
        fallback: name or path of the network for an empty collection if ``network`` is None. It is also tried when the
            network for a fingerprint is searched.
        precision: number format of the searched embeddings: "float32", "float16" or "bfloat16".
        index: index to use instead of a local one. It has its own device and precision.
        embed: function to compute embeddings with, instead of the local network.
        most_sightings: number of sightings to keep, if the collection keeps them; the oldest go first.

    Raises:
        NotFound: the collection does not exist.
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
        most_sightings: int = MOST_SIGHTINGS,
    ) -> None:
        super().__init__(store, collection)
        self.embed = embed
        self.most_sightings = most_sightings
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
        """Open the gallery at ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Args:
            url: URL of the store.
            collection: name of the collection.
            network: as of the class.
            create: create the collection if it does not exist.
            keeps_heatmaps: whether a new collection keeps the joint heatmaps of enrolled sequences, about 0.3 MB per
                second of walking. A migration to a network that reads heatmaps needs them.
            calibrations: calibrations by fingerprint, or the file that contains them; by default those that ship.
            gates: as of the class.
            device, fallback, precision: as of the class.

        Raises:
            NotFound: the collection does not exist and ``create`` is False.
            UnknownStore, BadStore, StoreUnavailable: as :func:`gaitkeeper.gallery.stores.open.open_store`.
            BadCollection, BadCalibration: the name is invalid, or the file cannot be read.
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

    def for_one_request(self) -> Self:
        """This gallery, but each walker is embedded once, however many operations of a request need the embedding."""
        own = copy(self)
        own.embed = EmbedOnce(self.embed)
        own._answers = replace(self._answers, embed=own.embed)
        return own

    @property
    def network(self) -> GaitNetwork:
        """The network that computes this collection's embeddings."""
        return self._pinned.network

    def calibration(self, fingerprint: Fingerprint) -> Calibration | None:
        """The calibration of a fingerprint, if there is one."""
        return self._answers.calibrations.get(fingerprint)

    def calibration_of(self, network: str, weights: str) -> Calibration | None:
        """The calibration of a network with these weights, whatever the perception, if there is one."""
        found = self._answers.calibrations.items()
        return next((one for of, one in found if (of.network, of.weights) == (network, weights)), None)

    def enroll(self, subject: str, seq: GaitSequence, **options: Unpack[EnrolOptions]) -> Template:
        """Enrol a walker. On return the enrolment is durable and visible to all processes that share the store.

        The first enrolment pins an empty collection to the fingerprint. Enrolling the same track of the same clip for
        the same subject again returns the existing template, with ``duplicate`` set.

        Args:
            subject: id, 1 to 128 characters without control characters and slashes. A new subject is created.
            seq: the walker.
            options: see :class:`EnrolOptions`.

        Raises:
            BadSubject, BadCamera: the subject's id, name or metadata, or the camera's name, is invalid.
            TooShort, PoorQuality: the sequence has too few frames, or its quality is too low.
            FingerprintMismatch: the collection is pinned to another fingerprint.
            ClipOfOtherSubject: the same track of the same clip is enrolled as another subject.
            LooksLikeOtherSubject: only if ``strict``.
            HeatmapsMissing, BadEmbedding, StoreUnavailable, NotFound: see :mod:`gaitkeeper.gallery.errors`.
        """
        return self.enrolment(subject, seq, **options).template

    def enrolment(self, subject: str, seq: GaitSequence, **options: Unpack[EnrolOptions]) -> Enrolment:
        """As :meth:`enroll`, with a warning if the walker matches another subject."""
        display_name, metadata = options.get("display_name"), options.get("metadata")
        check_display_name(display_name)
        check_metadata(metadata)
        new = NewSubject(check_subject(subject), display_name, metadata)
        clip, strict, camera = options.get("clip_sha256"), options.get("strict", False), options.get("camera")
        check_camera(camera)
        if clip is not None and not _SHA256.fullmatch(clip):
            raise ValueError("clip_sha256 is 64 lower-case hexadecimal digits.")
        view = view_of(seq, camera)
        return self._pinned.following(lambda network: enrol(self, self._answers, network, new, seq, clip, strict, view))

    def check_enrolment(self, seq: GaitSequence) -> None:
        """Check that a walker can become a template, without enrolling it.

        Raises:
            TooShort, NotUpright, LikenessChanged, PoorQuality: it cannot.
        """
        self._answers.check_enrolment(seq, fingerprint_of(self.network, seq.perception))

    def identify(
        self,
        seq: GaitSequence,
        top_k: int = 5,
        fpir: float = 0.01,
        where: Mapping[str, str] | None = None,
        explained: bool = False,
        camera: str | None = None,
    ) -> Identification:
        """Identify one walker; see :meth:`identify_many`."""
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
        """Identify several walkers in one batch.

        Args:
            seqs: the probes, of one fingerprint.
            top_k: maximum number of candidates per probe, at least 1.
            fpir: false-positive identification rate of the match threshold. It must be a calibrated rate.
            where: metadata that candidates must have, for example ``{"site": "north"}``. Only templates of such
                subjects are searched, and only these count as the gallery's size.
            explained: add the distance per body part for the first candidates; see
                :mod:`gaitkeeper.gallery.decision.explain`.
            camera: name of the camera that recorded the probes. The correction of its view is subtracted; see
                :mod:`gaitkeeper.gallery.views`.
            learn: whether to update that correction with the probes, if the collection keeps passers-by; see
                :mod:`gaitkeeper.gallery.identification.passers`.
            walks: earlier walks of the same clip or stream. With them, answers name the earlier track of the same
                person.

        Raises:
            FingerprintMismatch: a probe's fingerprint is not the collection's.
            BadCamera: the camera's name is invalid.
            BadFpir: the value is not a rate, or not a calibrated one.
            BadSubject: ``where`` is not valid metadata.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: see :mod:`gaitkeeper.gallery.errors`.
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
            answer = partial(
                self._answers.identify,
                seqs=[seqs[i] for i in indices],
                top_k=top_k,
                fpir=fpir,
                where=where,
                explained=explained,
                camera=camera,
                learn=learn,
                walks=walks,
            )
            out.update(zip(indices, self._pinned.following(answer), strict=True))
        return [out[i] for i in range(len(seqs))]

    def verify(self, subject: str, seq: GaitSequence, fmr: float = 0.001, camera: str | None = None) -> Verification:
        """Verify that a walker is the claimed subject. Only this subject's templates are compared.

        Args:
            subject: id of the claimed subject.
            seq: the probe.
            fmr: false match rate of the threshold. It must be a calibrated rate.
            camera: as of :meth:`identify_many`. Verification never updates the correction.

        Raises:
            NotFound: no subject has this id.
            BadFmr: the value is not a rate, or not a calibrated one.
            FingerprintMismatch: the probe's fingerprint is not the collection's.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: see :mod:`gaitkeeper.gallery.errors`.
        """
        check_fmr(fmr)
        check_camera(camera)
        claimed = self.subject(subject).subject
        return self._pinned.following(partial(self._answers.verify, subject=claimed, seq=seq, fmr=fmr, camera=camera))

    def learn(self, seqs: Sequence[GaitSequence], camera: str) -> int:
        """Update what is known about a camera from walkers, without identifying them.

        Returns:
            Number of kept walkers. It is 0 if the collection keeps no passers-by. Walkers of low quality, of unknown
            heading, or too similar to a kept one are skipped.

        Raises:
            BadCamera: the camera's name is invalid.
            FingerprintMismatch: a walker's fingerprint is not the collection's.
            HeatmapsMissing, BadEmbedding, StoreUnavailable: see :mod:`gaitkeeper.gallery.errors`.
        """
        check_camera(camera)
        seen = [(seq, view_of(seq, camera)) for seq in seqs if len(seq)]
        if not seen or self.passers_by.keep_seconds is None:
            return 0
        return self._pinned.following(
            lambda network: self._answers.learn_all(network, seen, self.collection.fingerprint)
        )

    def outliers(self, subject: str) -> list[Outlier]:
        """Templates of a subject that may show another person; see
        :func:`gaitkeeper.gallery.decision.verdict.outliers`.

        Raises:
            NotFound: no subject has this id.
        """
        owner = known_subject(subject)
        ids = [template.id for template in self.templates(owner)]
        fingerprint = self.collection.fingerprint
        if len(ids) < 2 or fingerprint is None:
            return []
        return self._answers.outliers(owner, fingerprint, ids)

    def doubles(self, after: str = "", limit: int | None = None) -> list[Double]:
        """Pairs of subjects who are likely the same person at the strictest calibrated rate, most likely first.

        Args:
            after: only pairs whose first id is greater.
            limit: number of subjects to look at, in order of their ids; None for all.

        Returns:
            Each pair once. Pairs that were said to be different people are left out. Without a calibration there are
            none.
        """
        fingerprint = self.collection.fingerprint
        if fingerprint is None:
            return []
        return doubles(self.store, self._answers, fingerprint, self.store.subjects(self.name, after, limit))

    def distances(self, templates: Sequence[str]) -> Tensor:
        """Part-wise distances, float (n, n), between n templates of this collection, as searches see them.

        Raises:
            NotFound: one of the templates does not exist.
        """
        fingerprint = self.collection.fingerprint
        if fingerprint is None or not templates:
            return torch.zeros(0, 0)
        known = self._answers.index.embeddings(fingerprint, templates, self.corrections(fingerprint))
        for template in templates:
            if template not in known:
                raise NotFound(f"The collection {self.name!r} has no template {template!r}.", template=template)
        walks = torch.stack([known[template] for template in templates])
        return part_distances(walks, walks)

    def corrections(self, fingerprint: Fingerprint) -> Corrections:
        """Correction per view, subtracted from embeddings before comparison; see :mod:`gaitkeeper.gallery.views`."""
        return self.passers_by.corrections(fingerprint)

    def keep_passers_by(self, keep_seconds: float | None) -> Removal:
        """Keep future passers-by for this number of seconds. None stops this and deletes all kept ones."""
        removed = self.passers_by.keep(keep_seconds)
        self.store.note(self.name, Action.KEEP_PASSERS_BY)
        return removed

    def alike_within(self, fingerprint: Fingerprint, embeddings: Tensor) -> float | None:
        """The distance up to which two of n unenrolled walks count as the same person; see
        :mod:`gaitkeeper.gallery.decision.units`.

        Args:
            fingerprint: fingerprint of the embeddings. It can differ from the collection's after a migration.
            embeddings: (n, P, C), with the corrections of their views subtracted.

        Returns:
            The distance; None without a calibration.
        """
        corrections, count = self.corrections(fingerprint), len(embeddings)
        return self._answers.alike_within(fingerprint, embeddings, [None] * count, corrections, count, count)

    def cameras(self) -> list[ViewStatistics]:
        """What the collection has learnt about its named cameras."""
        return self.passers_by.listed(self.collection.fingerprint)

    def forget_camera(self, camera: str) -> int:
        """Delete what is known about a camera, for example after it was moved. Returns the number of deleted views.

        Raises:
            NotFound: nothing is known about this camera.
            BadCamera: the name is invalid.
        """
        check_camera(camera)
        gone = self.passers_by.forget(camera)
        if not gone:
            raise NotFound(f"The collection {self.name!r} has seen nothing by the camera {camera!r}.", camera=camera)
        self.store.note(self.name, Action.FORGET_CAMERA)
        return gone

    def erase(self, subject: str) -> Erasure:
        """Erase a subject: its templates, embeddings and sequences, its sightings, and the passers-by and the sightings
        of unknown walkers that resemble one of its templates.

        Passers-by and unknown walkers have no names, so only the distance can show that they are the subject. One
        farther away than the threshold of the strictest calibrated rate is kept until it expires or is deleted.

        Raises:
            NotFound: no subject has this id.
        """
        owner, collection = known_subject(subject), self.collection
        templates = [template.id for template in self.templates(owner)]
        gone = 0
        if collection.fingerprint is not None:
            alike = self._answers.passers_like(collection.fingerprint, templates, collection.templates)
            gone = self.passers_by.erase(alike).templates
        unknown = forget_sightings_of(self, self._answers, owner)
        erased = self.store.erase(self.name, owner)
        return erased.model_copy(update={"passers_by": gone, "sightings": erased.sightings + unknown})

    def look_back(
        self, subject: str, walks: Sequence[tuple[Sighting, SeenWalk]], fpir: float
    ) -> list[tuple[Sighting, float, float | None]]:
        """Compare sightings whose walks the collection's network embedded with a subject; see
        :func:`gaitkeeper.gallery.looking_back.look_back`.
        """
        return look_back(self, self._answers, subject, walks, fpir)

    def ready(self) -> bool:
        """Whether the search index has been verified against the store, by count and digest."""
        return self._answers.index.ready()

    def close(self) -> None:
        """Close the store and drop the search index."""
        self._answers.index.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
