"""Parsers and checks of request options: a point in the picture, a minimum quality, a network's name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gaitkeeper import models
from gaitkeeper.gallery.errors import PoorQuality
from gaitkeeper.gallery.types import Identification, Reason, Verdict
from gaitkeeper.models import NETWORKS, GaitNetwork
from gaitkeeper.models.errors import UnknownNetwork
from gaitkeeper.models.weights import manifest
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.errors import InvalidRequest
from gaitkeeper.service.options import POINT, EnrollOptions, complete

NEAR_SECONDS = 0.25
"""Maximum distance in seconds between the time of a point and the nearest frame that shows the walker."""


@dataclass(frozen=True)
class Point:
    """A position in the picture, in pixels, and optionally a time in seconds."""

    x: float
    y: float
    t: float | None = None


def point_of(text: str) -> Point:
    """Parse ``x,y`` or ``x,y@t``.

    Raises:
        InvalidRequest: the text has neither form.
    """
    if not re.fullmatch(POINT, text, re.ASCII):
        raise InvalidRequest(f"{text!r} is not a point: write x,y in pixels, or x,y@t with a time in seconds.")
    place, _, time = text.partition("@")
    x, y = map(float, place.split(","))
    return Point(x, y, float(time) if time else None)


def check_source(has_clip: bool, handle: str | None, rotate: int | None, *, annotate: bool = False) -> None:
    """Check that a request has either a clip or a handle, and with a handle neither turns nor annotates the clip.

    Raises:
        InvalidRequest: it has both or neither, or turns or annotates what the handle stands for.
    """
    if has_clip and handle is not None:
        raise InvalidRequest("A handle stands for a clip: send one of both.", errors=_errors("handle", "clip"))
    if not has_clip and handle is None:
        sentence = "a clip is required, or the handle of one that was looked at"
        raise InvalidRequest(f"clip: {sentence}.", errors=[{"field": "clip", "message": sentence}])
    if handle is not None and rotate is not None:
        raise InvalidRequest(
            "`rotate` turns a clip before it is looked at, and that of a handle was looked at already.",
            errors=_errors("handle", "rotate"),
        )
    if handle is not None and annotate:
        raise InvalidRequest(
            "`annotate` draws into the clip, and a handle keeps no clip: send the clip again.",
            errors=_errors("handle", "annotate"),
        )


def check_names(subject: str | None, given: EnrollOptions, clips: int) -> None:
    """Check that an enrolment says in one way who walks.

    Args:
        subject: the only walker, if it is given.
        given: options of the enrolment.
        clips: number of clips.

    Raises:
        InvalidRequest: it says so in two ways, in none, or not for the given clips.
    """
    options = complete(EnrollOptions, given)
    chooses = [name for name in ("track", "point") if options[name] is not None]
    if options["subjects"] and (subject is not None or chooses or clips > 1):
        raise InvalidRequest(
            "`subjects` says who each walker of one clip is: leave out `subject`, `track` and `point`, and send one "
            "clip.",
            errors=_errors("subjects"),
        )
    if not options["subjects"] and subject is None:
        sentence = "a subject is required, or subjects by track"
        raise InvalidRequest(f"subject: {sentence}.", errors=[{"field": "subject", "message": sentence}])
    if clips > 1 and chooses:
        raise InvalidRequest("`track` and `point` choose a walker of one clip: send one clip, or leave them out.")


def _errors(*fields: str) -> list[dict[str, str]]:
    return [{"field": field, "message": "cannot be combined with the other fields of the request"} for field in fields]


def is_at(sequence: GaitSequence, point: Point) -> bool:
    """Whether a walker's box contains a point: in any frame, or in the frame nearest to the point's time."""
    x1, y1, x2, y2 = sequence.boxes.T
    inside = (x1 <= point.x) & (point.x <= x2) & (y1 <= point.y) & (point.y <= y2)
    if point.t is None:
        return bool(inside.any())
    apart = abs(sequence.timestamps - point.t)
    nearest = int(apart.argmin())
    return bool(apart[nearest] <= NEAR_SECONDS and inside[nearest])


def require_quality(sequence: GaitSequence, least: float) -> None:
    """Raise PoorQuality if a walker's mean joint score is below ``least``."""
    score = sequence.quality.mean_joint_score
    if score < least:
        raise PoorQuality(
            f"The walker has a mean joint score of {score:.2f}; at least {least:g} is required.", reasons=["joints"]
        )


def judged(found: Identification, least: float) -> Identification:
    """The answer, changed to inconclusive if the walker's mean joint score is below ``least``."""
    if found.verdict is Verdict.INCONCLUSIVE or found.quality.mean_joint_score >= least:
        return found
    return found.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": Reason.POOR_QUALITY})


def is_file_name(name: str | None) -> bool:
    """Whether this names a file of weights, and not a network."""
    return name is not None and name.endswith(".safetensors")


def network_named(name: str, *, files: bool = False) -> GaitNetwork:
    """Load a network that ships, by its name, or any by its file.

    Args:
        name: the name, or the path of a file.
        files: whether a file may be named. Callers of a service cannot.

    Raises:
        UnknownNetwork: no network has this name, or a file may not be named.
        WeightsMissing, WeightsCorrupt: its weights are missing or damaged.
    """
    if is_file_name(name):
        if files:
            return models.load(name)
        raise UnknownNetwork(
            f"{name!r} is a file, and a service takes only names: start it with GAITKEEPER_NETWORK set to the file, or "
            "give it to a command without --server.",
            network=name,
        )
    known = {*NETWORKS, *(entry.name for entry in manifest().values() if entry.kind == "network")}
    if name not in known:
        raise UnknownNetwork(
            f"The network {name!r} does not exist; known are {', '.join(sorted(known))}.", network=name
        )
    return models.load(name)
