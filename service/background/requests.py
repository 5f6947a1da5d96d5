"""Requests that can become jobs: enrolments, identifications, and looks at the walkers of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from gaitkeeper.service.options import EnrollOptions, IdentifyRequestOptions, LookOptions, complete
from gaitkeeper.service.schemas import EnrollReply, IdentifyReply, WalkersReply


@dataclass(frozen=True)
class EnrollRequest:
    """Enrol the walker of a clip as ``subject``, or several walkers as the subjects in the options."""

    subject: str | None
    options: EnrollOptions
    kind: ClassVar[Literal["enroll"]] = "enroll"
    reply: ClassVar[type[EnrollReply]] = EnrollReply
    needs_job: ClassVar[bool] = False

    @property
    def fields(self) -> dict[str, Any]:
        """Subject and options as JSON."""
        return {"subject": self.subject, **self.options}


@dataclass(frozen=True)
class IdentifyRequest:
    """Identify the walkers of a clip."""

    options: IdentifyRequestOptions
    kind: ClassVar[Literal["identify"]] = "identify"
    reply: ClassVar[type[IdentifyReply]] = IdentifyReply

    @property
    def fields(self) -> dict[str, Any]:
        """Options as JSON."""
        return {**self.options}

    @property
    def needs_job(self) -> bool:
        """Whether the result is more than a reply can hold."""
        return self.options["annotate"]


@dataclass(frozen=True)
class LookRequest:
    """Find the walkers of a clip."""

    options: LookOptions
    kind: ClassVar[Literal["walkers"]] = "walkers"
    reply: ClassVar[type[WalkersReply]] = WalkersReply
    needs_job: ClassVar[bool] = False

    @property
    def fields(self) -> dict[str, Any]:
        """Options as JSON."""
        return {**self.options}


ClipRequest = EnrollRequest | IdentifyRequest | LookRequest


def request_of(kind: str, fields: Mapping[str, Any]) -> ClipRequest:
    """The request of this kind with these fields, for example a stored one. Options that are missing get defaults."""
    if kind == EnrollRequest.kind:
        options = complete(EnrollOptions, fields)
        if options["subjects"]:  # JSON has no numbers for keys
            options["subjects"] = {int(track): subject for track, subject in options["subjects"].items()}
        return EnrollRequest(fields["subject"], options)
    if kind == LookRequest.kind:
        return LookRequest(complete(LookOptions, fields))
    return IdentifyRequest(complete(IdentifyRequestOptions, fields))
