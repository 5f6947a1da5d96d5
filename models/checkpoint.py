"""Weights files: safetensors whose header names the network and its config.

The header's metadata holds ``network`` (a registry name), ``config`` (the network's config as JSON) and ``format``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from gaitkeeper.models.errors import WeightsCorrupt, WeightsMissing

FORMAT = "gaitkeeper-weights/1"


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a weights file.

    Attributes:
        network: registry name.
        config: keywords of the network's ``Config``.
        tensors: state dict, in the file's precision.
        digest: sha256 of the file, 64 hex digits.
    """

    network: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    digest: str


def write(path: str | Path, network: str, config: Any, tensors: dict[str, Tensor], *, half: bool = False) -> None:
    """Write a weights file; ``half`` stores floating-point tensors as fp16, which halves its size."""
    out = {}
    for name, tensor in tensors.items():
        out[name] = tensor.detach().cpu().contiguous().clone()
        if tensor.is_floating_point():
            out[name] = out[name].to(torch.float16 if half else torch.float32)
    header = {"format": FORMAT, "network": network, "config": json.dumps(asdict(config), sort_keys=True)}
    save_file(out, str(path), metadata=header)


def read(path: str | Path) -> Checkpoint:
    """Read a weights file. The digest is computed from the same bytes that are parsed.

    Raises:
        WeightsMissing: there is no such file.
        WeightsCorrupt: not a weights file of this project, or damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise WeightsMissing(f"There is no readable weights file at {path} ({error.strerror}).") from error
    try:
        tensors = load_tensors(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if header["format"] != FORMAT:
            raise WeightsCorrupt(f"{path}: weights format {header['format']!r} is not {FORMAT!r}.")
        config = {name: tuples(value) for name, value in json.loads(header["config"]).items()}
        return Checkpoint(header["network"], config, tensors, hashlib.sha256(data).hexdigest())
    except (SafetensorError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise WeightsCorrupt(f"{path} is not a weights file of this project: {error!r}.") from error


def tuples(value: Any) -> Any:
    """Convert the lists of a JSON or TOML value to the tuples that a config holds."""
    return tuple(tuples(v) for v in value) if isinstance(value, list) else value
