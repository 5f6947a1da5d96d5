"""Requests and replies about watch lists."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

MOST = 1000
_SUBJECTS = "Subjects of the collection that raise an event when they are seen."
_UNKNOWN = "Whether unknown walkers do."


class NewWatchlist(BaseModel):
    """A watch list to add."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(description="1 to 64 ASCII letters, digits, `_`, `-` and `.`.", examples=["banned"])
    collection: str = Field("default", description="Its collection.")
    subjects: list[str] = Field([], max_length=MOST, description=_SUBJECTS, examples=[["alice"]])
    unknown: bool = Field(False, description=_UNKNOWN)


class WatchlistChange(BaseModel):
    """Changes to a watch list. Fields that are null or left out keep their value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    subjects: list[str] | None = Field(None, max_length=MOST, description=f"{_SUBJECTS} Replaces the present ones.")
    unknown: bool | None = Field(None, description=_UNKNOWN)


class Watchlist(BaseModel):
    """Subjects of a collection, or unknown walkers, that raise an event when they are seen."""

    name: str
    collection: str
    subjects: list[str]
    unknown: bool
    created: datetime


class WatchlistsReply(BaseModel):
    """The watch lists of the caller's collections, by name."""

    watchlists: list[Watchlist]


class RemovedWatchlist(BaseModel):
    """The watch list that was removed."""

    name: str
