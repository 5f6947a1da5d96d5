"""The base class of the gait networks: a module from input tensors to (parts × dims) embeddings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gaitkeeper.models.layers import PartLinear


@dataclass(frozen=True)
class TrainingOutputs:
    """Outputs of a network that the losses need.

    Attributes:
        embeddings: by branch, (N, P, C) each; the branch used at test time is called ``"main"``.
        logits: by branch, (N, P, classes) each, or None for a network that trains without a classifier.
    """

    embeddings: dict[str, Tensor]
    logits: dict[str, Tensor] | None = None


FRAME_SHAPES = {"silhouettes": (1, 64, 44), "joints": (17, 3), "heatmaps": (17, 64, 48)}
"""Shape of one frame of each input, unless a network overrides it."""


class GaitNetwork(nn.Module):
    """Base of the gait networks.

    A network is built without data set and without GPU. ``forward`` takes the tensors named by ``inputs``, in that
    order, frames on axis 1, padded to the longest: silhouettes (N, T, 1, 64, 44) in [0, 1], joints (N, T, 17, 3)
    centred on the mid-hip and divided by the median neck-to-hip length, score kept, heatmaps (N, T, 17, 64, 48) in
    [0, 1]; and ``lengths`` (N,) int64, the true number of frames of each, at least 1, or None if all are equal.
    The contents of the padding never change an embedding.

    Attributes:
        name: key in the registry.
        inputs: names out of "silhouettes", "joints" and "heatmaps", in call order.
        weights_id: identity of the weights in the fingerprint: "none" for a network without weights, "untrained-seed0"
            for random weights of a seed, else the first 16 hex digits of the file's sha256.
        unit_length: True if every part of an embedding is L2-normalised.
        out_shape: (P, C) of an embedding.
        config: what the network was built with, a ``Config``.

    ``Config`` is a frozen dataclass of numbers, strings, booleans and (nested) tuples of them, so that it can be
    written to a weights file as JSON; its defaults are the paper's values. A network that trains with a classifier has
    a field ``num_classes``, None by default, which adds a child module ``classifier``; ``models.save`` leaves it out.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    Config: ClassVar[type[Any]]
    config: Any
    unit_length: ClassVar[bool] = False
    weights_id: str = "untrained"
    out_shape: tuple[int, int]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @property
    def frame_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of one frame of each input, in call order: the dimensions after (N, T)."""
        return tuple(FRAME_SHAPES[name] for name in self.inputs)

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """For each part, top and bottom of its strip of the picture, as shares of the picture's height.

        None for a part that is not a strip. Convolutions see a little beyond the edges.
        """
        return (None,) * self.out_shape[0]

    @property
    def trained(self) -> bool:
        """False if the weights are random numbers."""
        return not self.weights_id.startswith("untrained")

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, P, C), float32."""
        raise NotImplementedError

    def condense(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor | None:
        """The pooled pictures that a template network takes in place of frames; None if the network needs frames.

        A template network has one input and begins by pooling its frames. Training pools them as soon as they are
        drawn, and augments (moves, erases) the few pooled pictures instead of all frames.
        """
        return None

    def training_outputs(self, *tensors: Tensor, lengths: Tensor | None = None) -> TrainingOutputs:
        """Outputs for the losses: embeddings of the main branch, and its logits if there is a ``classifier``."""
        main = self(*tensors, lengths=lengths)
        classifier = getattr(self, "classifier", None)
        return TrainingOutputs({"main": main}, {"main": classifier(main)} if classifier is not None else None)

    def without_classifier(self) -> tuple[Any, dict[str, Tensor]]:
        """Config and state dict without the classifier, which only knows the people of the training set."""
        config = self.config
        if getattr(config, "num_classes", None) is not None:
            config = replace(config, num_classes=None)
        return config, {name: t for name, t in self.state_dict().items() if not name.startswith("classifier.")}

    def turned(self, turns: Tensor) -> dict[str, Tensor] | None:
        """State dict, without the classifier, of this network with each part's embedding multiplied by a matrix.

        This works for networks that end in one or more :class:`gaitkeeper.models.layers.PartLinear`, with concatenated
        parts of width ``embed_dim`` of the config; the result is None for other networks.

        Args:
            turns: float64 (P, C, dims).
        """
        layers = {f"{name}.weight": m for name, m in self.named_modules() if isinstance(m, PartLinear)}
        ends = [len(layer.weight) for layer in layers.values()]
        if sum(ends) != self.out_shape[0] or not hasattr(self.config, "embed_dim"):
            return None
        _, state = self.without_classifier()
        for name, turn in zip(layers, torch.split(turns, ends), strict=True):
            state[name] = torch.bmm(state[name].double(), turn).float()
        return state
