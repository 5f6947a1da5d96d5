"""The order of a batch, and the lines of its file of results."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from gaitkeeper.gallery.types import Record, Resemblance, Template
from gaitkeeper.service.batch.archive import Item
from gaitkeeper.service.options import EnrollOptions, IdentifyOptions, complete
from gaitkeeper.service.problems import exit_code
from gaitkeeper.service.schemas import Person


class Order(Record):
    """The order: what to do with every clip of an archive. It is the first line of the file of results.

    Attributes:
        kind: the operation.
        place: path or URL of the archive.
        made: creation time of the collection. Every host checks it to ensure that it has the same store.
        options: all options of the operation, as of :mod:`gaitkeeper.service.options`. They may also be given as fields
            of their own, as in the files of earlier versions.
    """

    kind: Literal["enroll", "identify"]
    place: str
    made: datetime
    options: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: dict[str, Any]) -> dict[str, Any]:
        kind: Any = EnrollOptions if given.get("kind") == "enroll" else IdentifyOptions
        own: dict[str, Any] = {name: given[name] for name in ("kind", "place", "made") if name in given}
        return {**own, "options": complete(kind, given.get("options", given))}


class Trouble(Record):
    """Why a clip was not enrolled or identified."""

    code: str
    detail: str


class Line(Item):
    """Result of one clip."""

    seconds: float = Field(description="Seconds that the clip took.")
    sha256: str | None = Field(None, description="Digest of the clip; null if it could not be read.")
    template: Template | None = Field(None, description="Template of an enrolment.")
    warning: Resemblance | None = Field(None, description="Another subject that the walker matches, if there is one.")
    people: list[Person] | None = Field(None, description="Walkers of an identification.")
    problem: Trouble | None = Field(None, description="The error, if there is no result.")

    @property
    def final(self) -> bool:
        """Whether the result is final: the clip was processed, or the clip itself causes the failure."""
        return self.problem is None or not is_ours(self.problem.code)


class Failed(BaseModel):
    """A clip that failed."""

    clip: str
    code: str
    detail: str


class Warned(BaseModel):
    """A clip that was enrolled although its walker matches another subject; see ``--strict``."""

    clip: str
    subject: str = Field(description="Subject of the enrolment.")
    other: str = Field(description="The other subject.")
    detail: str


class BatchReport(BaseModel):
    """Result of a batch. Includes clips that an earlier run with the same file of results processed."""

    results: str = Field(description="The file of results.")
    clips: int = Field(description="Clips in the archive.")
    done: int = Field(description="Clips that are enrolled or identified.")
    duplicates: int = Field(description="Of these, clips whose walker had been enrolled before.")
    earlier: int = Field(description="Clips that an earlier run had settled.")
    failed: list[Failed]
    warned: list[Warned] = Field(
        [], description="Clips that were enrolled although the walker matches another subject."
    )
    seconds: float


def is_ours(code: str) -> bool:
    """Whether the service or its machines cause an error, so that a retry may succeed."""
    return exit_code(code) == 1
