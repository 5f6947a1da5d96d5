"""The gallery of enrolled templates: stores, exact search and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitkeeper.models.lazy import attributes

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

_ELSEWHERE = {
    "Calibration": "decision.calibration",
    "DEFAULT_NETWORK": "networks",
    "Gallery": "gallery",
    "QualityGates": "decision.verdict",
    "load_calibrations": "decision.calibration",
    "open_store": "stores.open",
}

__getattr__ = attributes(__name__, {name: _ELSEWHERE.get(name, "types") for name in __all__})
