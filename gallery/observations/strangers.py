"""Strangers: walkers with the verdict "unknown", kept for a limited time if the collection enables it, and grouped.

Each is a separate subject with one template in a companion collection; see
:mod:`gaitkeeper.gallery.identification.companions`.
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

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.gallery import Gallery
from gaitkeeper.gallery.identification.answers import view_of
from gaitkeeper.gallery.identification.companions import Companion, Followed
from gaitkeeper.gallery.migration import move_along
from gaitkeeper.gallery.names import STRANGERS
from gaitkeeper.gallery.networks import embedded
from gaitkeeper.gallery.stores.encoding import stamp
from gaitkeeper.gallery.stores.protocol import Change
from gaitkeeper.gallery.types import Removal, Stranger, StrangerGroup, Subject, Template
from gaitkeeper.gallery.views import View, centred
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.sequence import GaitSequence

Array = npt.NDArray[Any]

MOST = 1000
"""Maximum number of strangers per collection. New ones replace the oldest."""
_ID = re.compile(r"[0-9a-f]{32}")


class Strangers:
    """The strangers of one gallery.

    Args:
        gallery: kept open by the caller. Its store also holds the strangers.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self._store = gallery, gallery.store
        self._companion = Companion(self._store, gallery.name, STRANGERS)
        self._name = self._companion.name

    @property
    def keep_seconds(self) -> float | None:
        """Time in seconds to keep strangers; None if they are not kept."""
        return self._companion.keep_seconds

    def keep(self, keep_seconds: float | None) -> Removal:
        """Keep future unknown walkers for this number of seconds. None stops this and deletes all kept ones."""
        return self._companion.keep(keep_seconds)

    def add(self, seq: GaitSequence, clip_sha256: str | None = None, camera: str | None = None) -> str | None:
        """Keep an unknown walker. Returns its id; None if strangers are not kept or this one exists already.

        Args:
            seq: the walker.
            clip_sha256: digest of the clip.
            camera: name of the camera that recorded the walker.

        Raises:
            FingerprintMismatch: the collection moved to another network after the verdict.
        """
        own = self._companion.own()
        if own is None:
            return None
        if own.subjects >= MOST:
            for oldest in sorted(self._store.subjects(self._name), key=_age)[: own.subjects - MOST + 1]:
                with suppress(NotFound):  # another request makes room at the same time
                    self._store.erase(self._name, oldest.subject)
        about = {
            "seen": stamp(datetime.now(UTC)),
            "clip": clip_sha256 or "",
            "track": str(seq.track),
            "start": f"{float(seq.timestamps[0]):.3f}",
            "end": f"{float(seq.timestamps[-1]):.3f}",
        }
        network, stranger = self._gallery.network, uuid.uuid4().hex
        embedding = embedded(network, [seq], self._gallery.embed)[0]
        kept = self._companion.add(network, seq, embedding, stranger, view_of(seq, camera), about, clip_sha256)
        return stranger if kept else None

    def groups(self) -> list[StrangerGroup]:
        """Groups of strangers who may be the same person, most recently seen first.

        Hierarchical clustering of the part-wise distances, average linkage, cut at the distance up to which two walks
        count as one person's at the network's loosest calibrated rate. Without a calibration there are no groups of
        several strangers.
        """
        own = self._companion.own()
        if own is not None and self._gallery.collection.fingerprint not in (None, own.fingerprint):
            move_along(self._store, self._name, self._gallery.network)
        found = self._all()
        if not found:
            return []
        labels, distances = self._labels(found)
        groups = [_group(found, np.flatnonzero(labels == label), distances) for label in np.unique(labels)]
        return sorted(groups, key=lambda group: (group.last_seen, group.id), reverse=True)

    def sequence(self, stranger: str) -> GaitSequence:
        """One stranger's walk. Raises NotFound."""
        if not _ID.fullmatch(stranger) or self._companion.own() is None:
            raise NotFound(f"There is no stranger {stranger!r}.", stranger=stranger)
        template = self._store.templates(self._name, stranger)[0]
        return GaitSequence.load(self._store.sequence(self._name, template.id))

    def name(self, group: str, subject: str, display_name: str | None = None) -> list[Template]:
        """Enrol all strangers of a group as one subject, and delete them from the strangers.

        Raises:
            NotFound: the group does not exist, or its members have changed.
            BadSubject, TooShort, PoorQuality, ClipOfOtherSubject, FingerprintMismatch: as for an enrolment.
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
        """Delete a group, or all strangers. Raises NotFound."""
        if group is None:
            gone = [subject.subject for subject in self._store.subjects(self._name)] if self._companion.own() else []
        else:
            gone = [stranger.id for stranger in self._group(group).strangers]
        pending, erased = False, 0
        for stranger in gone:
            with suppress(NotFound):
                pending = self._store.erase(self._name, stranger).pending
                erased += 1
        return Removal(collection=self._gallery.name, templates=erased, subjects=erased, pending=pending)

    def _group(self, group: str) -> StrangerGroup:
        found = next((known for known in self.groups() if known.id == group), None)
        if found is None:
            raise NotFound(
                f"There is no group of strangers {group!r}: its members may have changed. List the groups again.",
                group=group,
            )
        return found

    def _all(self) -> list[Change]:
        """All strangers that have not expired, in order of appearance."""
        _, known = Followed(self._store, self._name).now()
        now = datetime.now(UTC)
        alive = [one for one in known if one.expires is None or one.expires > now]
        return sorted(alive, key=lambda one: ((one.metadata or {})["seen"], one.template))

    def _labels(self, found: Sequence[Change]) -> tuple[Array, Array]:
        """The group of each stranger, and all distances (n, n)."""
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
        # Imported where needed: few services group unknown walkers, and every one would start half a second later.
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

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
    return subject.created, subject.subject
