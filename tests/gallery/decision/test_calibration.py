from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gaitkeeper.gallery.decision.calibration import (
    Calibration,
    ConfidenceMap,
    FmrThresholds,
    FpirThresholds,
    InUnits,
    load_calibrations,
)
from gaitkeeper.gallery.decision.units import Basis, Unit
from gaitkeeper.gallery.errors import BadCalibration, BadFmr, BadFpir

TABLE = FpirThresholds(fpir=0.01, gallery_sizes=(10, 100, 1000), distances=(5.0, 4.0, 2.0))
TOML = """
[[calibrations]]
fingerprint = "gaitpart:0123456789abcdef:1:blazepose-full/1"
min_rate_hz = 12.0

[[calibrations.thresholds]]
fpir = 0.01
gallery_sizes = [10, 1000]
distances = [5.0, 3.0]

[[calibrations.thresholds]]
fpir = 0.001
gallery_sizes = [10, 1000]
distances = [4.0, 2.0]

[calibrations.confidence]
distances = [1.0, 3.0]
confidences = [0.9, 0.1]
"""


@pytest.mark.parametrize(
    ("size", "value", "extrapolated"),
    [
        (10, 5.0, False),
        (100, 4.0, False),
        (1000, 2.0, False),
        (32, 5.0 - math.log10(3.2), False),
        (500, 4.0 - 2 * math.log10(5), False),
        (1, 6.0, True),
        (10_000, 0.0, True),
        (10**7, 0.0, True),  # the line has gone below zero
        (0, 6.0, True),
    ],
)
def test_thresholds_are_linear_in_the_log_of_the_size(size, value, extrapolated):
    got, flag = TABLE.at(size)
    assert got == pytest.approx(value, abs=1e-12)
    assert flag is extrapolated


def test_one_size_holds_everywhere_but_is_flagged():
    table = FpirThresholds(fpir=0.01, gallery_sizes=(50,), distances=(3.0,))
    assert [table.at(n) for n in (1, 50, 900)] == [(3.0, True), (3.0, False), (3.0, True)]


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_thresholds_never_rise_with_the_size(a, b):
    small, large = sorted((a, b))
    assert TABLE.at(small)[0] >= TABLE.at(large)[0] >= 0


CONFIDENCE = ConfidenceMap(distances=(1.0, 2.0, 4.0), confidences=(1.0, 0.5, 0.0))


@pytest.mark.parametrize(
    ("distance", "confidence"), [(0, 1), (1, 1), (1.5, 0.75), (2, 0.5), (3, 0.25), (4, 0), (99, 0)]
)
def test_confidence_is_linear_between_points(distance, confidence):
    assert CONFIDENCE.at(distance) == pytest.approx(confidence)


@given(st.floats(0, 10), st.floats(0, 10))
def test_confidence_never_rises_with_distance(a, b):
    near, far = sorted((a, b))
    assert 1 >= CONFIDENCE.at(near) >= CONFIDENCE.at(far) >= 0


def in_units(share: float) -> InUnits:
    return InUnits(
        thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(3, 100), distances=(share, share / 2)),),
        confidence=ConfidenceMap(distances=(share, 2 * share), confidences=(1.0, 0.0)),
        verification=FmrThresholds(fmrs=(0.01,), distances=(share,)),
    )


@pytest.fixture
def of_units(fingerprint) -> Calibration:
    return Calibration(
        fingerprint=fingerprint,
        thresholds=(TABLE,),
        confidence=CONFIDENCE,
        collection=in_units(0.5),
        camera=in_units(0.6),
        verification=FmrThresholds(fmrs=(0.01,), distances=(1.5,)),
    )


@pytest.mark.parametrize(
    ("unit", "value", "basis"),
    [
        (None, 5.0, "prior"),
        (Unit(8.0, Basis.COLLECTION, 2), 4.0, "collection"),
        (Unit(8.0, Basis.CAMERA, 7), 4.8, "camera (7 passers-by)"),
    ],
)
def test_a_threshold_is_a_share_of_the_unit_and_says_what_it_rests_on(of_units, unit, value, basis):
    threshold = of_units.threshold(0.01, 10, subjects=3, unit=unit)
    assert (threshold.value, threshold.basis) == (pytest.approx(value), basis)
    assert (threshold.source, threshold.extrapolated) == ("calibration", False)
    assert threshold.unit == (None if unit is None else 8.0)


def test_what_was_not_measured_in_units_goes_by_plain_distance(of_units):
    only = of_units.model_copy(update={"camera": None})
    unit = Unit(8.0, Basis.CAMERA, 7)
    threshold = only.threshold(0.01, 10, subjects=3, unit=unit)
    assert (threshold.value, threshold.basis, threshold.unit) == (5.0, "prior", None)
    assert only.confidence_of(1.5, unit) == CONFIDENCE.at(1.5)
    assert only.match_threshold(0.01, unit).value == 1.5


def test_many_templates_of_few_subjects_count_as_more_subjects(of_units):
    unit = Unit(1.0, Basis.COLLECTION, 2)
    few, many = (of_units.threshold(0.01, size, subjects=3, unit=unit).value for size in (12, 400))
    assert (few, many) == (pytest.approx(0.5), pytest.approx(0.25))
    assert of_units.threshold(0.01, 100, subjects=100, unit=unit).value == pytest.approx(0.25)


def test_confidence_and_verification_are_of_the_unit(of_units):
    unit = Unit(8.0, Basis.COLLECTION, 2)
    assert of_units.confidence_of(6.0, unit) == pytest.approx(0.5)
    assert of_units.confidence_of(3.0) == pytest.approx(0.25)
    match = of_units.match_threshold(0.01, unit)
    assert (match.value, match.basis, match.unit) == (4.0, "collection", 8.0)
    assert of_units.match_threshold(0.01).basis == "prior"
    with pytest.raises(BadFmr):
        of_units.match_threshold(0.02, unit)
    with pytest.raises(BadFpir):
        of_units.threshold(0.02, 10, subjects=3, unit=unit)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (FpirThresholds, {"fpir": 0.0, "gallery_sizes": (1,), "distances": (1.0,)}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (), "distances": ()}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (1, 2), "distances": (1.0,)}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (2, 2), "distances": (1.0, 1.0)}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (0, 2), "distances": (1.0, 1.0)}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (1, 2), "distances": (1.0, 2.0)}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (1,), "distances": (math.nan,)}),
        (FpirThresholds, {"fpir": 0.1, "gallery_sizes": (1,), "distances": (-1.0,)}),
        (ConfidenceMap, {"distances": (), "confidences": ()}),
        (ConfidenceMap, {"distances": (1.0, 1.0), "confidences": (1.0, 0.0)}),
        (ConfidenceMap, {"distances": (1.0, 2.0), "confidences": (0.1, 0.2)}),
        (ConfidenceMap, {"distances": (1.0,), "confidences": (1.1,)}),
        (ConfidenceMap, {"distances": (1.0,), "confidences": (math.nan,)}),
        (ConfidenceMap, {"distances": (math.inf,), "confidences": (1.0,)}),
    ],
)
def test_what_contradicts_itself_is_refused(kind, fields):
    with pytest.raises(ValidationError):
        kind(**fields)


def test_toml_and_json_say_the_same(tmp_path, fingerprint):
    (tmp_path / "c.toml").write_text(TOML)
    found = load_calibrations(tmp_path / "c.toml")
    assert list(found) == [fingerprint]
    calibration = found[fingerprint]
    assert calibration.min_rate_hz == 12.0
    content = {"calibrations": [calibration.model_dump(mode="json")]}
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert load_calibrations(tmp_path / "c.json") == found


def test_a_threshold_names_its_source(tmp_path, fingerprint):
    (tmp_path / "c.toml").write_text(TOML)
    calibration: Calibration = load_calibrations(tmp_path / "c.toml")[fingerprint]
    threshold = calibration.threshold(0.001, 100)
    assert (threshold.value, threshold.fpir, threshold.gallery_size) == (pytest.approx(3.0), 0.001, 100)
    assert (threshold.source, threshold.extrapolated) == ("calibration", False)
    with pytest.raises(BadFpir, match=r"0\.001, 0\.01"):
        calibration.threshold(0.05, 100)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not = [toml",
        TOML + TOML,
        TOML.replace("0.01\n", "2.0\n"),
        TOML.replace("gaitpart:", "gaitpart"),
        TOML.replace("[0.9, 0.1]", "[0.1, 0.9]"),
        TOML.replace("[5.0, 3.0]", "[5.0]"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, content):
    (tmp_path / "c.toml").write_text(content)
    with pytest.raises(BadCalibration, match=r"c\.toml"):
        load_calibrations(tmp_path / "c.toml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadCalibration):
        load_calibrations(tmp_path / "none.json")
