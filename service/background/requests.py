"""Requests that can become jobs: enrolments and identifications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from gaitkeeper.service.options import EnrollOptions, IdentifyRequestOptions, complete
from gaitkeeper.service.schemas import EnrollReply, IdentifyReply


@dataclass(frozen=True)
class EnrollRequest:
    """Enrol the walker of a clip as ``subject``."""

    subject: str
    options: EnrollOptions
    kind: ClassVar[Literal["enroll"]] = "enroll"
    reply: ClassVar[type[EnrollReply]] = EnrollReply

    @property
    def fields(self) -> dict[str, Any]:
        """Subject and options as JSON."""
        return {"subject": self.subject, **self.options}

    @property
    def needs_job(self) -> bool:
        """Whether the result is more than a reply can hold."""
        return False


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


ClipRequest = EnrollRequest | IdentifyRequest


def request_of(kind: str, fields: Mapping[str, Any]) -> ClipRequest:
    """The request of this kind with these fields, for example a stored one. Options that are missing get defaults."""
    if kind == EnrollRequest.kind:
        return EnrollRequest(fields["subject"], complete(EnrollOptions, fields))
    return IdentifyRequest(complete(IdentifyRequestOptions, fields))
