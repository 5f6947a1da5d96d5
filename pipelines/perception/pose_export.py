"""Export mmpose networks as ONNX files. Only this module needs mmpose; the service reads the exported files."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gaitkeeper.models.cache import digest_of
from gaitkeeper.models.errors import BadCheckpoint, ExportUnavailable
from gaitkeeper.models.export_images import export_images
from gaitkeeper.models.importers import unpickled
from gaitkeeper.pipelines.sequence import HEATMAP

SIDE = (256, 192)
CODECS = {"MSRAHeatmap": "msra", "UDPHeatmap": "udp"}


@dataclass(frozen=True)
class ExportedPose:
    """The result of an export.

    Attributes:
        config: file of the configuration.
        codec: "msra" or "udp"; see :class:`gaitkeeper.pipelines.perception.pose.HeatmapPose`.
        parameters: of the network.
        checkpoint_sha256: identifies the network in the fingerprint.
        difference: largest difference between the outputs of the file and of PyTorch.
    """

    config: str
    codec: str
    parameters: int
    checkpoint_sha256: str
    difference: float


class _Posed(nn.Module):
    """A pose network that takes RGB in [0, 255] and gives heatmaps."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, mean: list[float], std: list[float], *, rgb: bool) -> None:
        super().__init__()
        self.network, self._order = network, [0, 1, 2] if rgb else [2, 1, 0]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        scaled = (images[:, self._order] - self.mean) / self.std
        out: Tensor = self.network.head(self.network.extract_feat(scaled))
        return out


def export_pose(config: str, checkpoint: Path, path: Path) -> ExportedPose:
    """Write a pose network of mmpose as an ONNX file for any number of crops.

    Args:
        config: an mmpose configuration: a file, or the path of one that mmpose ships. It is Python and is executed.
        checkpoint: of the network, opened by ``torch.load(weights_only=True)``.
        path: of the file to write.

    Raises:
        ExportUnavailable: mmpose, or a package that writes ONNX files, is not installed.
        BadCheckpoint: the configuration or checkpoint is missing, is not of a COCO heatmap network of 256 × 192, or
            holds more than tensors and numbers.
        ExportDiffers: the outputs of the file differ from those of the network.
    """
    build = _mmpose()
    state = _state(checkpoint)
    file, found = _config(config)
    if tuple(found.codec.get("heatmap_size", ())) != HEATMAP[:0:-1] or found.codec["type"] not in CODECS:
        raise BadCheckpoint(f"{file} does not describe a network with heatmaps of 64 × 48.")
    found.model.backbone.init_cfg = None  # it would fetch other weights
    scale = found.model.data_preprocessor
    network = build(found.model)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BadCheckpoint(f"{checkpoint} does not fit {file}: {str(error).splitlines()[1].strip()}") from error
    posed = _Posed(network, list(scale.mean), list(scale.std), rgb=scale.bgr_to_rgb).eval()
    with torch.no_grad():
        shape = tuple(posed(torch.zeros(1, 3, *SIDE)).shape[1:])
    if shape != HEATMAP:
        raise BadCheckpoint(f"{checkpoint} gives heatmaps {shape}, not those of the 17 joints of COCO {HEATMAP}.")
    codec, digest = CODECS[found.codec["type"]], digest_of(checkpoint)
    about = {"config": Path(file).stem, "codec": codec, "checkpoint_sha256": digest}
    difference = export_images(posed, path, SIDE, about)
    return ExportedPose(file, codec, sum(p.numel() for p in network.parameters()), digest, difference)


def _mmpose() -> Any:
    """The function that builds a network from a configuration."""
    try:
        importlib.import_module("mmcv")
        try:
            importlib.import_module("mmcv.ops")
        except ImportError:
            # mmcv-lite has no compiled operations. mmpose and mmdet import them, but the exported networks do not use
            # them.
            sys.modules["mmcv.ops"] = _Absent("mmcv.ops")
        registry = importlib.import_module("mmpose.utils")
        builder = importlib.import_module("mmpose.models")
    except ImportError as error:
        raise ExportUnavailable(
            f"Exporting pose networks needs mmpose ({error}): docs/perception.md says how to install it beside."
        ) from error
    registry.register_all_modules()
    return builder.build_pose_estimator


class _Absent(types.ModuleType):
    """A stub module with every attribute."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _config(name: str) -> tuple[str, Any]:
    """The path and the contents of a configuration."""
    shipped = Path(importlib.import_module("mmpose").__file__ or "").parent / ".mim" / "configs" / name
    file = next((path for path in (Path(name), shipped) if path.is_file()), None)
    if file is None:
        raise BadCheckpoint(f"There is no configuration {name!r}, neither as a file nor among those that mmpose ships.")
    found = importlib.import_module("mmengine.config").Config.fromfile(file)
    if str(found.model.backbone.type).startswith("mmpretrain."):
        try:
            importlib.import_module("mmpretrain.models")
        except ImportError as error:
            raise ExportUnavailable(f"{file} needs mmpretrain ({error}): see docs/perception.md.") from error
    return str(file), found


def _state(path: Path) -> Mapping[str, Tensor]:
    """The state dict of a checkpoint.

    Raises:
        BadCheckpoint: the file is missing, or holds more than tensors, numbers and text.
    """
    content = unpickled(path, _numbers())
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadCheckpoint(f"{path} contains no state dict.")
    # Training statistics, and means and deviations, which the export takes from the configuration.
    return {name: value for name, value in state.items() if not name.startswith("data_preprocessor.")}


def _numbers() -> list[Any]:
    """Types of number arrays, which mmpose stores beside the tensors, under their names in numpy 1 and 2."""
    rebuild = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64, np.int32, np.uint8)]
    return [(rebuild, "numpy.core.multiarray._reconstruct"), rebuild, np.ndarray, np.dtype, *kinds]
