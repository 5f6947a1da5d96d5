"""Networks as ONNX files, for runtimes without torch.

:func:`export_onnx` needs the extra ``export`` (onnx and onnxscript), :func:`run_onnx` onnxruntime.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.errors import ExportUnavailable

OPSET = 20


class _Positional(nn.Module):
    """The network with lengths as its last positional argument, because an ONNX graph has no keywords."""

    def __init__(self, network: GaitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tensors: tuple[Tensor, ...], lengths: Tensor) -> Tensor:
        out: Tensor = self.network(*tensors, lengths=lengths)
        return out


def export_onnx(network: GaitNetwork, path: str | Path) -> None:
    """Write an ONNX file that takes any number of sequences of any lengths.

    Its inputs are the network's, by name, and ``lengths`` (N,) int64, which is required; its output is
    ``embeddings`` (N, P, C), float32. The file's metadata hold ``network``, ``config`` and ``weights_id``.

    Args:
        network: on the CPU; exported in eval mode and left in the mode it was in.
        path: of the file to write.

    Raises:
        ExportUnavailable: onnx or onnxscript is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        needed = "pip install 'gaitkeeper-id[export]'"
        raise ExportUnavailable(f"Writing ONNX files needs onnx and onnxscript ({error}): {needed}.") from error

    training = network.training
    network.eval()
    # Enough frames that temporal strides leave more than one: torch.export would treat one as fixed.
    tensors = tuple(torch.rand(2, 40, *shape) for shape in network.frame_shapes)
    # DYNAMIC leaves the bounds to torch.export, which rejects sizes that may become 1 (GaitGL makes one frame of
    # three); the ONNX graph accepts them.
    sizes = (tuple({0: Dim.DYNAMIC, 1: Dim.DYNAMIC} for _ in tensors), {0: Dim.DYNAMIC})
    names = (tuple({0: "sequences", 1: "frames"} for _ in tensors), {0: "sequences"})
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own code
            graph = torch.export.export(
                _Positional(network).eval(),
                (tensors, torch.tensor([40, 25])),
                dynamic_shapes=sizes,
                # Memory layouts, which ONNX does not have, would otherwise rule out some sizes.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            program = torch.onnx.export(
                graph,
                dynamo=True,
                opset_version=OPSET,
                input_names=[*network.inputs, "lengths"],
                output_names=["embeddings"],
                dynamic_shapes=names,
                verbose=False,
            )
    finally:
        network.train(training)
    assert program is not None
    model = program.model_proto
    about = {"network": network.name, "config": json.dumps(asdict(network.config)), "weights_id": network.weights_id}
    onnx.helper.set_model_props(model, about)
    onnx.save(model, str(path))


def run_onnx(path: str | Path, tensors: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
    """Embeddings (N, P, C) of an exported network by onnxruntime on the CPU; arguments as the network's own."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    if lengths is None:
        lengths = torch.full((len(tensors[0]),), tensors[0].shape[1])
    names = [slot.name for slot in session.get_inputs()]
    feed = {name: x.numpy() for name, x in zip(names, (*tensors, lengths), strict=True)}
    return torch.from_numpy(session.run(None, feed)[0])
