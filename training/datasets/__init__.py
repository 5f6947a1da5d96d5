"""Readers of gait data sets: ``open_dataset(format, root)`` gives a :class:`Dataset` of lazily read samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.datasets import casia_b, kinect, kth, pickled, psymo, sequences, tum, walkers
from gaitkeeper.training.datasets.partition import Partition, load_partition, partitions
from gaitkeeper.training.datasets.sample import Dataset, Inputs, Sample
from gaitkeeper.training.errors import BadDataset, UnknownFormat

__all__ = [
    "READERS",
    "Dataset",
    "Inputs",
    "Partition",
    "Sample",
    "load_partition",
    "open_dataset",
    "partitions",
    "walks_for",
]

READERS: dict[str, Callable[[Path], Dataset]] = {
    "sequences": sequences.read,
    "casia_b": casia_b.read,
    "kinect": kinect.read,
    "kth": kth.read,
    "psymo": psymo.read,
    "psymo_heatmaps": partial(psymo.read, heatmaps=True),
    "tum": tum.read,
    "walkers": walkers.read,
    "walkers_heatmaps": partial(walkers.read, heatmaps=True),
    **{f"{name}_pickled": partial(pickled.read, layout=layout) for name, layout in pickled.LAYOUTS.items()},
}
"""Readers by format: gait sequence files, data sets as published, and as preprocessed by academic toolkits."""


def open_dataset(format: str, root: str | Path) -> Dataset:
    """The data set at ``root``; frames are read when a sample is loaded.

    Args:
        format: key of ``READERS``.
        root: folder, or file for data sets in one file.

    Raises:
        UnknownFormat: there is no such format.
        BadDataset: ``root`` does not exist, or does not have that format's layout.
    """
    if format not in READERS:
        raise UnknownFormat(f"There is no data set format {format!r}; known are {', '.join(sorted(READERS))}.")
    root = Path(root)
    if not root.exists():
        raise BadDataset(f"There is no {root}.")
    return READERS[format](root)


def walks_for(networks: Iterable[GaitNetwork], pack: str | Path) -> Dataset:
    """Rendered walks with the networks' inputs; heatmaps take time, and are made only if a network reads them.

    Raises:
        BadDataset: as :func:`open_dataset`.
    """
    heatmaps = any("heatmaps" in network.inputs for network in networks)
    return open_dataset("walkers_heatmaps" if heatmaps else "walkers", pack)
