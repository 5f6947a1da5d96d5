"""The gallery of enrolled templates: stores, exact search and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gaitkeeper.gallery.decision.calibration import Calibration, load_calibrations
    from gaitkeeper.gallery.decision.verdict import QualityGates
    from gaitkeeper.gallery.gallery import Gallery
    from gaitkeeper.gallery.networks import DEFAULT_NETWORK
    from gaitkeeper.gallery.stores.open import open_store
    from gaitkeeper.gallery.types import (
        Candidate,
        Collection,
        Enrolment,
        Erasure,
        Identification,
        Outlier,
        Promises,
        Reason,
        Removal,
        Resemblance,
        Shadow,
        Subject,
        Template,
        Threshold,
        Verdict,
        Verification,
    )

__all__ = [
    "DEFAULT_NETWORK",
    "Calibration",
    "Candidate",
    "Collection",
    "Enrolment",
    "Erasure",
    "Gallery",
    "Identification",
    "Outlier",
    "Promises",
    "QualityGates",
    "Reason",
    "Removal",
    "Resemblance",
    "Shadow",
    "Subject",
    "Template",
    "Threshold",
    "Verdict",
    "Verification",
    "load_calibrations",
    "open_store",
]

_HOMES = {
    "Calibration": "decision.calibration",
    "DEFAULT_NETWORK": "networks",
    "Gallery": "gallery",
    "QualityGates": "decision.verdict",
    "load_calibrations": "decision.calibration",
    "open_store": "stores.open",
}  # the others are in types


def __getattr__(name: str) -> Any:
    # Imported on first use: commands that only ask a service need the types, but neither torch nor OpenCV.
    if name not in __all__:
        raise AttributeError(f"module 'gaitkeeper.gallery' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"gaitkeeper.gallery.{_HOMES.get(name, 'types')}"), name)
