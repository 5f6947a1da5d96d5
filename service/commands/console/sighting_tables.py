"""Sightings as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group
from rich.table import Table

from gaitkeeper.gallery.types.sightings import EarlierSearch, Sighting
from gaitkeeper.service.commands.console.tables import COLOURS, folding, plain


def sightings(found: Iterable[Sighting]) -> Table:
    """Table of sightings."""
    table = folding("time", "verdict", "who", "distance", "camera", "from", "sighting")
    for one in found:
        colour = COLOURS[one.verdict]
        table.add_row(
            f"{one.time:%Y-%m-%d %H:%M:%S} UTC",
            f"[{colour}]{one.verdict.value}[/]" + (f" ({one.reason.value})" if one.reason else ""),
            plain(one.subject or ""),
            "" if one.distance is None else f"{one.distance:.3f}",
            plain(one.camera or ""),
            one.source.value,
            one.id,
        )
    return table


def earlier(search: EarlierSearch) -> Group:
    """Table of the unknown walkers who were compared with a subject, and how many they were."""
    table = folding("time", "the subject?", "distance", "threshold", "camera", "sighting")
    for one in search.found:
        table.add_row(
            f"{one.sighting.time:%Y-%m-%d %H:%M:%S} UTC",
            {True: "[green]match[/]", False: "no", None: "uncalibrated"}[one.match],
            f"{one.distance:.3f}",
            "" if one.threshold is None else f"{one.threshold:.3f}",
            plain(one.sighting.camera or ""),
            one.sighting.id,
        )
    told = f"{search.searched} sighting(s) of unknown walkers before {search.before:%Y-%m-%d %H:%M:%S} UTC compared"
    if search.incomparable:
        told += f"; {search.incomparable} are of another network, and cannot be"
    return Group(table, f"{told}.")
