"""The networks by name: ``build`` one, ``load`` its weights, ``save`` them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gaitkeeper.models import checkpoint, weights
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.bounds import implied_shapes
from gaitkeeper.models.deepgaitv2 import DeepGaitV2
from gaitkeeper.models.errors import UnknownNetwork, WeightsCorrupt
from gaitkeeper.models.fusion import Fusion
from gaitkeeper.models.gaitbase import GaitBase
from gaitkeeper.models.gaitgl import GaitGL
from gaitkeeper.models.gaitheat import GaitHeat
from gaitkeeper.models.gaitpart import GaitPart
from gaitkeeper.models.gaitset import GaitSet
from gaitkeeper.models.gaittake import GaitTAKE
from gaitkeeper.models.gaittemplate import GaitTemplate
from gaitkeeper.models.gei import GEI
from gaitkeeper.models.gstsn import GSTSN
from gaitkeeper.models.jointsgait import JointsGait
from gaitkeeper.models.skeletongaitpp import SkeletonGaitPP

NETWORKS: dict[str, type[GaitNetwork]] = {
    "gei": GEI,
    "gaitset": GaitSet,
    "gaitpart": GaitPart,
    "gstsn": GSTSN,
    "jointsgait": JointsGait,
    "gaitheat": GaitHeat,
    "gaittake": GaitTAKE,
    "gaitgl": GaitGL,
    "gaitbase": GaitBase,
    "deepgaitv2": DeepGaitV2,
    "skeletongaitpp": SkeletonGaitPP,
    "gaittemplate": GaitTemplate,
    "fusion": Fusion,
}


def build(name: str, *, seed: int | None = None, **config: Any) -> GaitNetwork:
    """A new network in training mode. Needs no data set, no GPU and no file.

    Args:
        name: key of ``NETWORKS``.
        seed: of the initial weights; None draws them from torch's global generator. A seed leaves that generator
            unchanged.
        config: fields of the network's ``Config``; the default of each is the paper's value.

    Raises:
        UnknownNetwork: there is no network of that name.
        TypeError: the network's ``Config`` has no such field.
    """
    if name not in NETWORKS:
        raise UnknownNetwork(f"There is no network {name!r}; known are {', '.join(sorted(NETWORKS))}.", network=name)
    network = NETWORKS[name]
    chosen = network.Config(**config)
    if seed is None:
        return network(chosen)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's; torch.manual_seed would set every GPU's, too
        return network(chosen)


def load(source: str | Path) -> GaitNetwork:
    """A network with its weights, in eval mode, float32, on the CPU.

    Args:
        source: key of ``NETWORKS``, name of a network's entry in ``weights/manifest.toml``, or path of a
            ``.safetensors`` file. A network without weights in the manifest gets random ones of seed 0; its
            ``weights_id`` is then "untrained-seed0".

    Raises:
        UnknownNetwork: neither a known name nor a ``.safetensors`` path.
        WeightsMissing: the weights are not on this machine.
        WeightsCorrupt: the file is not a weights file, or its names or shapes are not those of the network.
    """
    name = str(source)
    if name.endswith(".safetensors"):
        return _load_file(Path(source))
    listed = weights.manifest().get(name)
    if listed is not None and listed.kind == "network":
        return _load_file(weights.locate(name))
    network = build(name, seed=0).eval()
    if network.weights_id != "none":
        network.weights_id = "untrained-seed0"
    return network


def _load_file(path: Path) -> GaitNetwork:
    found = checkpoint.read(path)
    if found.network not in NETWORKS:
        raise WeightsCorrupt(f"{path} holds weights of {found.network!r}, which is not a known network.")
    try:
        # Shapes are checked without memory first: a config may ask for a network far larger than the file.
        wanted = implied_shapes(NETWORKS[found.network], found.config, most=len(found.tensors))
        for name in sorted(wanted.keys() | found.tensors.keys()):
            have = tuple(found.tensors[name].shape) if name in found.tensors else "missing"
            if have != wanted.get(name, "unknown"):
                raise ValueError(f"{name} is {have}, expected {wanted.get(name, 'unknown')}")
        network = build(found.network, **found.config)
        network.load_state_dict(found.tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WeightsCorrupt(f"{path} does not fit the network {found.network!r}: {error}") from error
    if network.weights_id != "none":
        network.weights_id = found.digest[:16]
    return network.eval()


def save(network: GaitNetwork, path: str | Path, *, half: bool = False) -> None:
    """Write the network's weights, name and config to a ``.safetensors`` file; ``half`` stores fp16, not fp32.

    The classifier that training adds is left out: no embedding needs it.
    """
    config, tensors = network.without_classifier()
    checkpoint.write(path, network.name, config, tensors, half=half)
