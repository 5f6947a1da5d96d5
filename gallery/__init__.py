"""Enrolled templates: stores, exact search, verdicts."""

from gallery.calibration import Calibration, load_calibrations
from gallery.gallery import DEFAULT_NETWORK, Gallery
from gallery.stores import open_store
from gallery.types import (
    Candidate,
    Collection,
    Erasure,
    Identification,
    Promises,
    Reason,
    Removal,
    Shadow,
    Subject,
    Template,
    Threshold,
    Verdict,
)
from gallery.verdict import QualityGates

__all__ = [
    "DEFAULT_NETWORK",
    "Calibration",
    "Candidate",
    "Collection",
    "Erasure",
    "Gallery",
    "Identification",
    "Promises",
    "QualityGates",
    "Reason",
    "Removal",
    "Shadow",
    "Subject",
    "Template",
    "Threshold",
    "Verdict",
    "load_calibrations",
    "open_store",
]
