"""From a clip to embeddings: decode, perceive, track, build gait sequences, prepare tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitkeeper.models.lazy import attributes

if TYPE_CHECKING:
    from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
    from gaitkeeper.pipelines.sequence import GaitSequence
    from gaitkeeper.pipelines.tensors import prepare

__all__ = ["ClipResult", "GaitSequence", "Pipeline", "prepare"]

_HOMES = {"ClipResult": "pipeline", "Pipeline": "pipeline", "prepare": "tensors", "GaitSequence": "sequence"}

__getattr__ = attributes(__name__, _HOMES)
