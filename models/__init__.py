"""The gait networks: ``build`` one, ``load`` its weights, ``save`` them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitkeeper.models.lazy import attributes

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

__getattr__ = attributes(__name__, _HOMES)
