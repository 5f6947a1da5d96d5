from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gallery.calibration import Calibration, ConfidenceMap, FpirThresholds, RelativeThresholds, load_calibrations
from gallery.errors import BadCalibration, BadFpir

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


def relative(distance: float, ratio: float) -> tuple[RelativeThresholds, ...]:
    sizes = {"gallery_sizes": (100, 1000), "distances": (distance, distance - 1), "ratios": (ratio, ratio + 0.2)}
    return (RelativeThresholds(fpir=0.01, **sizes),)


@pytest.mark.parametrize(
    ("size", "rivals", "value", "told"),
    [
        (100, 6.0, 3.0, True),
        (1000, 6.0, 4.2, True),
        (100, 20.0, 6.0, True),  # however far the others are, no farther than the distance
        (10**9, 6.0, 0.0, True),  # where the distance has gone to nothing
        (99, 6.0, 4.0 + math.log10(100 / 99), False),
        (100, None, 4.0, False),
    ],
)
def test_where_others_are_near_the_threshold_is_lower(fingerprint, size, rivals, value, told):
    calibration = Calibration(
        fingerprint=fingerprint, thresholds=(TABLE,), relative=relative(6.0, 0.5), confidence=CONFIDENCE
    )
    threshold = calibration.threshold(0.01, size, rivals=rivals)
    assert threshold.value == pytest.approx(value)
    assert threshold.rivals == (rivals if told else None)
    assert threshold.source == "calibration" and threshold.extrapolated == (size > 1000)


def test_beside_others_too_the_smaller_threshold_holds_where_cameras_are_known(fingerprint):
    tables = {"thresholds": (TABLE,), "relative": relative(6.0, 0.5), "centred": (TABLE,), "confidence": CONFIDENCE}
    found = [
        Calibration(fingerprint=fingerprint, **tables, relative_centred=centred).threshold(
            0.01, 100, centred=True, rivals=6.0
        )
        for centred in (relative(2.5, 0.5), relative(6.0, 0.6), ())
    ]
    assert [one.value for one in found] == [2.5, 3.0, 3.0]
    assert {(one.source, one.rivals) for one in found} == {("calibration_centred", 6.0)}


@pytest.mark.parametrize(("size", "ratio"), [(10, 0.3), (100, 0.5), (1000, 0.7), (10**6, 1.0)])
def test_a_ratio_is_a_share_at_any_size(size, ratio):
    assert relative(6.0, 0.5)[0].ratio_at(size) == pytest.approx(ratio)


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
        (RelativeThresholds, {"fpir": 0.1, "gallery_sizes": (9,), "distances": (1.0,), "ratios": ()}),
        (RelativeThresholds, {"fpir": 0.1, "gallery_sizes": (9,), "distances": (1.0,), "ratios": (1.1,)}),
        (RelativeThresholds, {"fpir": 0.1, "gallery_sizes": (9,), "distances": (1.0,), "ratios": (math.nan,)}),
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
