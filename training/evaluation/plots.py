"""Plots of an evaluation: error trade-off, cumulative matches, rank-1 by view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import norm

from gaitkeeper.training.evaluation.report import GROUPS
from gaitkeeper.training.evaluation.results import Evaluation, Group

TICKS = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6)
DPI = 150


def draw(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write ``det.png``, ``cmc.png`` and, for the first evaluation, ``views-ROW.png`` for every row with views.

    Args:
        evaluations: evaluations with one protocol, one per network; the first two plots show all.
        folder: folder, created if missing.

    Returns:
        The written files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [cmc(evaluations, folder / "cmc.png")]
    if any(group.verification for e in evaluations for row in e.rows.values() for group in row.groups.values()):
        written.insert(0, det(evaluations, folder / "det.png"))
    for name, row in evaluations[0].rows.items():
        if len(row.probe_views) > 1:
            written.append(views(evaluations[0], name, folder / f"views-{name}.png"))
    return written


def det(evaluations: Sequence[Evaluation], path: Path) -> Path:
    """False non-match against false match rate, on normal deviate scales (Martin et al., Eurospeech 1997)."""
    figure = Figure((6, 6), layout="constrained")
    axes = figure.subplots()
    for label, group in _lines(evaluations):
        if group.verification is not None:
            points = np.array(group.verification.det).clip(1e-5, 1 - 1e-5)
            axes.plot(*norm.ppf(points.T), label=label, drawstyle="steps-post")
    ticks = norm.ppf(TICKS)
    axes.set_xticks(ticks, [f"{100 * t:g}" for t in TICKS])
    axes.set_yticks(ticks, [f"{100 * t:g}" for t in TICKS])
    axes.set(xlim=norm.ppf((2e-4, 0.75)), ylim=norm.ppf((2e-4, 0.75)))
    axes.set(xlabel="false match rate, %", ylabel="false non-match rate, %", title=_title(evaluations[0]))
    return _save(figure, path)


def cmc(evaluations: Sequence[Evaluation], path: Path) -> Path:
    """Share of probes whose person is among the nearest k templates."""
    figure = Figure((6, 5), layout="constrained")
    axes = figure.subplots()
    for label, group in _lines(evaluations):
        values = group.identification.cmc
        axes.plot(range(1, len(values) + 1), 100 * np.array(values), label=label, marker=".")
    axes.set(xlabel="rank", ylabel="probes, %", ylim=(0, 101), title=_title(evaluations[0]))
    return _save(figure, path)


def views(evaluation: Evaluation, name: str, path: Path) -> Path:
    """Rank-1 by probe view and gallery view as a heat map with its figures."""
    row = evaluation.rows[name]
    values = 100 * np.array(row.rank_1)
    figure = Figure((1.5 + 0.6 * len(row.gallery_views), 1.2 + 0.5 * len(row.probe_views)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(values, vmin=0, vmax=100, cmap="viridis")
    axes.set_xticks(range(len(row.gallery_views)), row.gallery_views, rotation=90)
    axes.set_yticks(range(len(row.probe_views)), row.probe_views)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 60 else "black", size=8)
    axes.set(xlabel="gallery view", ylabel="probe view", title=f"{evaluation.network}, {name}: rank-1, %")
    figure.colorbar(picture, ax=axes)
    return _save(figure, path)


def _lines(evaluations: Sequence[Evaluation]) -> Iterator[tuple[str, Group]]:
    """A label and a group for each line of a plot."""
    for evaluation in evaluations:
        for name, row in evaluation.rows.items():
            for key, group in row.groups.items():
                prefix = f"{evaluation.network} " if len(evaluations) > 1 else ""
                yield f"{prefix}{name}, {GROUPS[key]}", group


def _title(evaluation: Evaluation) -> str:
    return f"{evaluation.dataset}, protocol {evaluation.protocol}"


def _save(figure: Figure, path: Path) -> Path:
    axes = figure.axes[0]
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
    if not axes.images:
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_figure(str(path), dpi=DPI)
    return path
