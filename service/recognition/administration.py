"""Operations on collections, subjects, strangers and cameras that need no clip."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self
from unicodedata import normalize

from gaitkeeper.gallery import Gallery, open_store
from gaitkeeper.gallery.decision.calibration import calibrations_with
from gaitkeeper.gallery.errors import Conflict, FingerprintMismatch, NotFound
from gaitkeeper.gallery.identification.companions import forget_companions
from gaitkeeper.gallery.names import check_collection, enrolled_only, known_subject
from gaitkeeper.gallery.observations.strangers import Strangers
from gaitkeeper.models import GaitNetwork
from gaitkeeper.pipelines.batching import SharedEmbedding
from gaitkeeper.service.auth.access import is_permitted, require_collection
from gaitkeeper.service.recognition.handles import Handles
from gaitkeeper.service.recognition.parsing.walker_options import is_file_name, network_named
from gaitkeeper.service.recognition.pictures import strips
from gaitkeeper.service.recognition.remote_work import Elsewhere
from gaitkeeper.service.recognition.sightings.records import SightingRecords
from gaitkeeper.service.schemas import (
    CamerasReply,
    Collection,
    CollectionsReply,
    Erasure,
    NamedReply,
    Removal,
    StrangersReply,
    Strips,
    SubjectReply,
    SubjectsReply,
    TemplatesReply,
)
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

DEFAULT_COLLECTION = "default"


class Administration(SightingRecords):
    """A store, its galleries and the service's own state. Thread-safe.

    Args:
        settings: the service's settings. The store is opened at once, networks on first use.
        elsewhere: computes and searches embeddings remotely. By default this process does it.
        network_files: whether callers may name the file of a network, as on the command line of this machine.

    Raises:
        StoreUnavailable, UnknownStore, BadStore: the store cannot be used.
        BadCalibration: the settings' calibration cannot be read.
    """

    def __init__(self, settings: Settings, elsewhere: Elsewhere | None = None, *, network_files: bool = False) -> None:
        self.settings = settings
        self.elsewhere = elsewhere
        self.calibrations = calibrations_with(settings.calibration)
        self._network_files = network_files
        self._opened_with: dict[str, str] = {}  # the network that a gallery was last opened with
        self.store = open_store(settings.store_url, settings.vault)
        self.embedder = SharedEmbedding(settings.batch, settings.batch_wait)
        self.handles = Handles(settings.keep_handles, settings.handles, settings.handle_bytes)
        self._state: State | None = None
        self._galleries: dict[str, Gallery] = {}
        self._networks: dict[str, GaitNetwork] = {}
        self._lock = threading.Lock()
        try:
            self.store.ensure_collection(DEFAULT_COLLECTION)
        except BaseException:
            self.store.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store, and erase what is kept in memory."""
        self.handles.close()
        self.store.close()
        if self._state is not None:
            self._state.close()

    @property
    def state(self) -> State:
        """The service's own state, opened on first use. Raises StoreUnavailable."""
        with self._lock:
            if self._state is None:
                self._state = State(self.settings.state_path)
            return self._state

    def gallery(self, collection: str, *, create: bool = False, network: str | None = None) -> Gallery:
        """The gallery of a collection.

        Args:
            collection: its name.
            create: create the collection if it does not exist.
            network: name of the network that the collection must be pinned to, or, if ``create``, will be pinned to;
                with ``network_files`` also its file.

        Raises:
            NotFound: the collection does not exist, and ``create`` is False.
            BadCollection: the collection's name is invalid.
            Forbidden: the caller may not use the collection.
            UnknownNetwork: no network has this name.
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
            # The network of a file is not found by its fingerprint: the gallery is told where it is.
            is_new_file = is_file_name(network) and self._opened_with.get(collection) != network
            if (pinned is None and create) or is_new_file:
                gallery = self._galleries[collection] = self._opened(collection, network)
                self._opened_with[collection] = network or ""
        if pinned is not None and (pinned.network, pinned.weights) != (wanted.name, wanted.weights_id):
            asked = replace(pinned, network=wanted.name, weights=wanted.weights_id)
            raise FingerprintMismatch.between(collection, pinned, asked)
        return gallery

    def _opened(self, collection: str, network: str | None) -> Gallery:
        # A collection that is not empty stays pinned to the network that made its embeddings.
        out = self.elsewhere
        return Gallery(
            self.store,
            collection,
            device="cpu" if out else self.settings.pipeline.device,
            fallback=network,
            calibrations=self.calibrations,
            precision=self.settings.precision,
            index=out.index(self.store.collection(collection)) if out else None,
            embed=out.embed if out else self.embedder,
            most_sightings=self.settings.sightings,
        )

    def _network(self, name: str) -> GaitNetwork:
        with self._lock:
            if name not in self._networks:
                self._networks[name] = network_named(name, files=self._network_files)
            return self._networks[name]

    def subjects(
        self, *, collection: str = DEFAULT_COLLECTION, limit: int | None = None, after: str | None = None
    ) -> SubjectsReply:
        """The subjects of a collection by id, all or one page. Raises NotFound if the collection does not exist."""
        name = self.gallery(collection).name
        listed = self.store.subjects(name, normalize("NFC", after or ""), None if limit is None else limit + 1)
        page = self.with_last_seen(name, listed[:limit])
        return SubjectsReply(
            collection=collection, subjects=page, next=page[-1].subject if len(page) < len(listed) else None
        )

    def has(self, collection: str, subject: str) -> bool:
        """Whether a subject with this id exists."""
        try:
            self.gallery(collection).subject(subject)
        except NotFound:
            return False
        return True

    def subject(self, subject: str, *, collection: str = DEFAULT_COLLECTION) -> SubjectReply:
        """One subject, its templates, and which of them are outliers. Raises NotFound."""
        gallery = self.gallery(collection)
        [known] = self.with_last_seen(gallery.name, [gallery.subject(subject)])
        return SubjectReply(
            subject=known,
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
        """Pictures of a template's walk. Raises NotFound."""
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
        """A subject's templates, all or one page. The page after a removed template is empty. Raises NotFound."""
        found = self.gallery(collection).templates(subject)
        ids = [template.id for template in found]
        start = 0 if after is None else ids.index(after) + 1 if after in ids else len(ids)
        page = found[start:][:limit]
        more = start + len(page) < len(found)
        return TemplatesReply(
            collection=collection,
            subject=known_subject(subject),
            templates=page,
            next=page[-1].id if more and page else None,
        )

    def collections(self, *, limit: int | None = None, after: str | None = None) -> CollectionsReply:
        """The collections that the caller may use, by name, all or one page."""
        known = (c for c in enrolled_only(self.store.collections()) if is_permitted(c.name))
        listed = [c for c in known if after is None or c.name > after]
        page = listed[:limit]
        return CollectionsReply(collections=page, next=page[-1].name if len(page) < len(listed) else None)

    def collection(self, collection: str) -> Collection:
        """One collection. Raises NotFound, BadCollection."""
        return self.gallery(collection).collection

    def cameras(self, collection: str = DEFAULT_COLLECTION) -> CamerasReply:
        """What a collection has learnt about cameras. Raises NotFound if the collection does not exist."""
        gallery = self.gallery(collection)
        keep_seconds = gallery.passers_by.keep_seconds
        return CamerasReply(collection=collection, keep_seconds=keep_seconds, views=gallery.cameras())

    def keep_passers_by(self, keep_seconds: float | None, *, collection: str = DEFAULT_COLLECTION) -> CamerasReply:
        """Keep future passers-by for this time. None stops this and deletes all kept ones. Raises NotFound."""
        self.gallery(collection).keep_passers_by(keep_seconds)
        return self.cameras(collection)

    def forget_camera(self, collection: str, camera: str) -> CamerasReply:
        """Delete what a collection knows about a camera; returns what it knows about others. Raises NotFound,
        BadCamera.
        """
        self.gallery(collection).forget_camera(camera)
        return self.cameras(collection)

    def create_collection(
        self,
        collection: str,
        *,
        keeps_heatmaps: bool = False,
        ttl_seconds: float | None = None,
        sightings_seconds: float | None = None,
    ) -> Collection:
        """Create a collection.

        Raises:
            BadCollection: the collection's name is invalid.
            Conflict: a collection has this name already.
        """
        require_collection(check_collection(collection))
        if any(known.name == collection for known in self.store.collections()):
            raise Conflict(f"The collection {collection!r} exists already.", collection=collection)
        made = self.store.ensure_collection(collection, keeps_heatmaps=keeps_heatmaps, ttl_seconds=ttl_seconds)
        if sightings_seconds is None:
            return made
        self.store.keep_sightings(collection, sightings_seconds)
        return self.store.collection(collection)

    def delete_collection(self, collection: str) -> Removal:
        """Delete a collection and its content. The default one is recreated empty. Raises NotFound, BadCollection."""
        gallery = self.gallery(collection)
        forget_companions(self.store, gallery.name)
        removed = self.store.delete_collection(gallery.name)
        with self._lock:
            self._galleries.pop(collection, None)
        if collection == DEFAULT_COLLECTION:
            self.store.ensure_collection(collection)
        self.forget(collection)
        return removed

    def strangers(self, *, collection: str = DEFAULT_COLLECTION) -> StrangersReply:
        """The collection's unknown walkers, grouped. Raises NotFound if the collection does not exist."""
        kept = Strangers(self.gallery(collection))
        return StrangersReply(collection=collection, keep_seconds=kept.keep_seconds, groups=kept.groups())

    def keep_strangers(self, keep_seconds: float | None, *, collection: str = DEFAULT_COLLECTION) -> StrangersReply:
        """Keep future unknown walkers for this time. None stops this and deletes all kept ones. Raises NotFound."""
        Strangers(self.gallery(collection)).keep(keep_seconds)
        return self.strangers(collection=collection)

    def name_strangers(
        self, group: str, subject: str, *, display_name: str | None = None, collection: str = DEFAULT_COLLECTION
    ) -> NamedReply:
        """Enrol a group of strangers as one subject.

        Raises as :meth:`gaitkeeper.gallery.observations.strangers.Strangers.name`.
        """
        templates = Strangers(self.gallery(collection)).name(group, subject, display_name)
        return NamedReply(collection=collection, subject=templates[0].subject, templates=templates)

    def forget_strangers(self, group: str | None = None, *, collection: str = DEFAULT_COLLECTION) -> Removal:
        """Delete a group of strangers, or all of them. Raises NotFound."""
        return Strangers(self.gallery(collection)).forget(group)

    def stranger_pictures(self, stranger: str, *, collection: str = DEFAULT_COLLECTION) -> Strips:
        """Pictures of a stranger's walk. Raises NotFound."""
        return strips(Strangers(self.gallery(collection)).sequence(stranger))

    def erase(self, subject: str, *, collection: str = DEFAULT_COLLECTION) -> Erasure:
        """Erase a subject and all its data, the jobs that would enrol it again, and the handles of clips in which it
        was enrolled. Raises NotFound.
        """
        gallery = self.gallery(collection)
        clips = {template.clip_sha256 for template in gallery.templates(subject) if template.clip_sha256}
        erased = gallery.erase(subject)
        self.handles.erase_clips(clips)
        if self.settings.state_path.exists():
            self.state.withdraw(collection, known_subject(subject))
        self.forget(collection, subject)
        return erased

    def forget(self, collection: str, subject: str | None = None) -> None:
        """Delete kept replies that name a subject, or all of a collection. Call it after the erasure."""
        if self.settings.state_path.exists():
            self.state.forget(collection, None if subject is None else known_subject(subject))
