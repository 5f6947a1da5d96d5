"""What a caller may ask of the walkers and of the network beside their fields: a point, a least quality, a name."""

from __future__ import annotations

import re
from dataclasses import dataclass

import models
from gallery.errors import PoorQuality
from gallery.types import Identification, Reason, Verdict
from models import NETWORKS, GaitNetwork
from models.errors import UnknownNetwork
from models.weights import manifest
from pipelines.sequence import GaitSequence
from service.errors import InvalidRequest

POINT = r"\d{1,5}(\.\d{1,3})?,\d{1,5}(\.\d{1,3})?(@\d{1,5}(\.\d{1,3})?)?"
"""``x,y`` in pixels of the upright picture, or ``x,y@t`` at a time in seconds."""
NEAR_SECONDS = 0.25
"""How far from the time of a point a walker may have been seen last."""


@dataclass(frozen=True)
class Point:
    """A place in the picture, in pixels, and a time in seconds where one is given."""

    x: float
    y: float
    t: float | None = None


def point_of(text: str) -> Point:
    """Read ``x,y`` or ``x,y@t``.

    Raises:
        InvalidRequest: it is neither.
    """
    if not re.fullmatch(POINT, text, re.ASCII):
        raise InvalidRequest(f"{text!r} is no point: write x,y in pixels, or x,y@t with a time in seconds.")
    place, _, time = text.partition("@")
    x, y = map(float, place.split(","))
    return Point(x, y, float(time) if time else None)


def is_at(sequence: GaitSequence, point: Point) -> bool:
    """Whether a walker's box holds a point: in any frame, or in the one nearest to the point's time."""
    x1, y1, x2, y2 = sequence.boxes.T
    inside = (x1 <= point.x) & (point.x <= x2) & (y1 <= point.y) & (point.y <= y2)
    if point.t is None:
        return bool(inside.any())
    apart = abs(sequence.timestamps - point.t)
    nearest = int(apart.argmin())
    return bool(apart[nearest] <= NEAR_SECONDS and inside[nearest])


def require_quality(sequence: GaitSequence, least: float) -> None:
    """Raise PoorQuality where a walker's mean joint score is less than ``least``."""
    score = sequence.quality.mean_joint_score
    if score < least:
        raise PoorQuality(
            f"The walker has a mean joint score of {score:.2f}; at least {least:g} was asked for.", reasons=["joints"]
        )


def judged(found: Identification, least: float) -> Identification:
    """The answer, inconclusive where the walker's mean joint score is less than ``least``."""
    if found.verdict is Verdict.INCONCLUSIVE or found.quality.mean_joint_score >= least:
        return found
    return found.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": Reason.POOR_QUALITY})


def network_named(name: str) -> GaitNetwork:
    """A network that ships, by its name. A caller names no file.

    Raises:
        UnknownNetwork: there is none of that name.
        WeightsMissing, WeightsCorrupt: its weights are not here, or not right.
    """
    known = {*NETWORKS, *(entry.name for entry in manifest().values() if entry.kind == "network")}
    if name not in known:
        raise UnknownNetwork(f"There is no network {name!r}; known are {', '.join(sorted(known))}.", network=name)
    return models.load(name)
