"""Convert published checkpoints to weights files of this project.

A checkpoint is read with ``torch.load(weights_only=True)`` only: a pickle with more than tensors is refused. Widths are
read from the tensors. Values that no tensor shows are taken from the public configurations: the strips of focal and
local convolutions, strides, and the order of the pyramid's bins.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gaitkeeper import models
from gaitkeeper.models.bounds import implied_shapes
from gaitkeeper.models.errors import BadCheckpoint, UnknownNetwork

State = dict[str, Tensor]
CASIA_STRIPS, OUMVLP_STRIPS = (1, 4, 8), (1, 1, 8, 8)


@dataclass(frozen=True)
class Imported:
    """The result of an import.

    Attributes:
        network: registry name.
        config: fields of the network's ``Config`` that were read from the tensors.
        parameters: number of parameters taken over.
        dropped: entries left out: optimizer, scheduler, counters, and the classifier of the training set's people.
        weights_id: of the file that was written.
    """

    network: str
    config: dict[str, Any]
    parameters: int
    dropped: tuple[str, ...]
    weights_id: str


def import_checkpoint(network: str, format: str, in_path: str | Path, out_path: str | Path) -> Imported:
    """Convert a published checkpoint.

    Args:
        network: "gaitset", "gaitpart", "gaitgl", "gaitbase", "deepgaitv2" or
            "skeletongaitpp".
        format: "opengait", the key names of the OpenGait toolkit.
        in_path: of the checkpoint: a state dict, or a dict that holds one under ``model``.
        out_path: of the file to write; it ends in ``.safetensors``.

    Raises:
        UnknownNetwork: no checkpoints of that network can be read in that format.
        BadCheckpoint: there is no such file, or it is not a checkpoint of that network; the sentence says why.
    """
    converters = FORMATS.get(format, {})
    if network not in converters:
        known = "; ".join(f"{name}: {', '.join(sorted(of))}" for name, of in FORMATS.items())
        raise UnknownNetwork(f"No {format!r} checkpoints of {network!r} can be imported. Known are {known}.")
    if Path(out_path).suffix != ".safetensors":
        raise BadCheckpoint(f"The name of a weights file ends in .safetensors, not in {Path(out_path).suffix!r}.")
    state, dropped = _read(Path(in_path))
    convert, classifier = converters[network]
    dropped += [name for name in state if name.startswith(classifier)]
    entries = _Entries({name: t for name, t in state.items() if not name.startswith(classifier)}, Path(in_path))
    try:
        config, tensors = convert(entries)
        # Shapes are checked without memory first: a tensor may ask for a network far larger than the file.
        wanted = implied_shapes(models.NETWORKS[network], config, most=len(tensors))
    except (IndexError, RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadCheckpoint(f"{in_path} has tensors of shapes that {network} cannot have: {error}") from error
    if entries.left:
        raise BadCheckpoint(f"{in_path} has entries that {network} does not: {', '.join(sorted(entries.left)[:5])}.")
    found = _shapes(tensors)
    for name in sorted(wanted.keys() | found.keys()):
        have, want = found.get(name, "missing"), wanted.get(name, "unknown")
        if have != want:
            raise BadCheckpoint(f"{in_path} does not fit {network}: {name} is {have}, expected {want}.")
    net = models.build(network, **config)
    net.load_state_dict(tensors)
    models.save(net, out_path)
    count = sum(p.numel() for p in net.parameters())
    return Imported(network, config, count, tuple(dropped), models.load(out_path).weights_id)


def _shapes(state: State) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def unpickled(path: Path, allowed: Sequence[Any] = ()) -> Any:
    """Load a checkpoint on the CPU.

    Args:
        path: of the pickle.
        allowed: types that it may hold besides tensors, numbers and text, as ``torch.serialization.safe_globals`` takes
            it.

    Raises:
        BadCheckpoint: the file does not exist, or holds other types.
    """
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BadCheckpoint(f"There is no readable checkpoint at {path} ({error.strerror}).") from error
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise BadCheckpoint(f"{path} contains more than tensors, so it is not opened: {reason}") from error
    except Exception as error:  # torch documents no type for a broken file: KeyError, RuntimeError, EOFError and others
        raise BadCheckpoint(f"{path} is not a readable checkpoint: {error!r}.") from error


class _Entries:
    """The tensors not taken yet."""

    def __init__(self, left: State, path: Path) -> None:
        self.left = left
        self.path = path

    def take(self, name: str) -> Tensor:
        if name not in self.left:
            raise BadCheckpoint(f"{self.path} has no entry {name!r}, which this network needs.")
        return self.left.pop(name)

    def norm(self, old: str, new: str) -> State:
        """The five tensors of a batch norm, under their new name."""
        names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return {f"{new}.{name}": self.take(f"{old}.{name}") for name in names}


def _read(path: Path) -> tuple[State, list[str]]:
    """The state dict of a checkpoint, and the names of its other entries."""
    content = unpickled(path)
    dropped: list[str] = []
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        dropped = [str(name) for name in content if name != "model"]
        content = content["model"]
    if not isinstance(content, Mapping) or not content:
        raise BadCheckpoint(f"{path} holds no state dict, nor one under 'model'.")
    state = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise BadCheckpoint(f"{path}: the entry {name!r} is not a tensor.")
        # With strides of 0 a tensor may claim more numbers than the file holds.
        if tensor.is_sparse or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise BadCheckpoint(f"{path}: the tensor {name!r} claims more numbers than the file contains.")
        if not tensor.isfinite().all():
            raise BadCheckpoint(f"{path}: the tensor {name!r} has numbers that are not finite.")
        state[name.removeprefix("module.")] = tensor
    return state, dropped


def _gaitset(entries: _Entries) -> tuple[dict[str, Any], State]:
    out = {}
    blocks = {f"block{i}": f"set_block{i}.forward_block" for i in (1, 2, 3)}
    for new, old in (blocks | {f"global{i}": f"gl_block{i}" for i in (2, 3)}).items():
        out[f"{new}.conv1.weight"] = entries.take(f"{old}.0.conv.weight")
        out[f"{new}.conv2.weight"] = entries.take(f"{old}.2.conv.weight")
    out["fc.weight"] = entries.take("Head.fc_bin")
    channels = tuple(len(out[f"block{i}.conv1.weight"]) for i in (1, 2, 3))
    return {"channels": channels, "embed_dim": out["fc.weight"].shape[-1]}, out


def _gaitpart(entries: _Entries) -> tuple[dict[str, Any], State]:
    out = {}
    prefix = "Backbone.forward_block.feature"
    # Two convolutions a block, each with its activation, and a pooling after the first two blocks.
    firsts = [i for i in (0, 5, 10, 14) if f"{prefix}.{i}.conv.weight" in entries.left]
    for block, first in enumerate(firsts):
        out[f"blocks.{block}.conv1.weight"] = entries.take(f"{prefix}.{first}.conv.weight")
        out[f"blocks.{block}.conv2.weight"] = entries.take(f"{prefix}.{first + 2}.conv.weight")
    out["fc.weight"] = entries.take("Head.fc_bin")
    parts = len(out["fc.weight"])
    for mtb, old in enumerate(("conv1d3x1", "conv1d3x3")):
        for conv, layer in (("conv1", 0), ("conv2", 2)):
            names = [f"TFA.pooling_func.{old}.{part}.{layer}.conv.weight" for part in range(parts)]
            out[f"mtbs.{mtb}.{conv}.weight"] = torch.cat([entries.take(name) for name in names])
    channels = tuple(len(out[f"blocks.{block}.conv1.weight"]) for block in range(len(firsts)))
    config = {
        "channels": channels,
        "strips": OUMVLP_STRIPS if len(channels) == 4 else CASIA_STRIPS,
        "parts": parts,
        "squeeze": channels[-1] * parts // len(out["mtbs.0.conv1.weight"]),
        "embed_dim": out["fc.weight"].shape[-1],
    }
    return config, out


def _gaitgl(entries: _Entries) -> tuple[dict[str, Any], State]:
    depth = 2 if "conv3d.2.conv3d.weight" in entries.left else 1
    out = {f"stem.{i}.weight": entries.take(f"conv3d.{2 * i}.conv3d.weight") for i in range(depth)}
    out["aggregate.weight"] = entries.take("LTA.0.conv3d.weight")
    stages = [
        f"{name}.{i}" if depth == 2 else name for name in ("GLConvA0", "GLConvA1", "GLConvB2") for i in range(depth)
    ]
    for block, old in enumerate(stages):
        out[f"blocks.{block}.whole.weight"] = entries.take(f"{old}.global_conv3d.conv3d.weight")
        out[f"blocks.{block}.local.weight"] = entries.take(f"{old}.local_conv3d.conv3d.weight")
    out |= {"gem": entries.take("HPP.p"), "fc.weight": entries.take("Head0.fc_bin")}
    out |= entries.norm("Bn", "norm")
    widths = [len(out[f"blocks.{depth * i}.whole.weight"]) for i in range(3)]
    config = {"channels": (len(out["stem.0.weight"]), *widths), "depth": depth, "strips": 2 if depth == 2 else 8}
    return config, out


def _gaitbase(entries: _Entries) -> tuple[dict[str, Any], State]:
    prefix = "Backbone.forward_block"
    out = {"backbone.conv1.weight": entries.take(f"{prefix}.conv1.conv.weight")}
    out |= entries.norm(f"{prefix}.bn1", "backbone.bn1")
    channels = []
    for stage in range(4):
        new = f"backbone.stages.{stage}"
        out |= _basic_block(entries, f"{prefix}.layer{stage + 1}.0", new)
        channels.append(len(out[f"{new}.conv1.weight"]))
    fc = out["fc.weight"] = entries.take("FCs.fc_bin")
    return {"channels": tuple(channels), "parts": len(fc), "embed_dim": fc.shape[-1]}, out


def _deepgaitv2(entries: _Entries) -> tuple[dict[str, Any], State]:
    pseudo = "layer2.0.shortcut3d.weight" in entries.left
    mode = "p3d" if pseudo else "3d" if "layer2.0.conv1.weight" in entries.left else "2d"
    config, out = _four_stages(entries, mode, *_first_stage(entries, "layer", "frames"))
    return {"mode": mode, **config}, out


def _skeletongaitpp(entries: _Entries) -> tuple[dict[str, Any], State]:
    out, blocks, channels = _first_stage(entries, "sil_layer", "outline")
    out |= _first_stage(entries, "map_layer", "skeleton")[0]
    for layer in (0, 3, 6):
        out[f"fusion.score.{layer}.weight"] = entries.take(f"fusion.conv.forward_block.{layer}.weight")
    for layer in (1, 4):
        out |= entries.norm(f"fusion.conv.forward_block.{layer}", f"fusion.score.{layer}")
    return _four_stages(entries, "p3d", out, blocks, channels)


def _four_stages(entries: _Entries, mode: str, out: State, blocks: int, channels: int) -> tuple[dict[str, Any], State]:
    """The last three stages and the layer after them, added to what was taken of the first."""
    counts, widths = [blocks], [channels]
    for number in (2, 3, 4):
        # Stages of single frames are wrapped once more.
        prefix = f"layer{number}.forward_block" if mode == "2d" else f"layer{number}"
        start = sum(counts[1:])
        made = _stage(entries, prefix, "blocks", start, _pseudo_block if mode == "p3d" else _basic_block)
        out |= made
        counts.append(len({name.split(".")[1] for name in made}))
        widths.append(len(made[f"blocks.{start}.conv1.weight"]))
    fc = out["fc.weight"] = entries.take("FCs.fc_bin")
    config = {"blocks": tuple(counts), "channels": tuple(widths), "parts": len(fc), "embed_dim": fc.shape[-1]}
    return config, out


def _first_stage(entries: _Entries, old: str, new: str) -> tuple[State, int, int]:
    """The stem and the first stage, of single frames; the number of its blocks, and of its channels."""
    out = _stem(entries, f"{old}0", f"{new}.0")
    blocks = _stage(entries, f"{old}1.forward_block", new, 1, _basic_block)
    count = len({name.split(".")[1] for name in blocks})
    return out | blocks, count, len(out[f"{new}.0.conv1.weight"])


def _stage(entries: _Entries, old: str, new: str, start: int, convert: Callable[[_Entries, str, str], State]) -> State:
    """The blocks ``old.0``, ``old.1``, ... of a stage, at least one, numbered from ``start``."""
    place = old.count(".") + 1
    count = len({name.split(".")[place] for name in entries.left if name.startswith(f"{old}.")})
    out: State = {}
    for i in range(max(1, count)):
        out |= convert(entries, f"{old}.{i}", f"{new}.{start + i}")
    return out


def _stem(entries: _Entries, old: str, new: str) -> State:
    out = {f"{new}.conv1.weight": entries.take(f"{old}.forward_block.0.weight")}
    return out | entries.norm(f"{old}.forward_block.1", f"{new}.bn1")


def _basic_block(entries: _Entries, old: str, new: str) -> State:
    out = {}
    for i in (1, 2):
        out[f"{new}.conv{i}.weight"] = entries.take(f"{old}.conv{i}.weight")
        out |= entries.norm(f"{old}.bn{i}", f"{new}.bn{i}")
    return out | _shortcut(entries, old, new)


def _pseudo_block(entries: _Entries, old: str, new: str) -> State:
    out = {f"{new}.temporal.weight": entries.take(f"{old}.shortcut3d.weight")}
    out |= entries.norm(f"{old}.sbn", f"{new}.temporal_bn")
    for i in (1, 2):
        out[f"{new}.conv{i}.weight"] = entries.take(f"{old}.conv{i}.forward_block.0.weight")
        out |= entries.norm(f"{old}.conv{i}.forward_block.1", f"{new}.bn{i}")
    return out | _shortcut(entries, old, new)


def _shortcut(entries: _Entries, old: str, new: str) -> State:
    if f"{old}.downsample.0.weight" not in entries.left:
        return {}
    weight = entries.take(f"{old}.downsample.0.weight")
    # A 1×1×1 convolution that keeps all frames is a 1×1 convolution of each.
    out = {f"{new}.downsample.0.weight": weight.squeeze(2) if weight.dim() == 5 else weight}
    return out | entries.norm(f"{old}.downsample.1", f"{new}.downsample.1")


Converter = Callable[[_Entries], tuple[dict[str, Any], State]]
FORMATS: dict[str, dict[str, tuple[Converter, tuple[str, ...]]]] = {
    "opengait": {
        "gaitset": (_gaitset, ()),
        "gaitpart": (_gaitpart, ()),
        "gaitgl": (_gaitgl, ("Head1.",)),
        "gaitbase": (_gaitbase, ("BNNecks.",)),
        "deepgaitv2": (_deepgaitv2, ("BNNecks.",)),
        "skeletongaitpp": (_skeletongaitpp, ("BNNecks.",)),
    }
}
"""By format and network: the converter, and the prefix of the classifier's entries."""
