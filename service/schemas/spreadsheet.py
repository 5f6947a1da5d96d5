"""Identifications and sightings as CSV, for spreadsheets and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from gaitkeeper.gallery.types import Candidate
from gaitkeeper.gallery.types.sightings import Sighting
from gaitkeeper.service.schemas import IdentifyReply, Person

MEDIA_TYPE = "text/csv"
COLUMNS = (
    *("collection", "clip_sha256", "track", "start", "end", "frames", "verdict", "reason", "subject", "same_as"),
    *("rank", "candidate", "distance", "confidence", "threshold", "fpir", "basis", "stranger"),
)
SIGHTING_COLUMNS = (
    *("time", "collection", "camera", "verdict", "reason", "subject", "distance", "confidence", "stranger", "source"),
    *("clip_sha256", "track", "start", "end", "expires", "id"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters by which a spreadsheet takes a text for a formula."""

Cell = str | int | float | None


def people_csv(reply: IdentifyReply) -> str:
    """The walkers of a clip as CSV (RFC 4180): a header, then a row for each candidate of each walker.

    ``subject`` is filled only if the verdict is a match; ``candidate`` is the subject of that rank, whatever the
    verdict. A walker without candidates has one row. Texts are in quotes. One that a spreadsheet would take for a
    formula has an apostrophe before it.
    """
    return _table(COLUMNS, (row for person in reply.people for row in _rows(reply, person)))


def sightings_csv(sightings: Iterable[Sighting]) -> str:
    """Sightings as CSV, a row each, in the form of :func:`people_csv`. Times are ISO 8601."""
    rows = (one.model_dump(mode="json", include=set(SIGHTING_COLUMNS)) for one in sightings)
    return _table(SIGHTING_COLUMNS, ([row[column] for column in SIGHTING_COLUMNS] for row in rows))


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return out.getvalue()


def _rows(reply: IdentifyReply, person: Person) -> Iterator[list[Cell]]:
    named = person.named
    limit = person.threshold
    candidates: list[Candidate | None] = [*person.candidates] or [None]
    for candidate in candidates:
        yield [
            *(reply.collection, reply.clip.sha256, person.track, person.start, person.end, person.quality.frames),
            *(str(person.verdict), None if person.reason is None else str(person.reason), named, person.same_as),
            *(
                (None,) * 4
                if candidate is None
                else (candidate.rank, candidate.subject, candidate.distance, candidate.confidence)
            ),
            *(limit.value, limit.fpir, limit.basis, person.stranger),
        ]


def _safe(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.startswith(FORMULA):
        return f"'{cell}"
    return "" if cell is None else cell
