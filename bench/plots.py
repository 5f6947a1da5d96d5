"""The page's plots, drawn from each bench's JSON as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Section = Mapping[str, Any]
STAGES = ("decode", "perception", "tracking")


def networks(found: Section, axes: Axes) -> None:
    """Milliseconds of a batch, plain and ours, side by side."""
    rows, variants = found["inference"], ("plain", "fp32", "bf16")
    for i, variant in enumerate(variants):
        axes.bar(np.arange(len(rows)) + (i - 1) * 0.27, [row["ms"][variant] for row in rows], 0.27, label=variant)
    axes.set_xticks(range(len(rows)), [f"{row['network']}\n{row['batch']}" for row in rows])
    axes.set(yscale="log", xlabel="network, sequences in a batch", ylabel="milliseconds")
    axes.legend()


def pipeline(found: Section, axes: Axes) -> None:
    """Stages on top of each other, and how long the clip lasts."""
    rows = found["clips"]
    left = np.zeros(len(rows))
    for stage in STAGES:
        seconds = np.array([row["stages_s"][stage] for row in rows])
        axes.barh(range(len(rows)), seconds, left=left, label=stage)
        left += seconds
    rest = np.array([row["stages_s"]["total"] for row in rows]) - left
    axes.barh(range(len(rows)), rest.clip(min=0), left=left, label="rest")
    axes.plot([row["duration_s"] for row in rows], range(len(rows)), "k|", markersize=28, label="the clip lasts")
    axes.set_yticks(range(len(rows)), [f"{row['clip']}\n{row['walkers']} walker(s)" for row in rows])
    axes.set(xlabel="seconds")
    axes.legend()


def search(found: Section, axes: Axes) -> None:
    """One probe and a batch, beside their baselines."""
    shown = {
        "reading all once": "read_embeddings",
        "faiss flat L2, one probe": "faiss",
        "one probe": "single",
        "64 probes": "batch",
    }
    axes.barh(list(shown), [1e3 * found["seconds"][name] for name in shown.values()])
    axes.set(xlabel=f"milliseconds, {found['templates']:,} templates")
    axes.invert_yaxis()


def growth(found: Section, axes: Axes) -> None:
    """Search by size of the gallery."""
    rows = found["growth"]
    for name, label in (("single", "one probe"), ("batch", "64 probes"), ("read_embeddings", "reading all once")):
        axes.loglog([row["templates"] for row in rows], [1e3 * row[name] for row in rows], "o-", label=label)
    axes.set(xlabel=f"templates of {found['parts']} × {found['dims']}, float16", ylabel="milliseconds")
    axes.legend()


def service(found: Section, axes: Axes) -> None:
    """Latency percentiles by offered load, the knee, and the share of unanswered requests."""
    rows = sorted(found["rates"], key=lambda row: row["offered_per_s"])
    rates = [row["offered_per_s"] for row in rows]
    for name in ("p50", "p95", "p99"):
        seconds = [np.nan if row[f"{name}_s"] is None else row[f"{name}_s"] for row in rows]
        axes.semilogy(rates, seconds, "o-", label=name)
    axes.axhline(
        found["knee_multiple"] * found["alone_s"], color="grey", linestyle=":", label="what the knee allows p95"
    )
    if found["knee_per_s"] is not None:
        axes.axvline(found["knee_per_s"], color="black", linestyle="--", label=f"knee, {found['knee_per_s']:.2f}/s")
    lost = axes.twinx()
    lost.bar(
        rates, [100 * (1 - row["answered"] / row["requests"]) for row in rows], rates[0] / 4, color="0.85", zorder=0
    )
    lost.set(ylim=(0, 100), ylabel="% not answered (bars)")
    axes.set_zorder(lost.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set(xlabel="requests offered a second", ylabel="seconds from when it was to leave")
    axes.legend(loc="upper left")


def memory(found: Section, axes: Axes) -> None:
    """Memory at rest and at the peak, and the limit."""
    axes.barh(["ready", "peak"], [found["ready_mb"], found["peak_mb"]])
    axes.axvline(found["target_mb"], color="black", linestyle="--", label="bar")
    axes.set(xlabel="MB")
    axes.invert_yaxis()
    axes.legend()


def cold_start(found: Section, axes: Axes) -> None:
    """Seconds from the start of the process to each event."""
    shown = {
        "importing torch": "import_torch_s",
        "door open": "listening_s",
        "ready": "ready_s",
        "first clip answered": "first_answer_s",
    }
    axes.barh(list(shown), [found[name] for name in shown.values()])
    axes.set(xlabel="seconds from the start of the process")
    axes.invert_yaxis()


def gpu(found: Section, axes: Axes) -> None:
    """Milliseconds per frame of each stage, beside its lower bound."""
    for i, (pose, rows) in enumerate(found["stages"].items()):
        at = np.arange(len(rows)) + (i - 0.5) * 0.4
        axes.barh(at, [row["ms_per_frame"] for row in rows], 0.36, label=f"with {pose}")
        axes.plot([row["floor_ms_per_frame"] or np.nan for row in rows], at, "k|", label="floor" if i == 0 else None)
        axes.set_yticks(range(len(rows)), [row["stage"] for row in rows])
    axes.set(xlabel=f"milliseconds a frame, {found['device']}")
    axes.invert_yaxis()
    axes.legend()


PLOTS: dict[str, Callable[[Section, Axes], None]] = {
    "networks": networks,
    "pipeline": pipeline,
    "search": search,
    "search-growth": growth,
    "service": service,
    "memory": memory,
    "cold_start": cold_start,
    "gpu": gpu,
}
"""Plots by name of the JSON file."""


def svg(name: str, found: Section) -> str | None:
    """A section's plot as an SVG document; None if it has none."""
    if name not in PLOTS:
        return None
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, "axes.grid": True}):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=0.25)
        PLOTS[name](found, axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
