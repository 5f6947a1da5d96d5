"""An evaluation as a CSV file, with every figure unrounded, and as a LaTeX table, with the columns of the field."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gaitkeeper.training.errors import BadEvaluation
from gaitkeeper.training.evaluation.report import GROUPS, network_label
from gaitkeeper.training.evaluation.results import Estimate, Evaluation, Group

METRICS = {"rank_1": "Rank-1", "rank_5": "Rank-5", "map": "mAP", "minp": "mINP"}
MAIN = ("across", "all", "same")
"""Groups of view pairs; a LaTeX table shows the first that a protocol has, as papers do."""

SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def as_json(evaluations: Sequence[Evaluation]) -> str:
    """All results, without rounding."""
    return json.dumps([one.as_json() for one in evaluations], indent=2, allow_nan=False) + "\n"


def as_csv(evaluations: Sequence[Evaluation]) -> str:
    """A line for each network, row of the protocol and group of view pairs; a header names the columns.

    Figures are shares in [0, 1] with all digits; ``_low`` and ``_high`` are the ends of the 95 % interval. An empty
    field is a figure that could not be computed.
    """
    lines = [
        {
            "network": one.network,
            "weights": one.weights,
            "dataset": one.dataset,
            "protocol": one.protocol,
            "part": one.part or "",
            "probes": row_name,
            "views": group_name,
            **_figures(group),
        }
        for one in evaluations
        for row_name, row in one.rows.items()
        for group_name, group in row.groups.items()
    ]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_latex(evaluations: Sequence[Evaluation]) -> str:
    """A table for the package booktabs, in percent, with a row for each network; the best of several is bold.

    A protocol with several rows (CASIA-B's NM, BG, CL) has a column of rank-1 for each, and their mean; one with a
    single row has rank-1, rank-5, mAP and mINP.

    Args:
        evaluations: of one data set and protocol, at least one.
    """
    first = evaluations[0]
    group = next(name for name in MAIN if all(name in row.groups for row in first.rows.values()))
    names, rows = _table(evaluations, group)
    best = [max((row[i] for row in rows if not math.isnan(row[i])), default=math.nan) for i in range(len(names))]
    body = [
        " & ".join([_escaped(network_label(one)), *(_cell(v, b, len(rows)) for v, b in zip(row, best, strict=True))])
        for one, row in zip(evaluations, rows, strict=True)
    ]
    kind = "rank-1 of each kind of probes" if len(first.rows) > 1 else f"probes {next(iter(first.rows))}"
    caption = (
        f"{first.dataset}, protocol {first.protocol}, {first.people} people, {first.walks} walks: {kind}, "
        f"{GROUPS[group]}, in %."
    )
    return "\n".join(
        (
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{_escaped(caption)}}}",
            f"  \\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', f'{first.dataset}-{first.protocol}').strip('-').lower()}}}",
            f"  \\begin{{tabular}}{{l{'r' * len(names)}}}",
            "    \\toprule",
            f"    {' & '.join(['Network', *map(_escaped, names)])} \\\\",
            "    \\midrule",
            *(f"    {line} \\\\" for line in body),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        )
    )


WRITERS: dict[str, Callable[[Sequence[Evaluation]], str]] = {".json": as_json, ".csv": as_csv, ".tex": as_latex}
"""Formats by the ending of a file's name."""


def writer_for(path: Path) -> Callable[[Sequence[Evaluation]], str]:
    """The format of a file.

    Raises:
        BadEvaluation: its name has another ending.
    """
    if path.suffix not in WRITERS:
        raise BadEvaluation(f"The results are written to names that end in {', '.join(WRITERS)}, not to {path}.")
    return WRITERS[path.suffix]


def _figures(group: Group) -> dict[str, object]:
    found: dict[str, object] = {
        "comparisons": group.identification.comparisons,
        "mated": group.identification.mated,
        "people": group.identification.people,
    }
    estimates = {**group.identification.metrics, "rank_1_mated": group.identification.rank_1_mated}
    if group.verification is not None:
        estimates["eer"] = group.verification.eer
        estimates |= {f"fnmr_at_fmr_{rate}": value for rate, value in group.verification.fnmr.items()}
    if group.open_set is not None:
        estimates |= {f"fnir_at_fpir_{rate}": value for rate, value in group.open_set.fnir.items()}
    for name, value in estimates.items():
        found |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return {name: "" if isinstance(v, float) and not math.isfinite(v) else v for name, v in found.items()}


def _table(evaluations: Sequence[Evaluation], group: str) -> tuple[list[str], list[list[float]]]:
    """Names of the columns, and the figures of each network in percent."""

    def figures(one: Evaluation, row: str) -> dict[str, Estimate]:
        return one.rows[row].groups[group].identification.metrics

    names = list(evaluations[0].rows)
    if len(names) == 1:
        rows = [[100 * figures(one, names[0])[metric].value for metric in METRICS] for one in evaluations]
        return list(METRICS.values()), rows
    rows = [[100 * figures(one, name)["rank_1"].value for name in names] for one in evaluations]
    return [*names, "Mean"], [[*row, sum(row) / len(row)] for row in rows]


def _cell(value: float, best: float, networks: int) -> str:
    if math.isnan(value):
        return "--"
    text = f"{value:.1f}"
    return f"\\textbf{{{text}}}" if networks > 1 and text == f"{best:.1f}" else text


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)
