"""Real people's walks and their embeddings, for ``python -m bench.real_people``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.quartet import left_to_right
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.training.datasets import Dataset, Sample, open_dataset, walks_for
from gaitkeeper.training.datasets.sample import Inputs
from gaitkeeper.training.datasets.seen import SeenClips, inputs_of
from gaitkeeper.training.evaluation.centring import centred_gallery, centred_probes
from gaitkeeper.training.evaluation.embedding import embed_dataset

Array = npt.NDArray[Any]
Opened = Callable[[], Dataset]


@dataclass(frozen=True, eq=False)
class Walks:
    """The walks of one data set under one network.

    Attributes:
        embeddings: float32 (N, P, C).
        subjects, conditions, takes, views: names, (N,).
        distances: float32 (N, N).
    """

    embeddings: Tensor = field(repr=False)
    subjects: Array = field(repr=False)
    conditions: Array = field(repr=False)
    takes: Array = field(repr=False)
    views: Array = field(repr=False)
    distances: Array = field(repr=False)

    @classmethod
    def of(cls, embeddings: Tensor, subjects: Array, conditions: Array, takes: Array, views: Array) -> Walks:
        """The walks with the distances of their embeddings."""
        distances = part_distances(embeddings, embeddings).numpy()
        return cls(embeddings, subjects, conditions, takes, views, distances)

    def beside(self, others: Walks) -> Walks:
        """These walks, then others of the same network."""
        both = [(walks.subjects, walks.conditions, walks.takes, walks.views) for walks in (self, others)]
        names = (np.concatenate(pair) for pair in zip(*both, strict=True))
        return Walks.of(torch.cat([self.embeddings, others.embeddings]), *names)


@dataclass(frozen=True, eq=False)
class Setting:
    """An open-set setting: which walks are enrolled, and which are probes.

    Attributes:
        name: name in the tables.
        walks: walks of one data set.
        parts: galleries, and the probes that are searched in each, as rows of the walks; the views of one camera.
        company: rows of rendered people's walks, who may also be enrolled.
    """

    name: str
    walks: Walks
    parts: tuple[tuple[Array, Array], ...]
    company: Array = field(default_factory=lambda: np.zeros(0, int), repr=False)


def data_sets(folder: Path, *, heatmaps: bool) -> dict[str, Opened]:
    """The walks of the quartet, KTH, PsyMo, and TUM, which has only silhouettes; read on first use."""
    psymo = next((folder / "psymo").glob("*.tar.xz"))
    found: dict[str, Opened] = {
        "quartet": partial(quartet, folder / "videos"),
        "kth": partial(open_dataset, "kth", folder / "kth"),
        "tum": partial(open_dataset, "tum", folder / "tum"),
        "psymo": partial(open_dataset, "psymo_heatmaps" if heatmaps else "psymo", psymo),
    }
    return {name: cache(read) for name, read in found.items()}


def quartet(clips: Path) -> Dataset:
    """Four people who walk towards the camera ("front") and away from it ("back"), as the pipeline sees them."""
    seen = SeenClips()
    return Dataset(
        "quartet",
        tuple(
            Sample(name, condition, "", "1", partial(inputs_of, seq))
            for condition, clip in (("front", "quartet-gallery"), ("back", "quartet-back"))
            for name, seq in left_to_right(seen.of(clips / f"{clip}.mp4")).items()
        ),
    )


def every_nth(read: Opened, nth: int) -> Dataset:
    """A data set with the first of every ``nth`` frames of each walk."""
    dataset = read()
    samples = tuple(replace(sample, read=partial(_every_nth, sample, nth)) for sample in dataset)
    return Dataset(dataset.name, samples)


def _every_nth(sample: Sample, nth: int) -> Inputs:
    inputs = sample.read()
    times = inputs.timestamps if inputs.timestamps is not None else np.arange(len(inputs)) / 30.0
    return replace(inputs, timestamps=times).take(np.arange(0, len(inputs), nth))


def beside(setting: Setting, rendered: Walks) -> Setting:
    """The setting with rendered people, who may also be enrolled."""
    both = setting.walks.beside(rendered)
    return replace(setting, walks=both, company=np.arange(len(setting.walks.subjects), len(both.subjects)))


def embedded(net: GaitNetwork, sets: Mapping[str, Opened], keep: Path | None) -> dict[str, Walks]:
    """Embeddings of the data sets that have the network's inputs; cached in a folder if one is given."""
    silhouettes_do = set(net.inputs) == {"silhouettes"}
    return {
        name: walks_of(net, read, _file(net, name, keep))
        for name, read in sets.items()
        if silhouettes_do or name != "tum"
    }


def rendered_people(net: GaitNetwork, pack: Path, people: int, keep: Path | None) -> Walks:
    """The enrolment walks of the first people of a rendered set, such as Walkers-XL."""

    def read() -> Dataset:
        enrolled = walks_for([net], pack).where(lambda sample: sample.take.startswith("enrol"))
        first = sorted({sample.subject for sample in enrolled})[:people]
        return enrolled.where(lambda sample: sample.subject in first)

    return walks_of(net, read, _file(net, f"{pack.stem}-{people}-enrolled", keep))


def walks_of(net: GaitNetwork, read: Opened, path: Path | None = None) -> Walks:
    """The walks of a data set; their embeddings are cached in a file if one is given."""
    if path is not None and path.exists():
        content = torch.load(path, weights_only=True)
        embeddings, names = content["embeddings"], np.array(content["names"])
    else:
        done = embed_dataset(net, read())
        embeddings = done.embeddings
        names = np.array([(s.subject, s.condition, s.take, s.view) for s in done.samples])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"embeddings": embeddings, "names": names.tolist()}, path)
    return Walks.of(embeddings, *names.T)


def _file(net: GaitNetwork, name: str, folder: Path | None) -> Path | None:
    return None if folder is None else folder / f"{name}-{net.name}-{net.weights_id}.pt"


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
    """Percentage of probes (rows) whose nearest gallery walk is of the same person.

    Args:
        walks: walks of a data set.
        gallery, probes: rows, or masks.
        same: True if probe and gallery walk must have the same view, False for different views, None for both. Views
            in which the gallery has a single person are left out: nothing could be told apart there.

    Returns:
        nan if no probe has such a gallery walk.
    """
    gallery, probes = (np.flatnonzero(x) if x.dtype == bool else x for x in (gallery, probes))
    hits = []
    for view in np.unique(walks.views[probes]):
        some = probes[walks.views[probes] == view]
        for other in [None] if same is None else np.unique(walks.views[gallery]):
            if other is not None and (other == view) != same:
                continue
            there = gallery if other is None else gallery[walks.views[gallery] == other]
            if len(there) and (other is None or len(np.unique(walks.subjects[there])) > 1):
                nearest = walks.distances[np.ix_(some, there)].argmin(1)
                hits += list(walks.subjects[there][nearest] == walks.subjects[some])
    return 100 * float(np.mean(hits)) if hits else float("nan")


def cameras(walks: Walks) -> Walks:
    """Walks whose view is their setting and heading: to the service each setting of KTH is a camera of its own.

    Walks with a heading that fewer than two people of the setting share count to the setting's most frequent heading.
    """
    views = walks.views.copy()
    for setting in np.unique(walks.conditions):
        here = walks.conditions == setting
        headings, counts = np.unique(walks.views[here], return_counts=True)
        for heading in headings:
            there = here & (walks.views == heading)
            if len(np.unique(walks.subjects[there])) < 2:
                views[there] = headings[counts.argmax()]
    names = np.char.add(np.char.add(walks.conditions, " "), views)
    return replace(walks, views=names)


def centred(walks: Walks, gallery: Array, probes: Array) -> Walks:
    """Walks without the mean of their view; for a probe it is the mean of other people, for the gallery of all.

    Args:
        walks: walks of a data set.
        gallery, probes: masks (N,).
    """
    own = walks.embeddings.clone()
    own[probes] = centred_probes(walks.embeddings, walks.subjects, walks.views)[probes]
    own[gallery] = centred_gallery(walks.embeddings[gallery], walks.subjects[gallery], walks.views[gallery])
    return Walks.of(own, walks.subjects, walks.conditions, walks.takes, walks.views)
