"""Errors of the gallery, its store, and requests to them. Each has its own code."""

from __future__ import annotations

from typing import Self

from gaitkeeper.models.errors import GaitkeeperError


class NotFound(GaitkeeperError):
    """The collection, subject or template does not exist."""

    code = "not_found"


class Conflict(GaitkeeperError):
    """The request conflicts with the stored data."""

    code = "conflict"


class ClipOfOtherSubject(Conflict):
    """The same walker of the same clip is already enrolled as another subject."""

    code = "clip_of_other_subject"


class LooksLikeOtherSubject(Conflict):
    """A strict enrolment of a walker who matches another subject."""

    code = "looks_like_other_subject"


class BadCamera(GaitkeeperError):
    """The camera's name is invalid."""

    code = "bad_camera"


class FingerprintMismatch(Conflict):
    """The operation would compare embeddings with different fingerprints."""

    code = "fingerprint_mismatch"

    @classmethod
    def between(cls, collection: str, pinned: object, given: object) -> Self:
        """Make the error with both fingerprints."""
        return cls(
            f"The collection {collection!r} holds embeddings of {pinned}; this walker's is of {given}."
            " The two cannot be compared: use the collection's network, or move the collection to another one"
            " (`gaitkeeper collections migrate`).",
            collection_fingerprint=str(pinned),
            probe_fingerprint=str(given),
        )

    @classmethod
    def shapes(cls, collection: str, pinned: tuple[int, ...], given: tuple[int, ...]) -> Self:
        """Two networks with the same name and weights id but different configurations."""
        return cls(
            f"Embeddings in the collection {collection!r} have {' × '.join(map(str, pinned))} numbers, this one"
            f" {' × '.join(map(str, given))}: another configuration of the same network.",
        )


class Overtaken(Conflict):
    """Templates were added or removed after the caller's last read."""

    code = "overtaken"


class ShadowBehind(Conflict):
    """Some templates have no embedding with the fingerprint that should go live."""

    code = "shadow_behind"


class BadSubject(GaitkeeperError):
    """A subject id, display name or metadata is invalid."""

    code = "bad_subject"


class BadCollection(GaitkeeperError):
    """A collection name is invalid."""

    code = "bad_collection"


class BadEmbedding(GaitkeeperError):
    """The network returned an embedding that is not finite."""

    code = "bad_embedding"


class BadFpir(GaitkeeperError):
    """A false-positive identification rate outside (0, 1), or one that is not calibrated."""

    code = "bad_fpir"


class BadFmr(GaitkeeperError):
    """A false match rate outside (0, 1), or one that is not calibrated."""

    code = "bad_fmr"


class PoorQuality(GaitkeeperError):
    """A walker's quality is too low for enrolment."""

    code = "poor_quality"


class LikenessChanged(PoorQuality):
    """A track may show two people: another person may have taken the first one's place."""

    code = "likeness_changed"


class BadCalibration(GaitkeeperError):
    """A calibration file cannot be read, or is inconsistent."""

    code = "bad_calibration"


class UnknownStore(GaitkeeperError):
    """The store's URL has an unknown scheme."""

    code = "unknown_store"


class BadStore(GaitkeeperError):
    """The store exists but cannot be used: it is damaged, belongs to another program, or was written by a newer
    version.
    """

    code = "bad_store"


class StoreUnavailable(GaitkeeperError):
    """The store cannot be reached or written now: the folder is missing, the disk is full, it is read-only, or it is
    locked for too long.
    """

    code = "store_unavailable"


class BadArchive(GaitkeeperError):
    """A file is not an archive of a collection, or it is damaged or truncated."""

    code = "bad_archive"


class BadStoreKey(GaitkeeperError):
    """The store's key is missing, malformed or wrong, or a key is given and the collection is not encrypted."""

    code = "bad_store_key"


class StoreNotDurable(GaitkeeperError):
    """The store's settings can lose acknowledged writes, and its URL does not accept that."""

    code = "store_not_durable"
