"""Real people's walks and their embeddings, for ``python -m bench.real_people``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.base import GaitNetwork
from models.distance import part_distances
from training.datasets import Dataset, open_dataset
from training.evaluation.centring import centred_gallery, centred_probes
from training.evaluation.embedding import embed_dataset

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Walks:
    """The walks of one data set under one network.

    Attributes:
        embeddings: float32 (N, P, C).
        subjects, conditions, takes, views: their names, (N,).
        distances: float32 (N, N).
    """

    embeddings: Tensor = field(repr=False)
    subjects: Array = field(repr=False)
    conditions: Array = field(repr=False)
    takes: Array = field(repr=False)
    views: Array = field(repr=False)
    distances: Array = field(repr=False)


@dataclass(frozen=True, eq=False)
class Setting:
    """Who is enrolled by which walks, and which walks are searched.

    Attributes:
        name: as the tables give it.
        walks: of one data set.
        parts: galleries and the probes that are searched in each, as rows of the walks; the views of one camera.
    """

    name: str
    walks: Walks
    parts: tuple[tuple[Array, Array], ...]


def data_sets(folder: Path, *, heatmaps: bool) -> dict[str, Dataset]:
    """KTH's and PsyMo's walks, and TUM's, which are silhouettes alone."""
    psymo = next((folder / "psymo").glob("*.tar.xz"))
    return {
        "kth": open_dataset("kth", folder / "kth"),
        "tum": open_dataset("tum", folder / "tum"),
        "psymo": open_dataset("psymo_heatmaps" if heatmaps else "psymo", psymo),
    }


def embedded(net: GaitNetwork, sets: dict[str, Dataset], keep: Path | None) -> dict[str, Walks]:
    """Embeddings of the data sets that have what the network reads; kept in a folder where one is given."""
    found = {}
    for name, dataset in sets.items():
        if name == "tum" and set(net.inputs) != {"silhouettes"}:
            continue
        path = None if keep is None else keep / f"{name}-{net.name}-{net.weights_id}.pt"
        found[name] = walks_of(net, dataset, path)
    return found


def walks_of(net: GaitNetwork, dataset: Dataset, path: Path | None = None) -> Walks:
    """The walks of a data set; their embeddings kept in a file, or taken from it, where one is given."""
    if path is not None and path.exists():
        content = torch.load(path, weights_only=True)
        embeddings, names = content["embeddings"], np.array(content["names"])
    else:
        done = embed_dataset(net, dataset)
        embeddings = done.embeddings
        names = np.array([(s.subject, s.condition, s.take, s.view) for s in done.samples])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"embeddings": embeddings, "names": names.tolist()}, path)
    return Walks(embeddings, *names.T, part_distances(embeddings, embeddings).numpy())


def settings(found: dict[str, Walks]) -> Iterator[Setting]:
    """The open-set settings: KTH in other clothes and indoors, TUM, and PsyMo seen from the side they were enrolled."""
    if walks := found.get("kth"):
        enrolled = np.flatnonzero(walks.conditions == "d1")
        for condition, name in (("d3", "KTH d3, clothes"), ("d4", "KTH d4, indoors")):
            yield Setting(name, walks, ((enrolled, np.flatnonzero(walks.conditions == condition)),))
    if walks := found.get("tum"):
        first = walks.takes == "1"
        yield Setting("TUM 1 to 2, 3, 4", walks, ((np.flatnonzero(first), np.flatnonzero(~first)),))
    if walks := found.get("psymo"):
        first = (walks.conditions == "nm") & (walks.takes == "0")
        parts = tuple(
            (np.flatnonzero(first & (walks.views == view)), np.flatnonzero(~first & (walks.views == view)))
            for view in np.unique(walks.views)
        )
        yield Setting("PsyMo, same view", walks, parts)


def rank_1(walks: Walks, gallery: Array, probes: Array, same: bool | None = None) -> float:
    """Share of probes (rows) whose nearest gallery walk is of the same person, in percent.

    Args:
        walks: of a data set.
        gallery, probes: rows, or masks.
        same: whether probe and gallery walk must be of the same view, of another one, or either.

    Returns:
        nan where no probe has a gallery walk of that kind.
    """
    gallery, probes = (np.flatnonzero(x) if x.dtype == bool else x for x in (gallery, probes))
    hits = []
    for view in np.unique(walks.views[probes]):
        some = probes[walks.views[probes] == view]
        for other in [None] if same is None else np.unique(walks.views[gallery]):
            if other is not None and (other == view) != same:
                continue
            there = gallery if other is None else gallery[walks.views[gallery] == other]
            if len(there):
                nearest = walks.distances[np.ix_(some, there)].argmin(1)
                hits += list(walks.subjects[there][nearest] == walks.subjects[some])
    return 100 * float(np.mean(hits)) if hits else float("nan")


def centred(walks: Walks, gallery: Array, probes: Array) -> Walks:
    """Walks less what their view does to all people; a probe's view is told from other people, the gallery's from all.

    Args:
        walks: of a data set.
        gallery, probes: masks (N,).
    """
    own = walks.embeddings.clone()
    own[probes] = centred_probes(walks.embeddings, walks.subjects, walks.views)[probes]
    own[gallery] = centred_gallery(walks.embeddings[gallery], walks.subjects[gallery], walks.views[gallery])
    distances = part_distances(own, own).numpy()
    return Walks(own, walks.subjects, walks.conditions, walks.takes, walks.views, distances)
