"""Results of an evaluation: plain records that serialise to JSON, without rounding."""

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
            over probe views. Every probe counts in rank-k, even if its person is not in the gallery; "map" and
            "minp" are over probes with a mate. Rank-k counts templates, as usual in the field.
        rank_1_mated: "rank_1" only over probes with a mate.
        cmc: rank-1 to rank-20.
        comparisons: probes × galleries.
        mated: comparisons with a mate.
        people: number of people of the probes.
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
        fnmr: false non-match rate at each false match rate, "0.01" and "0.001".
        genuine, impostor: number of pairs.
        resolved: by rate, False if less than one impostor pair would match: the figure is then at a false match rate
            of 0.
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
    """Identification in a gallery that does not contain all people; the mean over draws of the enrolled people.

    Attributes:
        fnir: at each false-positive identification rate, "0.01" and "0.001": share of enrolled people's probes whose
            own person is not the nearest, or is beyond the threshold.
        gallery_subjects, gallery_templates: enrolled people, and searched templates per probe, means over draws.
        mated_probes, stranger_probes: numbers of probes, means over draws.
        resolved: by rate, False if there are too few strangers for it.
        draws: number of draws of the enrolled people.
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
        rank_1: by probe view and gallery view, nan without comparisons.
        probes: number of probes by probe view and gallery view.
        groups: "across" excludes identical views, "same" has only identical views; "all" for pooled views.
    """

    probe_views: list[str]
    gallery_views: list[str]
    rank_1: list[list[float]]
    probes: list[list[int]]
    groups: dict[str, Group]


@dataclass(frozen=True)
class Evaluation:
    """All results of one evaluation.

    Attributes:
        network, weights: the evaluated network.
        dataset, protocol, part: data set, protocol, and part of the partition.
        walks, people: numbers of embedded walks and of their people.
        skipped: walks that could not be embedded, with the reason, by key.
        settings: seeds and numbers of draws.
        rows: results by row of the protocol.
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
        """Convert to plain dicts and lists; NaN becomes None."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
