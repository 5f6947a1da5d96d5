"""What a distance means: thresholds by false-positive identification rate and gallery size, and confidence.

A distance alone means little: indoors all people are near, in other clothes all are far. So distances are told in
units of how far different people are apart where a probe was seen and in its collection
(:mod:`gallery.decision.units`), and thresholds are shares of that unit. Where there is no unit yet, a strict threshold
of plain distances holds, the prior.
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

from gallery.decision.units import PRIOR, Basis, Unit
from gallery.errors import BadCalibration, BadFmr, BadFpir
from gallery.types import FingerprintText, MatchThreshold, Record, Threshold
from models.weights import SHIPPED
from pipelines.fingerprint import Fingerprint
from pipelines.quality import MIN_RATE

PER_SUBJECT = 4
"""Templates of a subject in the galleries that thresholds in units are fitted on."""


class FpirThresholds(Record):
    """Thresholds for one false-positive identification rate (FPIR), the share of strangers who are given a name.

    Attributes:
        fpir: the rate, in (0, 1).
        gallery_sizes: numbers of templates, or, where distances are in units, of subjects; rising.
        distances: the threshold at each of these sizes; never rising, for the larger the gallery, the nearer the
            nearest stranger.
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
        """The threshold at a gallery of that many templates, and whether it lies beyond the calibrated sizes.

        Linear in the logarithm of the size, between the calibrated sizes and, along the outermost pair, beyond them;
        never below 0. With one size alone its threshold is taken everywhere.
        """
        extrapolated = not self.gallery_sizes[0] <= gallery_size <= self.gallery_sizes[-1]
        return max(0.0, _by_size(gallery_size, self.gallery_sizes, self.distances)), extrapolated


class ConfidenceMap(Record):
    """A monotone map from distance to confidence, linear between its points and constant beyond them.

    Attributes:
        distances: in units or plain, rising.
        confidences: at each of these distances, in [0, 1], never rising.
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
        """Confidence in [0, 1] that a candidate at this distance is the person."""
        return float(np.interp(distance, self.distances, self.confidences))


class FmrThresholds(Record):
    """Thresholds of one-to-one comparison by false match rate (FMR), the share of strangers who pass for a subject.

    A comparison is of one walker with all templates of one subject, the nearest of which counts.

    Attributes:
        fmrs: rates in (0, 1), rising.
        distances: the threshold at each, in units or plain, never falling.
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
    """How far apart each part of two different people is.

    Attributes:
        pairs: pairs of different people that were measured.
        quantiles: by part, distances at evenly spaced shares of the pairs, from 0 to 1, never falling.
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
    """What distances in units of one basis mean.

    Attributes:
        thresholds: by false-positive identification rate; sizes are numbers of subjects.
        confidence: of a candidate, by its distance in units.
        verification: thresholds of one-to-one comparison, where they were measured.
    """

    thresholds: tuple[FpirThresholds, ...] = Field(min_length=1)
    confidence: ConfidenceMap
    verification: FmrThresholds | None = None


class Calibration(Record):
    """What was measured for one fingerprint, on people never seen in training.

    Attributes:
        fingerprint: what it was measured for; it says nothing of any other.
        thresholds: of plain distances, by false-positive identification rate: the prior.
        confidence: of a candidate, by its plain distance.
        collection: of distances in units that a collection's own subjects give; None where not measured.
        camera: of distances in units that passers-by of a camera give, too; None where not measured.
        verification: thresholds of plain distances in one-to-one comparison, where they were measured.
        strictness: share of the distances in units that were fitted on rendered people which real people allow.
        min_rate_hz: the lowest frame rate at which it holds, in hertz; below it no verdict is given.
        parts: distances of different people part by part, where they were measured.
    """

    fingerprint: FingerprintText
    thresholds: tuple[FpirThresholds, ...] = Field(min_length=1)
    confidence: ConfidenceMap
    collection: InUnits | None = None
    camera: InUnits | None = None
    verification: FmrThresholds | None = None
    strictness: float = Field(1.0, gt=0, le=1)
    min_rate_hz: float = Field(MIN_RATE, gt=0)
    parts: PartQuantiles | None = None

    def measured(self, unit: Unit | None) -> tuple[InUnits | None, float]:
        """What distances of a unit mean, and the unit's length; None and 1 where plain distances must do."""
        found = None if unit is None else self.camera if unit.basis is Basis.CAMERA else self.collection
        return (None, 1.0) if found is None or unit is None else (found, unit.length)

    def threshold(self, fpir: float, gallery_size: int, *, subjects: int = 0, unit: Unit | None = None) -> Threshold:
        """The threshold for a rate at a number of templates.

        Args:
            fpir: the rate.
            gallery_size: templates searched.
            subjects: of these templates; counts where there is a unit.
            unit: of the probe and its nearest template; None where there is none.

        Raises:
            BadFpir: the rate is none of the calibrated ones.
        """
        known, length = self.measured(unit)
        tables = self.thresholds if known is None else known.thresholds
        # With more templates of each subject than were calibrated, a stranger has more chances to come near.
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
        """Confidence in [0, 1] that a candidate at a distance is the person."""
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
        """The threshold of one-to-one comparison at a false match rate; without a value where none were measured.

        Raises:
            BadFmr: the rate is none of the calibrated ones.
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
    """The calibrations of a ``.toml`` or ``.json`` file, by fingerprint; in TOML one ``[[calibrations]]`` each.

    Raises:
        BadCalibration: not such a file, one that contradicts itself, or two calibrations of one fingerprint.
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
    """Those of the weights that ship, ``weights/calibration.json``; none where there is no such file."""
    path = SHIPPED / "calibration.json"
    return load_calibrations(path) if path.exists() else {}


class _CalibrationFile(Record):
    calibrations: tuple[Calibration, ...]


def _by_size(gallery_size: int, sizes: Sequence[int], values: Sequence[float]) -> float:
    """Linear in the logarithm of the size, also beyond the outermost pair; a single value holds everywhere."""
    if len(sizes) == 1:
        return values[0]
    x = math.log(max(gallery_size, 1))
    logs = [math.log(size) for size in sizes]
    i = min(max(int(np.searchsorted(logs, x)) - 1, 0), len(sizes) - 2)
    share = (x - logs[i]) / (logs[i + 1] - logs[i])
    return values[i] + share * (values[i + 1] - values[i])


def _rises(values: tuple[float, ...]) -> bool:
    return any(a < b for a, b in pairwise(values))
