"""Evaluate a protocol: cross-view table, verification, open set, and intervals over people."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.training.datasets.partition import Partition
from gaitkeeper.training.datasets.sample import Dataset, Sample
from gaitkeeper.training.errors import BadDataset
from gaitkeeper.training.evaluation.bootstrap import people_weights
from gaitkeeper.training.evaluation.centring import centred_gallery, centred_probes
from gaitkeeper.training.evaluation.closed_set import CellTable, identify
from gaitkeeper.training.evaluation.embedding import Embedded, embed_dataset
from gaitkeeper.training.evaluation.pairs import open_set, verify
from gaitkeeper.training.evaluation.protocols import Protocol
from gaitkeeper.training.evaluation.results import Evaluation, Group, Row

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of the figures.

    Attributes:
        replicates: replicates of the bootstrap.
        seed: seed of the bootstrap, the draws and the sample of pairs.
        gallery_size: people enrolled in the open-set test; None enrols half of them.
        draws: number of draws of the enrolled people.
        max_pairs: limit on probe-template pairs; verification and open set draw as many probes as stay below it.
        rates: false match and false-positive identification rates.
        pairwise: True to compute verification and open set.
        centring: True to subtract the mean of each view; see :mod:`gaitkeeper.training.evaluation.centring`.
    """

    replicates: int = 1000
    seed: int = 0
    gallery_size: int | None = None
    draws: int = 20
    max_pairs: int = 4_000_000
    rates: tuple[float, ...] = (0.01, 0.001)
    pairwise: bool = True
    centring: bool = False


@dataclass(frozen=True, eq=False)
class _Side:
    """The probes or the gallery of a row, as indices into the samples."""

    index: Array
    subjects: Array = field(repr=False)
    views: Array = field(repr=False)
    embeddings: Tensor = field(repr=False)


def evaluate(
    net: GaitNetwork,
    dataset: Dataset,
    protocol: Protocol,
    settings: EvaluationSettings | None = None,
    *,
    partition: Partition | None = None,
    part: str = "test",
    scaled: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Embed a data set and evaluate it.

    Args:
        net: the network, on the device to run on.
        dataset: all walks of all parts.
        protocol: defines which walks are compared.
        settings: settings of the figures.
        partition: selects the tested people; None tests all. If it has a part "strangers", its people are never
            enrolled in the open-set test, and all others are.
        part: part of the partition; people of "strangers" are embedded as well.
        scaled: a network of the Kinect's skeleton reads joints in units of the torso, not metres.
        on_progress: called with the number of embedded walks.

    Raises:
        BadDataset: the data set has no one of the part, a row has no probes or gallery, or nothing can be read.
        UnknownFormat: the partition has no such part.
        InputMissing: the data set lacks an input of the network.
    """
    strangers: tuple[str, ...] = ()
    chosen = dataset
    if partition is not None:
        chosen = partition.of(dataset, part)
        if "strangers" in partition.parts:
            unknown = partition.of(dataset, "strangers")
            strangers = unknown.subjects
            chosen = Dataset(dataset.name, chosen.samples + unknown.samples)
    probes = partition.probes if partition is not None else None
    needed = chosen.where(lambda s: any(_role(protocol, row, s, probes) for row in protocol.probes))
    if not len(needed):
        raise BadDataset(f"The protocol {protocol.name!r} finds no probes and no gallery in {dataset.name!r}.")
    embedded = embed_dataset(net, needed, scaled=scaled, on_progress=on_progress)
    return evaluate_embedded(
        embedded,
        protocol,
        settings,
        network=net.name,
        weights=net.weights_id,
        dataset=dataset.name,
        part=part if partition is not None else None,
        listed=probes,
        strangers=strangers,
    )


def evaluate_embedded(
    embedded: Embedded,
    protocol: Protocol,
    settings: EvaluationSettings | None = None,
    *,
    network: str = "",
    weights: str = "",
    dataset: str = "",
    part: str | None = None,
    listed: Collection[str] | None = None,
    strangers: Collection[str] = (),
) -> Evaluation:
    """As :func:`evaluate`, from existing embeddings; ``listed`` are the keys of a partition's probes.

    Raises:
        BadDataset: no row of the protocol has both probes and a gallery.
    """
    settings = settings or EvaluationSettings()
    rows = {}
    probes = embedded.embeddings
    if settings.centring:
        probes = centred_probes(probes, embedded.subjects, embedded.views)
    for name in protocol.probes:
        row = _row(embedded, probes, protocol, name, settings, listed, strangers)
        if row is not None:
            rows[name] = row
    if not rows:
        raise BadDataset(f"The protocol {protocol.name!r} finds no probes and gallery to compare in {dataset!r}.")
    return Evaluation(
        network=network,
        weights=weights,
        dataset=dataset,
        protocol=protocol.name,
        part=part,
        walks=len(embedded.samples),
        people=len(set(embedded.subjects)),
        skipped=embedded.skipped,
        settings={
            "replicates": settings.replicates,
            "seed": settings.seed,
            "draws": settings.draws,
            "max_pairs": settings.max_pairs,
            "centring": settings.centring,
        },
        rows=rows,
    )


def _role(protocol: Protocol, row: str, sample: Sample, listed: Collection[str] | None) -> str | None:
    """ "probe", "gallery", "both" or None."""
    if protocol.listed_probes:
        if listed is None:
            raise BadDataset(f"The protocol {protocol.name!r} needs a partition file that lists its probes.")
        return "probe" if sample.key in listed else "gallery"
    probe, gallery = protocol.is_probe(row, sample), protocol.is_gallery(row, sample)
    return "both" if probe and gallery else "probe" if probe else "gallery" if gallery else None


def _row(
    embedded: Embedded,
    as_probes: Tensor,
    protocol: Protocol,
    name: str,
    settings: EvaluationSettings,
    listed: Collection[str] | None,
    strangers: Collection[str],
) -> Row | None:
    roles = np.array([_role(protocol, name, sample, listed) or "" for sample in embedded.samples])
    subjects = embedded.subjects
    views = embedded.views if protocol.views == "each" else np.full(len(subjects), "all")
    unknown = np.isin(subjects, list(strangers))

    def side(role: str) -> _Side:
        mine = np.isin(roles, [role, "both"])
        index = np.flatnonzero(mine & ~unknown if role == "gallery" else mine)
        x = (embedded.embeddings if role == "gallery" else as_probes)[index]
        if settings.centring and role == "gallery":
            x = centred_gallery(x, subjects[index], embedded.views[index])
        return _Side(index, subjects[index], views[index], x)

    probes, gallery = side("probe"), side("gallery")
    known = ~np.isin(probes.subjects, list(strangers))
    closed = _Side(probes.index[known], probes.subjects[known], probes.views[known], probes.embeddings[known])
    if not len(closed.index) or not len(gallery.index):
        return None
    recordings = np.array([f"{s.subject}/{s.recording}" for s in embedded.samples])

    def allowed(a: Array, b: Array) -> Array | None:
        return recordings[a][:, None] != recordings[b][None] if protocol.leave_one_out else None

    people = np.unique(closed.subjects)
    table = CellTable(people, np.unique(closed.views), np.unique(gallery.views))
    for v in table.probe_views:
        here = closed.views == v
        a = closed.index[here]
        for w in table.gallery_views:
            there = gallery.views == w
            b = gallery.index[there]
            if len(a) and len(b):
                distances = part_distances(closed.embeddings[here], gallery.embeddings[there]).numpy()
                table.add(v, w, subjects[a], distances, subjects[a][:, None] == subjects[b][None], allowed(a, b))
    weights = people_weights(len(people), settings.replicates, settings.seed)
    same = table.probe_views[:, None] == table.gallery_views[None]
    groups = {"all": same} if protocol.views == "pooled" else {"across": ~same, "same": same}
    found: dict[str, Group] = {}
    pairs = _pairs(probes, gallery, settings, allowed) if settings.pairwise else None
    for group, cells in groups.items():
        if not (table.probes[cells] > 0).any():
            continue
        verification, opened = None, None
        if pairs is not None:
            distances, sample, permitted = pairs
            alike = probes.views[sample][:, None] == gallery.views[None]
            mask = permitted & (~alike if group == "across" else alike)
            who = probes.subjects[sample]
            verification = verify(distances, who, gallery.subjects, mask, settings)
            opened = open_set(distances, who, gallery.subjects, mask, settings, strangers)
        found[group] = Group(identify(table, cells, weights), verification, opened)
    return Row(
        probe_views=table.probe_views.tolist(),
        gallery_views=table.gallery_views.tolist(),
        rank_1=table.rank_1().tolist(),
        probes=table.probes.astype(int).tolist(),
        groups=found,
    )


def _pairs(
    probes: _Side,
    gallery: _Side,
    settings: EvaluationSettings,
    allowed: Callable[[Array, Array], Array | None],
) -> tuple[Array, Array, Array]:
    """Distances (n, M) of n probes, the indices of these probes, and the allowed pairs."""
    most = max(1, settings.max_pairs // len(gallery.index))
    sample = np.arange(len(probes.index))
    if len(sample) > most:
        sample = np.sort(np.random.default_rng(settings.seed).choice(sample, most, replace=False))
    index = probes.index[sample]
    distances = part_distances(probes.embeddings[sample], gallery.embeddings).numpy()
    may = allowed(index, gallery.index)
    return distances, sample, np.ones(distances.shape, bool) if may is None else may
