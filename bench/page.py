"""The report as one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from bench.figures import Change, Figure
from bench.plots import svg

TITLES = {
    "networks": "Networks",
    "pipeline": "Pipeline",
    "search": "Search",
    "search-growth": "Search by size of the gallery",
    "service": "Service under load",
    "hosts": "Ray Serve, and units of work",
    "memory": "Memory",
    "cold_start": "Cold start",
    "gpu": "GPU",
    "live": "Live stream",
    "quartet": "Four real people",
    "migration-sqlite": "Moving to another network, SQLite",
    "migration-redis": "Moving to another network, Redis",
    "load": "Uploads",
    "soak": "Soak",
}
"""Sections of the page, in this order, measured or not; other results follow."""
MOST_ROWS = 60
BUSY = 0.5
"""Load per core before a bench, above which the page says that the machine was shared."""


def leaves(found: object, name: str = "") -> Iterator[tuple[str, str]]:
    """All numbers in a result by path, for results without a figure definition."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from leaves(value, f"{name} {key}".strip())
    elif isinstance(found, Sequence) and not isinstance(found, str):
        for i, value in enumerate(found):
            label = value.get("name", i) if isinstance(value, Mapping) else i
            yield from leaves(value, f"{name} {label}".strip())
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield name, f"{float(found):.4g}"


def remarks(found: Mapping[str, Any], report: Mapping[str, Any], *, early: bool) -> Iterator[str]:
    """Remarks on the conditions of a bench."""
    machine = found["machine"]
    if early:
        yield f"measured by an earlier run{', ' + found['when'] if 'when' in found else ''}"
    if found.get("quick"):
        yield "a quick measurement"
    if machine["load_before"] > BUSY * machine["cores"]:
        yield f"others used the machine (load {machine['load_before']:.1f} before)"
    if machine["processor"] != report["machine"]["processor"]:
        yield f"on another machine, {machine['processor']}"


def section(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """The page's section for one bench."""
    found = report["sections"].get(name)
    # Say so if a bench only showed that it runs.
    measured = found is not None and found.get("measured", True)
    about = {"name": name, "title": TITLES.get(name, name), "measured": measured}
    about["failed"] = report["failed"].get(name)
    if not measured:
        return about
    own = [figure for figure in (Figure(**one) for one in report["figures"]) if figure.section == name]
    plot = svg(name, found)
    rest = {key: value for key, value in found.items() if key not in ("bench", "when", "machine")}
    return about | {
        "remarks": remarks(found, report, early=name not in report["run"]),
        "figures": own,
        "plot": plot and f"data:image/svg+xml;base64,{base64.b64encode(plot.encode()).decode()}",
        "leaves": [] if own or plot else list(leaves(rest))[:MOST_ROWS],
    }


def render(report: Mapping[str, Any], changes: Sequence[Change] = (), gone: Sequence[str] = (), than: str = "") -> str:
    """The page.

    Args:
        report: report of ``python -m bench``.
        changes, gone: comparison with an older report, if any, and the figures that only the older one has.
        than: name of the older report.
    """
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=folder, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["number"] = lambda value: f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    names = [*TITLES, *(name for name in report["sections"] if name not in TITLES)]
    return environment.get_template("page.html.j2").render(
        report=report,
        sections=[section(name, report) for name in names],
        changes=sorted(changes, key=lambda one: (not one.regressed, -one.worse)),
        gone=gone,
        than=than,
    )
