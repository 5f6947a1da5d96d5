"""Calibration: thresholds by false-positive identification rate and gallery size, and confidence.

A plain distance depends on the scene: all distances are small indoors, and large after a change of clothes. Distances
are therefore divided by a unit: the typical distance between different people at the probe's camera and in its
collection (:mod:`gaitkeeper.gallery.decision.units`). Thresholds are fractions of that unit. If there is no unit yet, a
strict threshold of plain distances applies, the prior.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from gaitkeeper.gallery.decision.units import PRIOR, Basis, Unit
from gaitkeeper.gallery.errors import BadCalibration, BadFmr, BadFpir
from gaitkeeper.gallery.types import FingerprintText, MatchThreshold, Record, Threshold
from gaitkeeper.models.weights import SHIPPED
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.quality import MIN_RATE

PER_SUBJECT = 4
"""Templates per subject in the galleries on which the thresholds in units were fitted."""


class FpirThresholds(Record):
    """Thresholds for one false-positive identification rate (FPIR): the fraction of strangers who get a name.

    Attributes:
        fpir: the rate, in (0, 1).
        gallery_sizes: numbers of templates, or of subjects if distances are in units; increasing.
        distances: the threshold at each of these sizes; never increasing, because the nearest stranger is nearer in a
            larger gallery.
    """

    fpir: float = Field(gt=0, lt=1)
    gallery_sizes: tuple[int, ...] = Field(min_length=1)
    distances: tuple[float, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.distances) != len(self.gallery_sizes):
            raise ValueError("one distance for each gallery size expected")
        if self.gallery_sizes[0] < 1 or any(a >= b for a, b in pairwise(self.gallery_sizes)):
            raise ValueError("gallery sizes must be positive and rise")
        if not all(math.isfinite(d) and d >= 0 for d in self.distances) or _rises(self.distances):
            raise ValueError("distances must be finite, not negative, and must not rise")
        return self

    def at(self, gallery_size: int) -> tuple[float, bool]:
        """The threshold at a gallery size, and whether that size is outside the calibrated range.

        Interpolated linearly in the logarithm of the size, and extrapolated from the outermost pair of sizes; never
        below 0. With a single calibrated size, its threshold is used for all sizes.
        """
        extrapolated = not self.gallery_sizes[0] <= gallery_size <= self.gallery_sizes[-1]
        return max(0.0, _by_size(gallery_size, self.gallery_sizes, self.distances)), extrapolated


class ConfidenceMap(Record):
    """A monotone map from distance to confidence, linear between its points and constant beyond them.

    Attributes:
        distances: in units or plain, increasing.
        confidences: at each of these distances, in [0, 1], never increasing.
    """

    distances: tuple[float, ...] = Field(min_length=1)
    confidences: tuple[float, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.confidences) != len(self.distances):
            raise ValueError("one confidence for each distance expected")
        if not all(map(math.isfinite, self.distances)) or any(a >= b for a, b in pairwise(self.distances)):
            raise ValueError("distances must be finite and rise")
        if not all(0 <= c <= 1 for c in self.confidences) or _rises(self.confidences):
            raise ValueError("confidences must lie in [0, 1] and must not rise")
        return self

    def at(self, distance: float) -> float:
        """Confidence in [0, 1] that a candidate at this distance is the same person."""
        return float(np.interp(distance, self.distances, self.confidences))


class FmrThresholds(Record):
    """Thresholds of one-to-one comparison by false match rate (FMR): the fraction of impostors who match the subject.

    One walker is compared with all templates of one subject. The nearest template counts.

    Attributes:
        fmrs: rates in (0, 1), increasing.
        distances: the threshold at each rate, in units or plain, never decreasing.
    """

    fmrs: tuple[float, ...] = Field(min_length=1)
    distances: tuple[float, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.distances) != len(self.fmrs):
            raise ValueError("one distance for each false match rate expected")
        if not all(0 < f < 1 for f in self.fmrs) or any(a >= b for a, b in pairwise(self.fmrs)):
            raise ValueError("false match rates must lie in (0, 1) and rise")
        if not all(math.isfinite(d) and d >= 0 for d in self.distances) or _rises(self.distances[::-1]):
            raise ValueError("distances must be finite, not negative, and must not fall")
        return self


class PartQuantiles(Record):
    """Distances between different people for each body part.

    Attributes:
        pairs: number of measured pairs of different people.
        quantiles: per part, evenly spaced quantiles of the distances, from 0 to 1, never decreasing.
    """

    pairs: int = Field(ge=1)
    quantiles: tuple[tuple[float, ...], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({len(part) for part in self.quantiles}) != 1 or len(self.quantiles[0]) < 2:
            raise ValueError("equally many quantiles, at least two, expected for each part")
        for part in self.quantiles:
            if not all(math.isfinite(d) and d >= 0 for d in part) or _rises(part[::-1]):
                raise ValueError("distances must be finite, not negative, and must not fall")
        return self


class InUnits(Record):
    """Calibration of distances in units of one basis.

    Attributes:
        thresholds: by false-positive identification rate; sizes are numbers of subjects.
        confidence: confidence of a candidate by its distance in units.
        verification: thresholds of one-to-one comparison, if measured.
    """

    thresholds: tuple[FpirThresholds, ...] = Field(min_length=1)
    confidence: ConfidenceMap
    verification: FmrThresholds | None = None


class Calibration(Record):
    """Calibration of one fingerprint, measured on people who are not in the training data.

    Attributes:
        fingerprint: the fingerprint that it applies to. It applies to no other.
        thresholds: the prior: thresholds of plain distances by false-positive identification rate.
        confidence: confidence of a candidate by its plain distance.
        collection: calibration of distances in units from the collection's own subjects; None if not measured.
        camera: calibration of distances in units that also use passers-by of a camera; None if not measured.
        verification: thresholds of plain distances in one-to-one comparison, if measured.
        strictness: factor that the thresholds in units already include. They were fitted on rendered people; real
            people need stricter ones.
        camera_strictness: the same for ``camera``, except its verification; None if it is equal to ``strictness``.
        min_rate_hz: lowest valid frame rate in hertz. Below it there is no verdict.
        parts: distances between different people for each part, if measured.
    """

    fingerprint: FingerprintText
    thresholds: tuple[FpirThresholds, ...] = Field(min_length=1)
    confidence: ConfidenceMap
    collection: InUnits | None = None
    camera: InUnits | None = None
    verification: FmrThresholds | None = None
    strictness: float = Field(1.0, gt=0, le=1)
    camera_strictness: float | None = Field(None, gt=0, le=1)
    min_rate_hz: float = Field(MIN_RATE, gt=0)
    parts: PartQuantiles | None = None

    def measured(self, unit: Unit | None) -> tuple[InUnits | None, float]:
        """The calibration for a unit, and the unit's length; None and 1 if plain distances are used."""
        found = None if unit is None else self.camera if unit.basis is Basis.CAMERA else self.collection
        return (None, 1.0) if found is None or unit is None else (found, unit.length)

    def threshold(self, fpir: float, gallery_size: int, *, subjects: int = 0, unit: Unit | None = None) -> Threshold:
        """The threshold at a rate and a gallery size.

        Args:
            fpir: the rate.
            gallery_size: number of searched templates.
            subjects: number of their subjects. Only used with a unit.
            unit: the unit of the probe and its nearest template; None if there is none.

        Raises:
            BadFpir: the rate is not calibrated.
        """
        known, length = self.measured(unit)
        tables = self.thresholds if known is None else known.thresholds
        # With more templates per subject than in the calibration, a stranger has more chances to be near one.
        size = gallery_size if known is None else max(subjects, math.ceil(gallery_size / PER_SUBJECT))
        table = next((table for table in tables if math.isclose(table.fpir, fpir)), None)
        if table is None:
            rates = sorted(table.fpir for table in self.thresholds)
            raise BadFpir(
                f"{self.fingerprint} is not calibrated for an FPIR of {fpir:g}, but for {', '.join(map(str, rates))}.",
                calibrated=rates,
            )
        distance, extrapolated = table.at(size)
        return Threshold(
            value=distance * length,
            fpir=fpir,
            gallery_size=gallery_size,
            source="calibration",
            extrapolated=extrapolated,
            basis=PRIOR if known is None or unit is None else str(unit),
            unit=None if known is None else length,
        )

    def confidence_of(self, distance: float, unit: Unit | None = None) -> float:
        """Confidence in [0, 1] that a candidate at a distance is the same person."""
        known, length = self.measured(unit)
        return (self.confidence if known is None else known.confidence).at(distance / length)

    @property
    def in_units(self) -> bool:
        """Whether there are thresholds for distances in units."""
        return self.collection is not None or self.camera is not None

    @property
    def strictest(self) -> float:
        """The smallest calibrated false-positive identification rate."""
        return min(table.fpir for table in self.thresholds)

    @property
    def loosest(self) -> float:
        """The largest calibrated false-positive identification rate."""
        return max(table.fpir for table in self.thresholds)

    def match_threshold(self, fmr: float, unit: Unit | None = None) -> MatchThreshold:
        """The threshold of one-to-one comparison at a false match rate. It has no value if none was measured.

        Raises:
            BadFmr: the rate is not calibrated.
        """
        known, length = self.measured(unit)
        verification = self.verification if known is None else known.verification
        if verification is None:
            return MatchThreshold(value=None, fmr=fmr, source=None)
        for rate, distance in zip(verification.fmrs, verification.distances, strict=True):
            if math.isclose(rate, fmr):
                return MatchThreshold(
                    value=distance * length,
                    fmr=fmr,
                    source="calibration",
                    basis=PRIOR if known is None or unit is None else str(unit),
                    unit=None if known is None else length,
                )
        listed = ", ".join(map(str, verification.fmrs))
        raise BadFmr(
            f"{self.fingerprint} is not calibrated for an FMR of {fmr:g}, but for {listed}.",
            calibrated=list(verification.fmrs),
        )


def load_calibrations(path: str | Path) -> Mapping[Fingerprint, Calibration]:
    """Read the calibrations of a ``.toml`` or ``.json`` file, by fingerprint. In TOML each is one ``[[calibrations]]``
    table.

    Raises:
        BadCalibration: the file is invalid or inconsistent, or has two calibrations of one fingerprint.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        found = _CalibrationFile.model_validate(content).calibrations
    except (OSError, ValueError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise BadCalibration(f"The calibration file {path} cannot be used: {problem}.") from error
    by_fingerprint = {calibration.fingerprint: calibration for calibration in found}
    if len(by_fingerprint) < len(found):
        raise BadCalibration(f"The calibration file {path} has two calibrations of one fingerprint.")
    return by_fingerprint


@cache
def shipped_calibrations() -> Mapping[Fingerprint, Calibration]:
    """The calibrations that ship, from ``weights/calibration.json``; empty without that file."""
    path = SHIPPED / "calibration.json"
    return load_calibrations(path) if path.exists() else {}


def calibrations_with(own: str | Path | None) -> Mapping[Fingerprint, Calibration]:
    """The calibrations that ship, and those of a file of one's own, which replace shipped ones of the same fingerprint.

    Raises:
        BadCalibration: as :func:`load_calibrations`.
    """
    return shipped_calibrations() if own is None else {**shipped_calibrations(), **load_calibrations(own)}


class _CalibrationFile(Record):
    calibrations: tuple[Calibration, ...]


def _by_size(gallery_size: int, sizes: Sequence[int], values: Sequence[float]) -> float:
    """Interpolate linearly in the logarithm of the size, also beyond the outermost pair. A single value applies to all
    sizes.
    """
    if len(sizes) == 1:
        return values[0]
    x = math.log(max(gallery_size, 1))
    logs = [math.log(size) for size in sizes]
    i = min(max(int(np.searchsorted(logs, x)) - 1, 0), len(sizes) - 2)
    share = (x - logs[i]) / (logs[i + 1] - logs[i])
    return values[i] + share * (values[i + 1] - values[i])


def _rises(values: tuple[float, ...]) -> bool:
    return any(a < b for a, b in pairwise(values))
