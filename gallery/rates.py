"""Checks of requested error rates, made before a clip is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaitkeeper.gallery.decision.verdict import check_fmr, check_fpir, match_threshold_of, threshold_of
from gaitkeeper.gallery.errors import StoreUnavailable

if TYPE_CHECKING:
    from gaitkeeper.gallery.decision.calibration import Calibration
    from gaitkeeper.gallery.gallery import Gallery


def check_rates(gallery: Gallery, *, fpir: float | None = None, fmr: float | None = None) -> None:
    """Raise BadFpir or BadFmr for a rate that is out of range, or for which the collection's network is not calibrated.

    Args:
        gallery: gallery of the collection.
        fpir: false-positive identification rate of a search; None for no search.
        fmr: false match rate of a verification; None for no verification.
    """
    if fpir is not None:
        check_fpir(fpir)
    if fmr is not None:
        check_fmr(fmr)
    calibration = _calibration(gallery)
    if fpir is not None:
        threshold_of(fpir, 1, calibration)
    if fmr is not None:
        match_threshold_of(fmr, calibration)


def _calibration(gallery: Gallery) -> Calibration | None:
    """The calibration that the answers will use; of an empty collection, that of its network on any perception."""
    try:
        pinned = gallery.collection.fingerprint
    except StoreUnavailable:  # searches go on in memory
        pinned = None
    if pinned is not None:
        return gallery.calibration(pinned)
    network = gallery.network
    return gallery.calibration_of(network.name, network.weights_id)
