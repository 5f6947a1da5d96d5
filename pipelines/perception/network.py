"""Perception networks on the device: ONNX files by onnxruntime, and checkpoints of Ultralytics by PyTorch."""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from gaitkeeper.models import licences
from gaitkeeper.models.cache import cache_folder
from gaitkeeper.models.errors import WeightsCorrupt
from gaitkeeper.pipelines.device import require_device
from gaitkeeper.pipelines.errors import DeviceUnavailable
from gaitkeeper.pipelines.settings import PipelineSettings

AGPL = "AGPL-3.0"
ULTRALYTICS = "ultralytics"
SAFE_SINCE = "8.4.190"


class Network(Protocol):
    """A network with one image input; thread-safe.

    Attributes:
        about: metadata of its file, by name.
        side: required rows and columns of images; None if any multiples of 32 are accepted.
        device: device of inputs and outputs.
    """

    about: Mapping[str, str]
    side: tuple[int, int] | None
    device: torch.device

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Outputs (N, …) for float32 images (N, 3, rows, columns)."""
        ...


def open_network(path: Path, settings: PipelineSettings) -> Network:
    """The network of a file, on the device of the settings.

    Raises:
        DeviceUnavailable: the device, or a library that the network needs there, is missing.
        LicenceNotAccepted: the file, or the package that reads it, is under the AGPL.
        WeightsCorrupt: the file cannot be read.
    """
    device = require_device(settings.device)
    if path.suffix == ".pt":
        return _Checkpoint(path, device)
    return _Onnx(path, device, settings)


class _Onnx:
    """An ONNX file whose inputs and outputs stay on the device."""

    def __init__(self, path: Path, device: torch.device, settings: PipelineSettings) -> None:
        import onnxruntime

        self.about: Mapping[str, str]
        self.side: tuple[int, int] | None
        self.device = device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.log_severity_level = 3
        wanted = _providers(device, settings.tensorrt)
        missing = [name for name, _ in wanted if name not in onnxruntime.get_available_providers()]
        if missing:
            raise DeviceUnavailable(_no_provider(missing[0]))
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=wanted)
        except Exception as error:  # onnxruntime documents no type for a broken file
            raise WeightsCorrupt(f"{path} is not a network that onnxruntime can read: {error}") from error
        # onnxruntime skips a provider with missing libraries and only logs it.
        if wanted[0][0] not in self._session.get_providers():
            raise DeviceUnavailable(_no_provider(wanted[0][0]))
        self._session.disable_fallback()
        self.about = self._session.get_modelmeta().custom_metadata_map
        if AGPL in self.about.get("license", ""):
            licences.require(AGPL, path.name)
        [image] = self._session.get_inputs()
        batch, _, rows, columns = image.shape
        self._batch = batch if isinstance(batch, int) else None
        self.side = (rows, columns) if isinstance(rows, int) else None
        self._input = image.name
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: Tensor) -> list[Tensor]:
        if self._batch is None:
            return self._run(images)
        # A file exported with a fixed batch size takes exactly that many images.
        parts = []
        for part in torch.split(images, self._batch):
            padded = torch.cat([part, part.new_zeros(self._batch - len(part), *part.shape[1:])])
            parts.append([answer[: len(part)] for answer in self._run(padded)])
        return [torch.cat(answers) for answers in zip(*parts, strict=True)]

    def _run(self, images: Tensor) -> list[Tensor]:
        images = images.contiguous()
        binding = self._session.io_binding()
        where, index = self.device.type, self.device.index or 0
        if where == "cuda":
            torch.cuda.current_stream().synchronize()  # onnxruntime has a stream of its own
        binding.bind_input(self._input, where, index, np.float32, tuple(images.shape), images.data_ptr())
        for name in self._outputs:
            binding.bind_output(name, where, index)
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        # Shares the memory with onnxruntime's value, which lives as long as the tensor.
        return [from_dlpack(value).float() for value in binding.get_outputs()]


def _providers(device: torch.device, tensorrt: bool) -> list[tuple[str, dict[str, Any]]]:
    """Providers for onnxruntime; the first one that supports a part of the network runs it."""
    if device.type == "cpu":
        return [("CPUExecutionProvider", {})]
    cuda: list[tuple[str, dict[str, Any]]] = [
        ("CUDAExecutionProvider", {"device_id": device.index or 0, "cudnn_conv_algo_search": "HEURISTIC"}),
        ("CPUExecutionProvider", {}),
    ]
    if not tensorrt:
        return cuda
    kept = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache_folder() / "tensorrt")}
    return [("TensorrtExecutionProvider", {"device_id": device.index or 0, **kept}), *cuda]


def _no_provider(name: str) -> str:
    return (
        f"The networks are to run on the GPU, and onnxruntime has no working {name} here: install the extra `gpu` "
        "(onnxruntime-gpu, without onnxruntime beside it) and the CUDA libraries that it names, or set "
        "GAITKEEPER_PIPELINE__DEVICE=cpu."
    )


class _Checkpoint:
    """A checkpoint of Ultralytics: a pickle, from which only tensors and known layers are loaded."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self.side: tuple[int, int] | None = None
        self.device = device
        model = _unpickled(path).float().eval()
        head = model.model[-1]
        # Outputs like those of an exported network: boxes and masks, without training outputs.
        head.export = True
        model.fuse(verbose=False)
        self._model = model.to(device)
        self._lock = threading.Lock()  # the head caches the grid of the last shape
        self.about: Mapping[str, str] = {
            "task": "segment" if type(head).__name__.startswith("Segment") else "detect",
            "names": repr(dict(model.names)),
            "end2end": str(bool(getattr(head, "end2end", False))),
        }

    def __call__(self, images: Tensor) -> list[Tensor]:
        with self._lock, torch.inference_mode():
            answer = self._model(images)
        return list(answer) if isinstance(answer, tuple | list) else [answer]


def _unpickled(path: Path) -> Any:
    """The model in a checkpoint of Ultralytics.

    The package is configured to restore only known classes, with ``torch.load(weights_only=True)``, and neither to
    access the internet nor to install packages.
    """
    licences.require(AGPL, f"the package {ULTRALYTICS}, which reads {path.name},")
    quiet = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    for name, value in {**quiet, "YOLO_CONFIG_DIR": tempfile.gettempdir()}.items():
        os.environ.setdefault(name, value)
    try:
        from ultralytics.nn.tasks import _SafeLoad, torch_safe_load
    except ImportError as error:
        raise DeviceUnavailable(
            f"{path.name} needs the package {ULTRALYTICS} {SAFE_SINCE} or newer, which is not installed ({error}): "
            "install the extra `gpu`, or use an ONNX export of the network."
        ) from error
    if not _SafeLoad.SUPPORTED:
        raise DeviceUnavailable(f"This PyTorch ({torch.__version__}) cannot load {path.name} safely: 2.6 is needed.")
    try:
        content, _ = torch_safe_load(path, safe_only=True)
        model = content.get("ema") or content["model"]
    except (TypeError, KeyError, AttributeError, RuntimeError, ModuleNotFoundError, pickle.UnpicklingError) as error:
        raise WeightsCorrupt(f"{path} is not a checkpoint that can be opened safely: {error}") from error
    if not isinstance(model, torch.nn.Module):
        raise WeightsCorrupt(f"{path} holds no network of Ultralytics.")
    return model
