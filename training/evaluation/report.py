"""Print an evaluation as tables. Figures are rounded only here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table

from gaitkeeper.training.evaluation.results import Estimate, Evaluation, Row

GROUPS = {"across": "across views", "same": "same view", "all": "all views"}


def tables(evaluation: Evaluation, *, views: bool = True) -> RenderableType:
    """Print all figures of an evaluation.

    Args:
        evaluation: the evaluation.
        views: also print the table of probe view × gallery view of each row.
    """
    parts: list[RenderableType] = [identification([evaluation])]
    if any(group.verification for row in evaluation.rows.values() for group in row.groups.values()):
        parts.append(_pairs(evaluation))
    if views:
        parts += [_views(name, row) for name, row in evaluation.rows.items() if len(row.probe_views) > 1]
    if evaluation.skipped:
        parts.append(f"{len(evaluation.skipped)} walks could not be embedded; the JSON names them.")
    return Stack(*parts)


def identification(evaluations: Sequence[Evaluation]) -> Table:
    """Print identification figures of several networks on one protocol, in percent."""
    first = evaluations[0]
    title = f"{first.dataset}, protocol {first.protocol}: {first.people} people, {first.walks} walks; % [95 % interval]"
    table = Table("network", "probes", "", "rank-1", "rank-5", "mAP", "mINP", "comparisons", title=title)
    for evaluation in evaluations:
        for name, row in evaluation.rows.items():
            for key, group in row.groups.items():
                found = group.identification
                mated = "" if found.mated == found.comparisons else f" ({found.mated} mated)"
                table.add_row(
                    network_label(evaluation),
                    name,
                    GROUPS[key],
                    _percent(found.metrics["rank_1"], interval=True),
                    *(_percent(found.metrics[metric]) for metric in ("rank_5", "map", "minp")),
                    f"{found.comparisons}{mated}",
                )
    return table


def network_label(evaluation: Evaluation) -> str:
    """The network's name, with the identity of its weights if it has some."""
    known = evaluation.weights not in ("", "none")
    return f"{evaluation.network} ({evaluation.weights})" if known else evaluation.network


def _pairs(evaluation: Evaluation) -> Table:
    table = Table("probes", "", "EER", title="Verification and open set; % [95 % interval], * too few pairs to tell")
    rates = _rates(evaluation)
    for rate in rates:
        table.add_column(f"FNMR at FMR {rate}")
    for rate in rates:
        table.add_column(f"FNIR at FPIR {rate}")
    table.add_column("gallery / strangers' probes")
    for name, row in evaluation.rows.items():
        for key, group in row.groups.items():
            one, many = group.verification, group.open_set
            fnmr, fnir = (one.fnmr if one else {}), (many.fnir if many else {})
            told, known = (one.resolved if one else {}), (many.resolved if many else {})
            table.add_row(
                name,
                GROUPS[key],
                _percent(one.eer, interval=True) if one else "–",
                *(_starred(fnmr.get(rate), told.get(rate, False)) for rate in rates),
                *(_starred(fnir.get(rate), known.get(rate, False)) for rate in rates),
                f"{many.gallery_subjects:g} people, {many.gallery_templates:.0f} templates / {many.stranger_probes:.0f}"
                if many
                else "–",
            )
    return table


def _rates(evaluation: Evaluation) -> list[str]:
    for row in evaluation.rows.values():
        for group in row.groups.values():
            if group.verification:
                return list(group.verification.fnmr)
    return []


def _views(name: str, row: Row) -> Table:
    table = Table("probe \\ gallery", *row.gallery_views, "mean of others", title=f"{name}: rank-1 by view, %")
    for view, values in zip(row.probe_views, row.rank_1, strict=True):
        others = [v for v, other in zip(values, row.gallery_views, strict=True) if other != view and not math.isnan(v)]
        mean = sum(others) / len(others) if others else math.nan
        table.add_row(view, *_numbers(values), *_numbers([mean]))
    return table


def _numbers(values: Iterable[float]) -> list[str]:
    return ["–" if math.isnan(value) else f"{100 * value:.1f}" for value in values]


def _starred(found: Estimate | None, resolved: bool) -> str:
    return "–" if found is None else _percent(found) + ("" if resolved else "*")


def _percent(found: Estimate, *, interval: bool = False) -> str:
    (text,) = _numbers([found.value])
    if not interval or math.isnan(found.low):
        return text
    return f"{text} [{100 * found.low:.1f}–{100 * found.high:.1f}]"
