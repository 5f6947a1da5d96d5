"""Networks of the tests' own, which answer what is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor


class Told:
    """A network that answers what a function makes of its images."""

    device = torch.device("cpu")

    def __init__(self, answer: Callable[[Tensor], list[Tensor]], side: tuple[int, int] | None = None, **about: str):
        self.about, self.side, self._answer = about, side, answer
        self.images: list[Tensor] = []

    def __call__(self, images: Tensor) -> list[Tensor]:
        self.images.append(images)
        return self._answer(images)


def doubling(path: Path, batch: int | str, side: int = 4, **about: str) -> Path:
    """An ONNX file that gives its images twice as bright."""
    shape = [batch, 3, side, side]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["images", "two"], ["out"])],
        "doubling",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, about)
    onnx.save(model, path)
    return path
