"""A folder of gait sequence files, ``subject/condition-take/view.gait``: what ``gaitkeeper dataset build`` writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gaitkeeper.pipelines.errors import BadSequence
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.training.datasets.sample import Dataset, Inputs, Sample
from gaitkeeper.training.errors import BadDataset

SUFFIX = ".gait"


def read(root: Path) -> Dataset:
    """Every ``subject/condition-take/view.gait`` under ``root``; silhouettes, joints, and heatmaps if kept.

    The part before the last dash is the condition; a folder without a dash is a condition without a take.

    Raises:
        BadDataset: there is no such file.
    """
    samples = []
    for path in sorted(root.glob(f"*/*/*{SUFFIX}")):
        condition, take = split_recording(path.parent.name)
        samples.append(Sample(path.parent.parent.name, condition, path.stem, take, partial(_load, path)))
    if not samples:
        raise BadDataset(f"No gait sequences in {root}: subject/condition-take/view{SUFFIX} expected.")
    return Dataset(root.name, tuple(samples))


def split_recording(name: str) -> tuple[str, str]:
    """Split ``nm-01`` into condition and take; a name without a dash is the condition."""
    condition, dash, take = name.rpartition("-")
    return (condition, take) if dash else (name, "")


def _load(path: Path) -> Inputs:
    try:
        sequence = GaitSequence.load(path)
    except (BadSequence, OSError) as error:
        raise BadDataset(f"{path} cannot be read: {error}") from error
    return Inputs(
        silhouettes=sequence.silhouettes,
        joints=sequence.joints,
        heatmaps=sequence.heatmaps,
        timestamps=sequence.timestamps,
        perception=sequence.perception,
    )
