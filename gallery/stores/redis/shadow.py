"""The Redis store's second set of embeddings; see gaitkeeper.gallery.stores.protocol.Shadows."""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import Conflict, ShadowBehind
from gaitkeeper.gallery.stores.encoding import bytes_of
from gaitkeeper.gallery.stores.protocol import leaf_of
from gaitkeeper.gallery.stores.redis.calls import Calls, check_fits, no_template
from gaitkeeper.gallery.stores.redis.rows import key_of
from gaitkeeper.gallery.types import Action
from gaitkeeper.pipelines.fingerprint import Fingerprint


def begin(calls: Calls, collection: str, fingerprint: Fingerprint) -> None:
    """Create a shadow generation, or find the one with this fingerprint."""
    status, *details = calls.of_collection(
        collection, "shadow/begin", durable=True, fingerprint=str(fingerprint), generation=uuid.uuid4().hex
    )
    if status == b"empty":
        raise Conflict(f"The collection {collection!r} is empty: there is nothing to migrate.")
    if status == b"pinned":
        raise Conflict(f"The collection {collection!r} is pinned to {fingerprint} already.")
    if status == b"other":
        raise Conflict(
            f"The collection {collection!r} still has embeddings of {details[0].decode()}. "
            f"Delete them first, which ends the way back: `gaitkeeper collections migrate {collection} --drop`."
        )


def missing(calls: Calls, collection: str, limit: int) -> list[str]:
    """Ids of the oldest templates that have no embedding in the shadow."""
    return [template.decode() for template in calls.of_shadow(collection, "shadow/missing", limit=limit)[1]]


def put(
    calls: Calls, collection: str, template: str, fingerprint: Fingerprint, embedding: npt.NDArray[np.floating]
) -> None:
    """Set a template's embedding in the shadow."""
    dtype, data, float32 = bytes_of(embedding)
    status: bytes = b"key"
    while status == b"key":  # repeat if the keys have changed before the script runs
        _, _, _, secret, owner = calls.of_template(collection, template, "template/read", data="")
        sealing, key = calls.trust.seals(collection, secret), key_of(owner)
        status, *details = calls.of_shadow(
            collection,
            "shadow/put",
            durable=True,
            template=template,
            fingerprint=str(fingerprint),
            parts=embedding.shape[0],
            dims=embedding.shape[1],
            embedding=dtype.encode() + sealing.seal(key, f"embedding {template}", data),
            leaf=leaf_of(sealing.salt, template, float32),
            sealed_key="" if key is None else key.hex(),
        )
    if status == b"template":
        raise no_template(collection, template)
    check_fits(status, details, collection, fingerprint, embedding)


def flip(calls: Calls, collection: str, *, back: bool = False) -> None:
    """Swap the live generation and the shadow. With ``back``, only if the shadow was live before."""
    entry = calls.trust.entry(Action.FLIP, collection)
    status, *details = calls.of_shadow(
        collection, "shadow/flip", durable=True, back="back" if back else "", entry=entry
    )
    if status == b"never":
        raise Conflict(f"The collection {collection!r} has no embeddings that were live before.")
    if status == b"behind":
        count, fingerprint = details[0], details[1].decode()
        raise ShadowBehind(
            f"{count} template(s) of the collection {collection!r} have no embedding of {fingerprint} yet.",
            missing=count,
        )


def drop(calls: Calls, collection: str) -> int:
    """Remove the shadow. Returns the number of its embeddings."""
    entry = calls.trust.entry(Action.DROP_SHADOW, collection)
    templates: int = calls.of_shadow(collection, "shadow/drop", durable=True, entry=entry)[1]
    return templates
