"""The report of ``gaitkeeper dataset build`` in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from gaitkeeper.training.datasets.build import REPORT, BuildReport


def summary(report: BuildReport) -> RenderableType:
    """Print what was written, what was dropped and why."""
    written = [outcome for outcome in report.outcomes if outcome.sequence is not None]
    frames = sum(outcome.frames for outcome in written)
    lines = (
        f"{len(written)} sequences, {frames} frames, of {len(report.outcomes)} videos; "
        f"{report.processed} processed in this run. {REPORT} has every video."
    )
    parts: list[RenderableType] = [lines]
    if report.dropped:
        table = Table("reason", "videos", "for instance", title="Dropped videos")
        for reason, count in report.dropped.items():
            first = next(outcome for outcome in report.outcomes if outcome.reason == reason)
            table.add_row(reason, str(count), f"{first.video}: {first.detail}")
        parts.append(table)
    if report.frames_skipped:
        table = Table("reason", "frames", title="Frames left out of the sequences")
        for reason, count in report.frames_skipped.items():
            table.add_row(reason, str(count))
        parts.append(table)
    return Group(*parts)
