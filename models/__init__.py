"""The gait networks: ``build`` one, ``load`` its weights, ``save`` them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gaitkeeper.models.base import GaitNetwork, TrainingOutputs
    from gaitkeeper.models.registry import NETWORKS, build, load, save

__all__ = ["NETWORKS", "GaitNetwork", "TrainingOutputs", "build", "load", "save"]

_HOMES = {
    "GaitNetwork": "base",
    "TrainingOutputs": "base",
    "NETWORKS": "registry",
    "build": "registry",
    "load": "registry",
    "save": "registry",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: errors, and commands that only ask a service, do not need torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'gaitkeeper.models' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gaitkeeper.models.{_HOMES[name]}"), name)
