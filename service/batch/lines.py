"""What is asked of a batch, and what it says: the lines of a file of results."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from gallery.types import Record, Resemblance, Template
from service.batch.archive import Item
from service.problems import exit_code
from service.schemas import Person


class Order(Record):
    """What to do with every clip of an archive; the first line of its file of results.

    Attributes:
        kind: what is done.
        place: path or URL of the archive.
        collection: acted on.
        made: when that was made, by which every host proves that it has the same store.
        network, camera, rotate, min_quality, strict, top_k, fpir, where: as of
            :class:`service.recognition.engine.Engine`.
    """

    kind: Literal["enroll", "identify"]
    place: str
    collection: str
    made: datetime
    network: str | None = None
    camera: str | None = None
    rotate: int | None = None
    min_quality: float = 0.0
    strict: bool = False
    top_k: int = 5
    fpir: float = 0.01
    where: dict[str, str] = Field(default_factory=dict)


class Trouble(Record):
    """Why a clip was not enrolled or identified."""

    code: str
    detail: str


class Line(Item):
    """What became of one clip."""

    seconds: float = Field(description="That it took.")
    sha256: str | None = Field(None, description="Digest of the clip; null where it could not be read.")
    template: Template | None = Field(None, description="Of an enrolment.")
    warning: Resemblance | None = Field(None, description="Where the walker matches somebody else who is enrolled.")
    people: list[Person] | None = Field(None, description="Of an identification.")
    problem: Trouble | None = Field(None, description="Why there is nothing of these.")

    @property
    def final(self) -> bool:
        """Whether doing it again would change nothing: it was done, or the clip itself is at fault."""
        return self.problem is None or not is_ours(self.problem.code)


class Failed(BaseModel):
    """A clip that failed."""

    clip: str
    code: str
    detail: str


class Warned(BaseModel):
    """A clip that was enrolled although its walker matches another subject; see ``--strict``."""

    clip: str
    subject: str = Field(description="Enrolled as.")
    other: str = Field(description="The other subject.")
    detail: str


class BatchReport(BaseModel):
    """What came of a batch, those clips included that were done by an earlier run on the same file of results."""

    results: str = Field(description="The file of results.")
    clips: int = Field(description="Clips in the archive.")
    done: int = Field(description="Clips that are enrolled or identified.")
    duplicates: int = Field(description="Of these, clips whose walker had been enrolled before.")
    earlier: int = Field(description="Clips that an earlier run had settled.")
    failed: list[Failed]
    warned: list[Warned] = Field([], description="Clips whose walkers match another subject; enrolled all the same.")
    seconds: float


def is_ours(code: str) -> bool:
    """Whether an error is the fault of the service or its machines, which may be gone the next time."""
    return exit_code(code) == 1
