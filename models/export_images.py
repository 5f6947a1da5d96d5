"""Export image networks as ONNX files with a free batch size, and compare them with PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from gaitkeeper.models.errors import ExportDiffers, ExportUnavailable

OPSET = 20
TOLERANCE = 1e-5
BATCHES = (1, 3)


def export_images(network: nn.Module, path: Path, side: tuple[int, int], about: Mapping[str, str]) -> float:
    """Write an ONNX file whose input ``images`` (N, 3, rows, columns) is float32 in [0, 255].

    Args:
        network: on the CPU; set to eval mode.
        path: of the file to write.
        side: rows and columns.
        about: metadata of the file.

    Returns:
        The largest difference between the outputs of onnxruntime and of the network, over noise images.

    Raises:
        ExportDiffers: the difference is larger than 1e-5.
        ExportUnavailable: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        needed = "pip install 'gaitkeeper-id[export]'"
        raise ExportUnavailable(f"Writing ONNX files needs onnx ({error}): {needed}.") from error
    network.eval()
    generator = torch.Generator().manual_seed(0)
    noise = [torch.rand(n, 3, *side, generator=generator) * 255 for n in BATCHES]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own code
        # Tracing works for networks without branches; torch.export had not finished HRNet-W32 after ten minutes.
        torch.onnx.export(
            network,
            (noise[-1],),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["heatmaps"],
            dynamic_axes={"images": {0: "people"}, "heatmaps": {0: "people"}},
        )
        model = onnx.load(str(path))
        onnx.helper.set_model_props(model, dict(about))
        onnx.save(model, str(path))
        difference = max(float((_answer(path, images) - network(images)).abs().max()) for images in noise)
    if not difference <= TOLERANCE:
        raise ExportDiffers(
            f"The exported file's outputs differ from PyTorch's by {difference:.1e}; the file was deleted."
        )
    return difference


def _answer(path: Path, images: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
