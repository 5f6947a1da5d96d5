"""The command ``gaitkeeper evaluate``: evaluate networks by name on a data set with its protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from gaitkeeper.models import build, load
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.datasets import Partition, load_partition, open_dataset
from gaitkeeper.training.errors import BadEvaluation
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings, evaluate
from gaitkeeper.training.evaluation.protocols import PROTOCOLS, find_protocol
from gaitkeeper.training.evaluation.results import Evaluation

DEFAULT = "leave_one_out"


def run(
    weights: Sequence[str],
    root: Path,
    *,
    format: str = "sequences",
    protocol: str | None = None,
    partition: str | None = None,
    part: str = "test",
    baselines: bool = False,
    scaled: bool = False,
    device: str = "cpu",
    settings: EvaluationSettings | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[Evaluation]:
    """Evaluate networks on one data set.

    Args:
        weights: names or ``.safetensors`` paths, as in :func:`gaitkeeper.models.load`.
        root: path of the data set.
        format: key of ``gaitkeeper.training.datasets.READERS``.
        protocol: key of ``PROTOCOLS``; None takes the format's own, or ``leave_one_out`` without one.
        partition: name or path; None takes the protocol's own; "none" tests all people.
        part: part of the partition.
        baselines: also evaluate GEI, and each network with random weights of seed 0.
        scaled: networks of the Kinect's skeleton read joints in units of the torso, not metres.
        device: "cpu" or "cuda"; a missing GPU is an error.
        settings: settings of the figures.
        on_progress: called with a network's name, the number of embedded walks, and of all walks of the data set.

    Raises:
        GaitkeeperError: something named does not exist or does not fit; see the called functions.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BadEvaluation("The device is a GPU, but this machine has none.")
    chosen = find_protocol(protocol or own_protocol(format))
    dataset = open_dataset(format, root)
    division: Partition | None = None
    name = partition or chosen.partition
    if name is not None and name != "none":
        division = load_partition(name)
    results = []
    for net in _networks(weights, baselines):
        label = f"{net.name} ({net.weights_id})"

        def tell(done: int, label: str = label) -> None:
            if on_progress is not None:
                on_progress(label, done, len(dataset))

        results.append(
            evaluate(
                net.to(device),
                dataset,
                chosen,
                settings,
                partition=division,
                part=part,
                scaled=scaled,
                on_progress=tell,
            )
        )
    return results


def own_protocol(format: str) -> str:
    """Name of the default protocol for a format."""
    name = format.removesuffix("_pickled").removesuffix("_heatmaps")
    return name if name in PROTOCOLS else DEFAULT


def _networks(weights: Sequence[str], baselines: bool) -> list[GaitNetwork]:
    named = [load(name) for name in weights]
    if not baselines:
        return named
    rows: list[GaitNetwork] = [load("gei")] if any("silhouettes" in net.inputs for net in named) else []
    for net in named:
        if net.weights_id == "none":
            continue
        untrained = build(net.name, seed=0, **_options(net)).eval()
        untrained.weights_id = "untrained-seed0"
        rows.append(untrained)
    known = {(net.name, net.weights_id) for net in rows}
    return rows + [net for net in named if (net.name, net.weights_id) not in known]


def _options(net: GaitNetwork) -> dict[str, object]:
    return {name: value for name, value in asdict(net.config).items() if name != "num_classes"}
