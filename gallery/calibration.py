"""What a distance means: thresholds by false-positive identification rate and gallery size, and confidence."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from gallery.errors import BadCalibration, BadFmr, BadFpir
from gallery.types import FingerprintText, MatchThreshold, Record, Threshold
from models.weights import SHIPPED
from pipelines.fingerprint import Fingerprint

RIVALS = 4
"""Subjects next to the nearest whose mean distance tells how many resemble a walker."""


class FpirThresholds(Record):
    """Thresholds for one false-positive identification rate (FPIR), the share of strangers who are given a name.

    Attributes:
        fpir: the rate, in (0, 1).
        gallery_sizes: numbers of templates, rising.
        distances: the threshold at each of these sizes; never rising, for the more templates, the nearer the nearest
            stranger.
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


class RelativeThresholds(FpirThresholds):
    """Thresholds that go by how far the next subjects are, too.

    The nearest subject matches up to the smaller of a distance, larger than the one that would do alone, and a share of
    the mean distance of the ``RIVALS`` next ones: the nearest neighbour distance ratio (Lowe, Distinctive image
    features from scale-invariant keypoints, IJCV 2004, section 7.1; for open sets Mendes Júnior et al., Nearest
    neighbors distance ratio open-set classifier, Machine Learning 2017). A walker whom many resemble must come nearer
    than one whom nobody does. The distance bounds what that may cost where all the others are far for another reason,
    as behind another camera.

    Attributes:
        ratios: that share at each gallery size, in [0, 1].
    """

    ratios: tuple[float, ...]

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if len(self.ratios) != len(self.gallery_sizes) or not all(0 <= ratio <= 1 for ratio in self.ratios):
            raise ValueError("one ratio in [0, 1] for each gallery size expected")
        return self

    def ratio_at(self, gallery_size: int) -> float:
        """The share at a gallery of that many templates, as :meth:`at` gives the distance; in [0, 1]."""
        return min(max(_by_size(gallery_size, self.gallery_sizes, self.ratios), 0.0), 1.0)


@dataclass(frozen=True)
class Limit:
    """Up to where the nearest subject matches.

    Attributes:
        distance: in any case.
        ratio: share of the rivals' mean distance; None where they do not count.
        extrapolated: whether the gallery's size lies outside the calibrated sizes.
    """

    distance: float
    ratio: float | None
    extrapolated: bool

    def beside(self, rivals: float | None) -> float:
        """The distance up to which it matches where the rivals are that far, in the mean."""
        return self.distance if self.ratio is None or rivals is None else min(self.distance, self.ratio * rivals)


def limit_of(
    fpir: float, gallery_size: int, alone: Sequence[FpirThresholds], relative: Sequence[RelativeThresholds]
) -> Limit | None:
    """The limit of relative thresholds where the gallery is large enough for them, else of the others; None of neither.

    Args:
        fpir: the rate.
        gallery_size: templates searched.
        alone, relative: of a :class:`Calibration`; no relative ones where there are too few rivals.
    """
    for table in relative:
        if math.isclose(table.fpir, fpir) and gallery_size >= table.gallery_sizes[0]:
            distance, extrapolated = table.at(gallery_size)
            return Limit(distance, table.ratio_at(gallery_size), extrapolated)
    for one in alone:
        if math.isclose(one.fpir, fpir):
            distance, extrapolated = one.at(gallery_size)
            return Limit(distance, None, extrapolated)
    return None


class ConfidenceMap(Record):
    """A monotone map from distance to confidence, linear between its points and constant beyond them.

    Attributes:
        distances: rising.
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
        distances: the threshold at each, never falling.
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


class Calibration(Record):
    """What was measured for one fingerprint, on people never seen in training.

    Attributes:
        fingerprint: what it was measured for; it says nothing of any other.
        thresholds: by false-positive identification rate.
        confidence: of a candidate, by its distance.
        relative: by the same rates, for galleries of at least the first of their sizes; empty where not measured.
        centred, relative_centred: the same where what is known of cameras is taken off, which draws strangers nearer,
            too; empty where that was not measured.
        verification: thresholds of one-to-one comparison, where they were measured.
        min_rate_hz: the lowest frame rate that was measured, in hertz; below it no verdict is given.
        parts: distances of different people part by part, where they were measured.
    """

    fingerprint: FingerprintText
    thresholds: tuple[FpirThresholds, ...] = Field(min_length=1)
    confidence: ConfidenceMap
    relative: tuple[RelativeThresholds, ...] = ()
    centred: tuple[FpirThresholds, ...] = ()
    relative_centred: tuple[RelativeThresholds, ...] = ()
    verification: FmrThresholds | None = None
    min_rate_hz: float = Field(20.0, gt=0)
    parts: PartQuantiles | None = None

    def threshold(
        self, fpir: float, gallery_size: int, *, centred: bool = False, rivals: float | None = None
    ) -> Threshold:
        """The threshold for a rate at a number of templates.

        Args:
            fpir: the rate.
            gallery_size: templates searched.
            centred: whether what is known of some views was taken off. As others may not be known yet, the smaller of
                both thresholds holds then.
            rivals: mean distance of the ``RIVALS`` subjects next to the nearest; None where there are not so many.

        Raises:
            BadFpir: the rate is none of the calibrated ones.
        """
        counts = rivals is not None
        limit = limit_of(fpir, gallery_size, self.thresholds, self.relative if counts else ())
        if limit is None:
            known = sorted(table.fpir for table in self.thresholds)
            raise BadFpir(
                f"{self.fingerprint} is not calibrated for an FPIR of {fpir:g}, but for {', '.join(map(str, known))}.",
                calibrated=known,
            )
        other = limit_of(fpir, gallery_size, self.centred, self.relative_centred if counts else ()) if centred else None
        both = [limit] if other is None else [limit, other]
        return Threshold(
            value=min(one.beside(rivals) for one in both),
            fpir=fpir,
            gallery_size=gallery_size,
            source="calibration" if other is None else "calibration_centred",
            extrapolated=any(one.extrapolated for one in both),
            rivals=rivals if any(one.ratio is not None for one in both) else None,
        )

    @property
    def strictest(self) -> float:
        """The smallest calibrated false-positive identification rate."""
        return min(table.fpir for table in self.thresholds)

    @property
    def loosest(self) -> float:
        """The largest calibrated false-positive identification rate."""
        return max(table.fpir for table in self.thresholds)

    def match_threshold(self, fmr: float) -> MatchThreshold:
        """The threshold of one-to-one comparison at a false match rate; without a value where none were measured.

        Raises:
            BadFmr: the rate is none of the calibrated ones.
        """
        if self.verification is None:
            return MatchThreshold(value=None, fmr=fmr, source=None)
        for known, distance in zip(self.verification.fmrs, self.verification.distances, strict=True):
            if math.isclose(known, fmr):
                return MatchThreshold(value=distance, fmr=fmr, source="calibration")
        listed = ", ".join(map(str, self.verification.fmrs))
        raise BadFmr(
            f"{self.fingerprint} is not calibrated for an FMR of {fmr:g}, but for {listed}.",
            calibrated=list(self.verification.fmrs),
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
