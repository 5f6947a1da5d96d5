"""Strangers who come back: walkers judged unknown, kept for a while where a collection asks for it, and grouped.

They lie in a companion collection of the same store, each as a subject of its own with one template. So whatever holds
for enrolled people holds for them: they are encrypted under keys of their own, expire, are erased without a trace, and
are seen by every process. No user's collection can have the companion's name.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from gallery.answers import view_of
from gallery.encoding import stamp
from gallery.errors import ClipOfOtherSubject, Conflict, NotFound
from gallery.gallery import Gallery
from gallery.migration import migrate
from gallery.names import companion_of
from gallery.pinned import embedded
from gallery.store import Change, NewSubject, NewTemplate
from gallery.types import Collection, Record, Removal, Subject, Template
from gallery.views import View, centred
from models.distance import part_distances
from pipelines.fingerprint import fingerprint_of
from pipelines.sequence import GaitSequence

Array = npt.NDArray[Any]

MOST = 1000
"""Strangers kept of one collection; the oldest go for new ones."""
_ID = re.compile(r"[0-9a-f]{32}")


class Stranger(Record):
    """A walker who was judged unknown."""

    id: str
    seen: datetime = Field(description="When the clip was looked at.")
    expires: datetime | None = Field(description="When it is forgotten.")
    clip_sha256: str | None = Field(description="Digest of the clip's bytes.")
    track: int = Field(description="The walker's tracklet in that clip, from 1.")
    start: float = Field(description="Seconds from the clip's first video frame to the walker's first.")
    end: float = Field(description="Seconds from the clip's first video frame to the walker's last.")
    camera: str | None = Field(default=None, description="That saw the walker, where it was named.")


class StrangerGroup(Record):
    """Strangers who may be one person."""

    id: str = Field(description="Follows from who is in it: another one as soon as somebody comes or goes.")
    strangers: tuple[Stranger, ...] = Field(description="In the order in which they were seen.")
    first_seen: datetime
    last_seen: datetime
    spread: float = Field(description="The largest part-wise distance between two of them; 0 for one alone.")


class Strangers:
    """The strangers of one gallery.

    Args:
        gallery: kept open by the caller; its store keeps them, too.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._store = gallery, gallery.store
        self._name = companion_of(gallery.name)

    @property
    def keep_seconds(self) -> float | None:
        """For how long strangers are kept; None where they are not."""
        own = self._own()
        return None if own is None else own.ttl_seconds

    def keep(self, keep_seconds: float | None) -> Removal:
        """Keep those who are judged unknown from now on, for so many seconds; None keeps nobody, and forgets all."""
        if keep_seconds is None:
            if self._own() is None:
                return Removal(collection=self._gallery.name, templates=0, subjects=0, pending=False)
            return self._told(self._store.delete_collection(self._name))
        heatmaps = self._gallery.collection.keeps_heatmaps
        self._store.ensure_collection(self._name, keeps_heatmaps=heatmaps, ttl_seconds=keep_seconds)
        self._store.set_ttl(self._name, keep_seconds)
        return Removal(collection=self._gallery.name, templates=0, subjects=0, pending=False)

    def add(self, seq: GaitSequence, clip_sha256: str | None = None, camera: str | None = None) -> str | None:
        """Keep a walker who was judged unknown; its id, None where strangers are not kept or this one is there.

        Args:
            seq: the walker.
            clip_sha256: digest of the clip.
            camera: name of the camera that saw the walker.

        Raises:
            FingerprintMismatch: the collection moved to another network since the walker was judged.
        """
        own = self._own()
        if own is None:
            return None
        network = self._gallery.network
        fingerprint = fingerprint_of(network, seq.perception)
        if own.fingerprint not in (None, fingerprint):
            self._follow(own)
        if own.subjects >= MOST:
            for oldest in sorted(self._store.subjects(self._name), key=_age)[: own.subjects - MOST + 1]:
                with suppress(NotFound):  # another request makes room, too
                    self._store.erase(self._name, oldest.id)
        kept = seq if own.keeps_heatmaps else seq.without_heatmaps()
        start, end = float(seq.timestamps[0]), float(seq.timestamps[-1])
        about = {
            "seen": stamp(datetime.now(UTC)),
            "clip": clip_sha256 or "",
            "track": str(seq.track),
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
        }
        stranger, view = uuid.uuid4().hex, view_of(seq, camera)
        template = NewTemplate(
            fingerprint=fingerprint,
            embedding=embedded(network, [seq], self._gallery.embed)[0].numpy(),
            sequence=kept.to_bytes(),
            has_heatmaps=kept.heatmaps is not None,
            quality=seq.quality,
            track=seq.track,
            start=start,
            end=end,
            clip_sha256=clip_sha256,
            camera=None if view is None else view.camera,
            heading=None if view is None else view.heading,
        )
        try:
            self._store.enroll(self._name, NewSubject(stranger, metadata=about), template)
        except (ClipOfOtherSubject, NotFound):  # strangers may be kept no longer
            return None
        return stranger

    def groups(self) -> list[StrangerGroup]:
        """Who may be one person, last seen first.

        Hierarchical clustering of the part-wise distances, average linkage, cut at the distance up to which the
        network's loosest calibrated rate takes two walks for one person's. Without a calibration nobody is grouped.
        """
        own = self._own()
        if own is not None and self._gallery.collection.fingerprint not in (None, own.fingerprint):
            self._follow(own)
        found = self._all()
        if not found:
            return []
        labels, distances = self._labels(found)
        groups = [_group(found, np.flatnonzero(labels == label), distances) for label in np.unique(labels)]
        return sorted(groups, key=lambda group: (group.last_seen, group.id), reverse=True)

    def sequence(self, stranger: str) -> GaitSequence:
        """One stranger's walk. Raises NotFound."""
        if not _ID.fullmatch(stranger) or self._own() is None:
            raise NotFound(f"There is no stranger {stranger!r}.", stranger=stranger)
        template = self._store.templates(self._name, stranger)[0]
        return GaitSequence.load(self._store.sequence(self._name, template.id))

    def name(self, group: str, subject: str, display_name: str | None = None) -> list[Template]:
        """Enrol everybody of a group as one subject, and keep them as strangers no longer.

        Raises:
            NotFound: there is no such group, or somebody has joined or left it.
            BadSubject, TooShort, PoorQuality, ClipOfOtherSubject, FingerprintMismatch: as when enrolling.
        """
        templates = []
        for stranger in self._group(group).strangers:
            done = self._gallery.enrolment(
                subject,
                self.sequence(stranger.id),
                display_name=display_name,
                clip_sha256=stranger.clip_sha256,
                camera=stranger.camera,
            )
            templates.append(done.template)
            self._store.erase(self._name, stranger.id)
        return templates

    def forget(self, group: str | None = None) -> Removal:
        """Forget a group, or everybody. Raises NotFound."""
        if group is None:
            gone = [subject.id for subject in self._store.subjects(self._name)] if self._own() else []
        else:
            gone = [stranger.id for stranger in self._group(group).strangers]
        pending, erased = False, 0
        for stranger in gone:
            with suppress(NotFound):
                pending = self._store.erase(self._name, stranger).pending
                erased += 1
        return Removal(collection=self._gallery.name, templates=erased, subjects=erased, pending=pending)

    def _own(self) -> Collection | None:
        try:
            return self._store.collection(self._name)
        except NotFound:
            return None

    def _told(self, removal: Removal) -> Removal:
        return removal.model_copy(update={"collection": self._gallery.name})

    def _group(self, group: str) -> StrangerGroup:
        found = next((known for known in self.groups() if known.id == group), None)
        if found is None:
            raise NotFound(f"There is no group of strangers {group!r} any more: list them again.", group=group)
        return found

    def _follow(self, own: Collection) -> None:
        """Embed the strangers by the network that the collection has moved to."""
        with suppress(Conflict):  # another process is at it, or was
            migrate(self._store, own.name, self._gallery.network)
            self._store.drop_shadow(own.name)

    def _all(self) -> list[Change]:
        """Everybody who has not expired, in the order in which they were seen."""
        known: dict[str, Change] = {}
        cursor = ""
        with suppress(NotFound):
            while True:
                news = self._store.changes(self._name, cursor)
                if news.reset:
                    known.clear()
                for change in news.changes:
                    known.pop(change.template, None)
                    if change.embedding is not None:
                        known[change.template] = change
                cursor = news.cursor
                if not news.changes and not news.reset:
                    break
        now = datetime.now(UTC)
        alive = [one for one in known.values() if one.expires is None or one.expires > now]
        return sorted(alive, key=lambda one: ((one.metadata or {})["seen"], one.template))

    def _labels(self, found: Sequence[Change]) -> tuple[Array, Array]:
        """The group of each, and all distances (n, n)."""
        alone = np.arange(len(found)), np.zeros((len(found), len(found)))
        fingerprint = found[0].fingerprint
        calibration = None if fingerprint is None else self._gallery.calibration(fingerprint)
        if len(found) < 2 or fingerprint is None or calibration is None:
            return alone
        corrections = self._gallery.corrections(fingerprint)
        views = [None if one.camera is None or one.heading is None else View(one.camera, one.heading) for one in found]
        raw = torch.from_numpy(np.stack([one.embedding for one in found if one.embedding is not None]))
        embeddings = centred(raw, views, corrections)
        threshold = self._gallery.alike_within(fingerprint, embeddings)
        distances = part_distances(embeddings, embeddings).numpy().astype(np.float64)
        np.fill_diagonal(distances, 0.0)
        tree = linkage(squareform((distances + distances.T) / 2), "average")
        return fcluster(tree, threshold, "distance"), distances


def _group(found: Sequence[Change], members: Array, distances: Array) -> StrangerGroup:
    strangers = tuple(_stranger(found[i]) for i in members)
    return StrangerGroup(
        id=hashlib.sha256("".join(sorted(one.id for one in strangers)).encode()).hexdigest()[:16],
        strangers=strangers,
        first_seen=strangers[0].seen,
        last_seen=strangers[-1].seen,
        spread=float(distances[np.ix_(members, members)].max()),
    )


def _stranger(change: Change) -> Stranger:
    about = change.metadata or {}
    return Stranger(
        id=change.subject or "",
        seen=datetime.fromisoformat(about["seen"]),
        expires=change.expires,
        clip_sha256=about["clip"] or None,
        track=int(about["track"]),
        start=float(about["start"]),
        end=float(about["end"]),
        camera=change.camera,
    )


def _age(subject: Subject) -> tuple[datetime, str]:
    return subject.created, subject.id
