"""What can be wrong with a gallery, its store, or what is asked of them. Each has a code of its own."""

from __future__ import annotations

from typing import Self

from models.errors import GaitkeeperError


class NotFound(GaitkeeperError):
    """There is no such collection, subject or template."""

    code = "not_found"


class Conflict(GaitkeeperError):
    """What was asked contradicts what is stored."""

    code = "conflict"


class ClipOfOtherSubject(Conflict):
    """The same walker of the same clip is already enrolled as someone else."""

    code = "clip_of_other_subject"


class LooksLikeOtherSubject(Conflict):
    """A strict enrolment of a walker who matches somebody else."""

    code = "looks_like_other_subject"


class BadCamera(GaitkeeperError):
    """A camera's name that cannot be stored."""

    code = "bad_camera"


class FingerprintMismatch(Conflict):
    """Embeddings of two fingerprints would have to be compared."""

    code = "fingerprint_mismatch"

    @classmethod
    def between(cls, collection: str, pinned: object, given: object) -> Self:
        """Names both."""
        return cls(
            f"The collection {collection!r} holds embeddings of {pinned}; this walker's is of {given}."
            " The two cannot be compared.",
            collection_fingerprint=str(pinned),
            probe_fingerprint=str(given),
        )

    @classmethod
    def shapes(cls, collection: str, pinned: tuple[int, ...], given: tuple[int, ...]) -> Self:
        """The same network under one name and weights id, but configured otherwise."""
        return cls(
            f"Embeddings in the collection {collection!r} have {' × '.join(map(str, pinned))} numbers, this one"
            f" {' × '.join(map(str, given))}: another configuration of the same network.",
        )


class Overtaken(Conflict):
    """Templates came or went since the caller looked."""

    code = "overtaken"


class ShadowBehind(Conflict):
    """Templates have no embedding of the fingerprint that was to go live."""

    code = "shadow_behind"


class BadSubject(GaitkeeperError):
    """A subject id, display name or metadata that cannot be stored."""

    code = "bad_subject"


class BadCollection(GaitkeeperError):
    """A collection name that cannot be stored."""

    code = "bad_collection"


class BadEmbedding(GaitkeeperError):
    """The network gave numbers that are no embedding: not finite."""

    code = "bad_embedding"


class BadFpir(GaitkeeperError):
    """A false-positive identification rate outside (0, 1), or one that the calibration does not cover."""

    code = "bad_fpir"


class BadFmr(GaitkeeperError):
    """A false match rate outside (0, 1), or one that the calibration does not cover."""

    code = "bad_fmr"


class PoorQuality(GaitkeeperError):
    """A walker seen too poorly to be enrolled."""

    code = "poor_quality"


class LikenessChanged(PoorQuality):
    """A walker who may be two: somebody else may have come into the same place."""

    code = "likeness_changed"


class BadCalibration(GaitkeeperError):
    """A calibration file cannot be read, or contradicts itself."""

    code = "bad_calibration"


class UnknownStore(GaitkeeperError):
    """The store's URL is of no known kind."""

    code = "unknown_store"


class BadStore(GaitkeeperError):
    """The store is there but holds something else: damaged, foreign, or written by a newer version."""

    code = "bad_store"


class StoreUnavailable(GaitkeeperError):
    """The store cannot be reached or written now: missing folder, disk full, read-only, locked for too long."""

    code = "store_unavailable"


class BadArchive(GaitkeeperError):
    """A file is no archive of a collection, or is damaged or cut short."""

    code = "bad_archive"


class BadStoreKey(GaitkeeperError):
    """The store's key is missing, malformed or another one, or one is given and the collection is not encrypted."""

    code = "bad_store_key"


class StoreNotDurable(GaitkeeperError):
    """The store's settings may lose what was acknowledged, and nobody has said that this is accepted."""

    code = "store_not_durable"
