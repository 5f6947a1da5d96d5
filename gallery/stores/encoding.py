"""Stored form of embeddings and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from gaitkeeper.gallery.errors import BadStore
from gaitkeeper.gallery.stores.protocol import Embedding, NewTemplate


def bytes_of(embedding: npt.NDArray[np.floating]) -> tuple[str, bytes, bytes]:
    """An embedding's type (f2 or f4, little-endian), its bytes in that type, and its bytes as float32."""
    dtype = "f2" if embedding.dtype == np.float16 else "f4"
    return (
        dtype,
        np.ascontiguousarray(embedding, f"<{dtype}").tobytes(),
        np.ascontiguousarray(embedding, "<f4").tobytes(),
    )


def embedding_from(data: bytes, dtype: str, shape: tuple[int, int], template: str) -> Embedding:
    """Decode an embedding, float32 (P, C). Raises BadStore if the number of bytes does not match the shape."""
    if dtype not in ("f2", "f4") or len(data) != int(dtype[1]) * shape[0] * shape[1]:
        raise BadStore(f"The embedding of template {template!r} is damaged.")
    return np.frombuffer(data, f"<{dtype}").reshape(shape).astype(np.float32)


def stamp(moment: datetime) -> str:
    """A UTC time as text of fixed length, so that texts sort like times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def micros(moment: datetime) -> int:
    """A time in microseconds since 1970."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def moment(micros: int) -> datetime:
    """The UTC time of :func:`micros`."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def expiry(template: NewTemplate, ttl: float | None, created: datetime) -> datetime | None:
    """Expiry of a new template: its own value if it has one, otherwise the collection's time to live."""
    if template.expires is not None or ttl is None:
        return template.expires
    return created + timedelta(seconds=ttl)
