"""Gait energy image: the mean silhouette.

Han and Bhanu, "Individual Recognition Using Gait Energy Image", IEEE TPAMI 28(2), 2006, eq. 1. It has no weights, so
it can be used before any network has been trained. The paper also learns a PCA and MDA of the images; that needs
training data and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.layers import strips_of, temporal_mean


@dataclass(frozen=True)
class GEIConfig:
    """No options."""


class GEI(GaitNetwork):
    """Silhouettes (N, T, 1, 64, 44) -> embeddings (N, 1, 2816): the mean over the true frames, row by row."""

    name: ClassVar[str] = "gei"
    inputs: ClassVar[tuple[str, ...]] = ("silhouettes",)
    Config: ClassVar[type[GEIConfig]] = GEIConfig
    weights_id = "none"
    out_shape = (1, 64 * 44)

    def __init__(self, config: GEIConfig | None = None) -> None:
        super().__init__(config or GEIConfig())

    @property
    def strips(self) -> tuple[tuple[float, float] | None, ...]:
        """Top and bottom of each part; see the base."""
        return strips_of([1])

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embeddings (N, 1, 2816) in [0, 1]; one row of the image after the other."""
        (silhouettes,) = tensors
        return temporal_mean(silhouettes.flatten(2).float(), lengths).unsqueeze(1)
