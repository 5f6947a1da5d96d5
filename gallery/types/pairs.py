"""Types about two subjects who may be one person."""

from __future__ import annotations

from pydantic import Field

from gaitkeeper.gallery.types import Record, Threshold


class Merge(Record):
    """Result of merging a subject into another one."""

    collection: str
    subject: str = Field(description="The subject that remains.")
    other: str = Field(description="The id that no longer exists.")
    templates: int = Field(description="Templates that now belong to the remaining subject instead of the other one.")
    pending: bool = Field(description="True if the store still has to overwrite the other subject's bytes on disk.")


class Double(Record):
    """Two subjects who are likely the same person."""

    subject: str = Field(description="The subject whose id comes first.")
    other: str = Field(description="The other subject.")
    template: str = Field(description="Id of the subject's template that is nearest to the other subject.")
    other_template: str = Field(description="Id of the other subject's template that is nearest to it.")
    distance: float = Field(ge=0, description="Part-wise distance between these two templates.")
    confidence: float | None = Field(description="In [0, 1], falling with the distance.")
    threshold: Threshold


def nearness(double: Double) -> tuple[float, str, str]:
    """Key to sort by: the distance as a share of the threshold; of equals, by id."""
    limit = double.threshold.value
    return (double.distance / limit if limit else 0.0, double.subject, double.other)
