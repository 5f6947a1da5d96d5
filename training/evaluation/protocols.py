"""Standard protocols: gallery walks, probe walks, and compared views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from gaitkeeper.training.datasets.sample import Sample
from gaitkeeper.training.errors import UnknownFormat

Patterns = tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """A protocol of identification.

    Patterns, with ``*``, are matched against ``Sample.recording``, ``nm-01``.

    Attributes:
        name: key in ``PROTOCOLS``.
        source: publication.
        probes: patterns of the probes of each row of the table.
        gallery: patterns of the gallery; or by row, if they differ.
        views: "each": one gallery per view, and a table of probe view × gallery view, whose mean excludes identical
            views; "pooled": one gallery of all views.
        partition: its usual division of people, key of ``gaitkeeper.training.datasets.partitions``; None for all
            people.
        leave_one_out: every walk is a probe against all others except those of its own recording.
        listed_probes: the partition file lists the probes one by one; all other walks are the gallery.
    """

    name: str
    source: str
    probes: Mapping[str, Patterns]
    gallery: Patterns | Mapping[str, Patterns]
    views: Literal["each", "pooled"] = "each"
    partition: str | None = None
    leave_one_out: bool = False
    listed_probes: bool = False
    note: str = field(default="")

    def is_probe(self, row: str, sample: Sample) -> bool:
        """True if the walk is a probe of that row."""
        return _matches(sample.recording, self.probes[row])

    def is_gallery(self, row: str, sample: Sample) -> bool:
        """True if the walk is in the gallery of the row."""
        patterns = self.gallery[row] if isinstance(self.gallery, Mapping) else self.gallery
        return _matches(sample.recording, patterns)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "casia_b",
            source="GaitPart, section 4.1, after Wu et al., TPAMI 39(2), 2017",
            probes={"NM": ("nm-05", "nm-06"), "BG": ("bg-01", "bg-02"), "CL": ("cl-01", "cl-02")},
            gallery=("nm-01", "nm-02", "nm-03", "nm-04"),
            partition="casia_b_74",
        ),
        Protocol(
            "oumvlp",
            source="Takemura et al., IPSJ T-CVA 10(4), 2018; GaitPart, section 4.1",
            probes={"NM": ("00",)},
            gallery=("01",),
            partition="oumvlp",
            note="The walks are named 00 and 01 on disk; GaitPart calls the gallery #01 and the probes #02.",
        ),
        Protocol(
            "psymo",
            source="people 0-4, gallery nm run 0",
            probes={
                "NM": ("nm-1",),
                "BG": ("bg-0",),
                "CL": ("cl-0",),
                "PH": ("ph-0",),
                "TXT": ("txt-0",),
                "WSF": ("wsf-0",),
                "WSS": ("wss-0",),
            },
            gallery=("nm-0",),
        ),
        Protocol(
            "kth",
            source="enrolled outdoors (d1); views are the walker's headings",
            probes={"D2": ("d2-*",), "D3": ("d3-*",), "D4": ("d4-*",)},
            gallery=("d1-*",),
        ),
        Protocol(
            "tum",
            source="the first pass enrolled; 2 and 4 go the other way",
            probes={"2": ("nm-2",), "3": ("nm-3",), "4": ("nm-4",)},
            gallery=("nm-1",),
            views="pooled",
        ),
        Protocol(
            "ccpg",
            source="Li et al., CVPR 2023, gait recognition setting: views are cameras",
            probes={
                "CL": ("U0_D0_BG-*", "U0_D0-*"),
                "UP": ("U3_D3-*",),
                "DN": ("U1_D0-*",),
                "BG": ("U0_D0_BG-*",),
            },
            gallery={
                "CL": ("U1_D1-*", "U2_D2-*", "U3_D3-*"),
                "UP": ("U0_D3-*",),
                "DN": ("U1_D1-*",),
                "BG": ("U0_D0-*",),
            },
            partition="ccpg",
        ),
        Protocol(
            "sustech1k",
            source="Shen et al., CVPR 2023",
            probes={
                "Normal": ("nm-01",),
                "Bag": ("*bg*",),
                "Clothing": ("*cl*",),
                "Carrying": ("*cr*",),
                "Umbrella": ("*ub*",),
                "Uniform": ("*uf*",),
                "Occlusion": ("*oc*",),
                "Night": ("*nt*",),
                "Overall": ("*-01*", "*-02*", "*-03*", "*-04*"),
            },
            gallery=("nm-00",),
            partition="sustech1k",
        ),
        Protocol(
            "grew",
            source="Zhu et al., ICCV 2021; test people's first walk against their second, for the official probes are "
            "unlabelled",
            probes={"all": ("02",)},
            gallery=("01",),
            views="pooled",
            partition="grew",
        ),
        Protocol(
            "gait3d",
            source="Zheng et al., CVPR 2022; give the data set's own JSON list as partition",
            probes={"all": ("*",)},
            gallery=("*",),
            views="pooled",
            listed_probes=True,
        ),
        Protocol(
            "walkers_xl",
            source="Walkers-XL, enrolled from four sides, seen from anywhere",
            probes={"all": ("*-probe*",), "NM": ("nm-probe*",), "BG": ("bg-probe*",), "CL": ("cl-probe*",)},
            gallery=("nm-enrol*",),
            views="pooled",
            partition="walkers_xl",
        ),
        Protocol(
            "leave_one_out",
            source="every walk against all others, those of its own recording left out",
            probes={"all": ("*",)},
            gallery=("*",),
            views="pooled",
            leave_one_out=True,
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol with that name.

    Raises:
        UnknownFormat: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise UnknownFormat(f"There is no protocol {name!r}; known are {', '.join(sorted(PROTOCOLS))}.")
    return PROTOCOLS[name]


def _matches(recording: str, patterns: Patterns) -> bool:
    return any(fnmatchcase(recording, pattern) for pattern in patterns)
