"""From a clip to embeddings: decode, perceive, track, build gait sequences, prepare tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
    from gaitkeeper.pipelines.sequence import GaitSequence
    from gaitkeeper.pipelines.tensors import prepare

__all__ = ["ClipResult", "GaitSequence", "Pipeline", "prepare"]

_HOMES = {"ClipResult": "pipeline", "Pipeline": "pipeline", "prepare": "tensors", "GaitSequence": "sequence"}


def __getattr__(name: str) -> Any:
    # Imported on first use: `gaitkeeper --help` and the error tree need neither torch nor OpenCV.
    if name not in _HOMES:
        raise AttributeError(f"module 'gaitkeeper.pipelines' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gaitkeeper.pipelines.{_HOMES[name]}"), name)
