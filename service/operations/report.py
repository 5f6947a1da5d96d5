"""The demo's report: one self-contained HTML file."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined

from gaitkeeper.gallery.types import Candidate, Identification, Template
from gaitkeeper.pipelines.inspect import silhouette_strip, skeleton_strip
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.recognition.pictures import png

if TYPE_CHECKING:
    from gaitkeeper.service.operations.demo import Demo


@dataclass(frozen=True)
class Bar:
    """One candidate of a bar chart.

    Attributes:
        candidate: the candidate.
        share: length relative to the longest bar in the report, in [0, 1].
        truth: whether the candidate is the walker; None if unknown.
    """

    candidate: Candidate
    share: float
    truth: bool | None


@dataclass(frozen=True)
class Walker:
    """One walker in the report.

    Attributes:
        title: name or track number.
        clip: name of the clip.
        thumbnail, silhouettes, skeletons: pictures as data URIs.
        about: the template or identification: times, quality.
        bars: candidates, nearest first; empty for an enrolled walker.
    """

    title: str
    clip: str
    thumbnail: str
    silhouettes: str
    skeletons: str
    about: Template | Identification
    bars: tuple[Bar, ...] = ()


def render(demo: Demo) -> str:
    """The report as HTML."""
    longest = max((c.distance for probe in demo.probes for p in probe.reply.people for c in p.candidates), default=0.0)
    enrolled = [
        _walker(item.template.subject, item.clip.name, item.sequence, item.thumbnail, item.template)
        for item in demo.enrolled
    ]
    probes = [
        _walker(
            f"{probe.clip.name}, track {person.track}",
            probe.clip.name,
            probe.sequence(person.track),
            probe.thumbnail(person.track),
            person,
            tuple(
                Bar(c, c.distance / longest if longest else 0.0, probe.is_truth(c.subject)) for c in person.candidates
            ),
        )
        for probe in demo.probes
        for person in probe.reply.people
    ]
    environment = Environment(
        loader=PackageLoader("gaitkeeper.service"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(demo=demo, enrolled=enrolled, probes=probes)


def _walker(
    title: str,
    clip: str,
    sequence: GaitSequence,
    thumbnail: bytes,
    about: Template | Identification,
    bars: tuple[Bar, ...] = (),
) -> Walker:
    return Walker(
        title,
        clip,
        _data_uri("image/jpeg", thumbnail),
        _png(silhouette_strip(sequence)),
        _png(skeleton_strip(sequence)),
        about,
        bars,
    )


def _png(image: npt.NDArray[Any]) -> str:
    return _data_uri("image/png", png(image))


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
