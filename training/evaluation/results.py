"""What an evaluation found: plain records that serialise to JSON, nothing rounded."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval: percentiles 2.5 and 97.5 of a bootstrap over people."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Identification:
    """Closed-set identification of one group of view pairs.

    Attributes:
        metrics: "rank_1", "rank_5", "map", "minp", all in [0, 1]: mean over the gallery views of each probe view, then
            over probe views. Every probe counts in rank-k, also one whose person is not in the gallery; "map" and
            "minp" are over probes that have a mate. Rank-k counts templates, as the field does.
        rank_1_mated: "rank_1" over probes that have a mate alone.
        cmc: rank-1 to rank-20.
        comparisons: probes × galleries.
        mated: of these, those with a mate.
        people: of the probes.
    """

    metrics: dict[str, Estimate]
    rank_1_mated: Estimate
    cmc: list[float]
    comparisons: int
    mated: int
    people: int


@dataclass(frozen=True)
class Verification:
    """One-to-one comparison of probes and gallery templates.

    Attributes:
        eer: equal error rate.
        fnmr: at each false match rate, "0.01" and "0.001".
        genuine, impostor: number of pairs.
        resolved: by rate, False if fewer than one impostor pair would have to match: the figure is then at a false
            match rate of 0.
        det: points of the trade-off, (fmr, fnmr), thinned for plots.
    """

    eer: Estimate
    fnmr: dict[str, Estimate]
    genuine: int
    impostor: int
    resolved: dict[str, bool]
    det: list[tuple[float, float]]


@dataclass(frozen=True)
class OpenSet:
    """Identification in a gallery that not everyone is in; the mean over draws of who is enrolled.

    Attributes:
        fnir: at each false-positive identification rate, "0.01" and "0.001": share of enrolled people's probes whose
            own person is not the nearest, or is beyond the threshold.
        gallery_subjects, gallery_templates: enrolled people, and templates a probe was searched in, means over draws.
        mated_probes, stranger_probes: their numbers, means over draws.
        resolved: by rate, False if the strangers are too few to tell it.
        draws: how often the enrolled people were drawn.
    """

    fnir: dict[str, Estimate]
    gallery_subjects: float
    gallery_templates: float
    mated_probes: float
    stranger_probes: float
    resolved: dict[str, bool]
    draws: int


@dataclass(frozen=True)
class Group:
    """All figures of one group of view pairs: "across", "same" or "all"."""

    identification: Identification
    verification: Verification | None
    open_set: OpenSet | None


@dataclass(frozen=True)
class Row:
    """One row of a protocol: its probes' views, the table of probe view × gallery view, and the groups.

    Attributes:
        probe_views, gallery_views: names of the table's rows and columns.
        rank_1: by probe view and gallery view, nan where nothing was compared.
        probes: likewise, number of probes.
        groups: "across" leaves identical views out, "same" is identical views alone; "all" where views are pooled.
    """

    probe_views: list[str]
    gallery_views: list[str]
    rank_1: list[list[float]]
    probes: list[list[int]]
    groups: dict[str, Group]


@dataclass(frozen=True)
class Evaluation:
    """Everything one evaluation found.

    Attributes:
        network, weights: what was evaluated.
        dataset, protocol, part: on what and how.
        walks, people: embedded.
        skipped: walks that could not be, by key, and why.
        settings: seeds and numbers of draws.
        rows: by the protocol's rows.
    """

    network: str
    weights: str
    dataset: str
    protocol: str
    part: str | None
    walks: int
    people: int
    skipped: dict[str, str]
    settings: dict[str, Any]
    rows: dict[str, Row]

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists; what is not a number is None."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
