"""Every metric on cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gaitkeeper.training.evaluation.bootstrap import estimate, people_weights
from gaitkeeper.training.evaluation.closed_set import CellTable, identify
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings
from gaitkeeper.training.evaluation.metrics import MergedScores, error_curve, miss_rate, rank_probes, threshold_at
from gaitkeeper.training.evaluation.pairs import open_set, verify


def test_rank_average_precision_and_negative_penalty() -> None:
    # Probe 0: mates at places 2 and 4 of 5: AP = (1/2 + 2/4) / 2 = 1/2, INP = 2/4.
    # Probe 1: mates at places 1 and 2: all perfect. Probe 2: no mate.
    distances = np.array([[1, 2, 3, 4, 5], [2, 1, 9, 8, 7], [1, 2, 3, 4, 5]], float)
    mates = np.array([[0, 1, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    ranked = rank_probes(distances, mates)
    np.testing.assert_array_equal(ranked.rank, [2, 1, np.inf])
    np.testing.assert_allclose(ranked.average_precision, [0.5, 1, np.nan])
    np.testing.assert_allclose(ranked.inverse_negative_penalty, [0.5, 1, np.nan])


def test_three_mates_by_hand() -> None:
    # Places 1, 3 and 6: AP = (1 + 2/3 + 3/6) / 3 = 13/18; INP = 3/6.
    ranked = rank_probes(np.arange(6.0)[None], np.array([[1, 0, 1, 0, 0, 1]], bool))
    assert ranked.average_precision[0] == pytest.approx(13 / 18)
    assert ranked.inverse_negative_penalty[0] == 0.5


def test_ties_count_against_the_probe() -> None:
    mates = np.array([[True, False, False]])
    assert rank_probes(np.zeros((1, 3)), mates).rank[0] == 3
    assert rank_probes(np.array([[0.0, 0.0, 1.0]]), mates).rank[0] == 2


def test_what_must_not_be_compared_is_neither_mate_nor_rival() -> None:
    distances = np.array([[0.0, 1, 2, 3]])
    mates = np.array([[True, False, False, True]])
    allowed = np.array([[False, False, True, True]])
    ranked = rank_probes(distances, mates, allowed)
    assert ranked.rank[0] == 2
    assert ranked.average_precision[0] == 0.5
    assert rank_probes(distances, mates, np.zeros((1, 4), bool)).rank[0] == np.inf


def test_error_curve_and_equal_error_rate() -> None:
    # Thresholds 1..6 accept: fmr 0 0 1/3 1/3 2/3 1, fnmr 2/3 1/3 1/3 0 0 0: equal at threshold 3, where both are 1/3.
    curve = error_curve(np.array([1.0, 2, 4]), np.array([3.0, 5, 6]))
    np.testing.assert_array_equal(curve.threshold, [-np.inf, 1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(curve.fmr, [0, 0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.fnmr, [1, 2 / 3, 1 / 3, 1 / 3, 0, 0, 0], atol=1e-12)
    assert curve.equal_error_rate == pytest.approx(1 / 3)


def test_equal_error_rate_between_thresholds_is_linear() -> None:
    # From (fmr 0, fnmr 1/2) to (fmr 1, fnmr 1/2) at one step of the impostor: they are equal at 1/2.
    assert error_curve(np.array([1.0, 3]), np.array([2.0])).equal_error_rate == pytest.approx(0.5)
    # (0, 1/4) -> (1/2, 1/4): equal at 1/4.
    assert error_curve(np.array([1.0, 1, 1, 4]), np.array([3.0, 5])).equal_error_rate == pytest.approx(0.25)
    assert error_curve(np.array([1.0]), np.array([2.0])).equal_error_rate == 0
    assert error_curve(np.array([2.0]), np.array([1.0])).equal_error_rate == 1


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, 30), rng.normal(2, 1, 40)
    a, b = rng.integers(0, 4, 30), rng.integers(0, 4, 40)
    weighted = MergedScores(genuine, impostor).curve(a, b)
    repeated = error_curve(np.repeat(genuine, a), np.repeat(impostor, b))
    assert weighted.equal_error_rate == pytest.approx(repeated.equal_error_rate)
    for rate in (0.01, 0.1, 0.3):
        assert weighted.fnmr_at(rate) == pytest.approx(repeated.fnmr_at(rate))
        assert miss_rate(genuine, impostor, rate, a, b) == pytest.approx(repeated.fnmr_at(rate))


def test_miss_rate_at_a_false_match_rate() -> None:
    wrong = np.arange(1, 101, dtype=float)  # one of a hundred may pass at 0.01: everything below 2
    assert threshold_at(wrong, 0.01) == 2
    assert threshold_at(wrong, 0.001) == 1
    assert threshold_at(wrong, 0.03) == 4
    assert threshold_at(wrong[:3], 1 / 3) == 2
    assert miss_rate(np.array([0.5, 1.5, 2, 7]), wrong, 0.01) == 0.5
    assert miss_rate(np.array([0.5, 1.5, 2, 7]), wrong, 0.001) == 0.75
    assert miss_rate(np.array([0.5, np.inf]), wrong, 0.01) == 0.5


def test_miss_rate_equals_the_curves_best_point() -> None:
    rng = np.random.default_rng(1)
    genuine, impostor = rng.normal(0, 1, 200).round(1), rng.normal(2, 1, 300).round(1)
    curve = error_curve(genuine, impostor)
    for rate in (0.0, 0.01, 0.05, 0.2):
        assert miss_rate(genuine, impostor, rate) == pytest.approx(curve.fnmr[curve.fmr <= rate].min())
        assert curve.fnmr_at(rate) == curve.fnmr[curve.fmr <= rate].min()


def table() -> CellTable:
    """Two people, two views. Of A both probes of view 0 are right, of view 1 none; of B one in each."""
    cells = CellTable(np.array(["A", "B"]), np.array(["0", "1"]), np.array(["0", "1"]))
    right, wrong = [1.0, 2.0], [2.0, 1.0]
    for probe_view, gallery_view, rows in (
        ("0", "1", {"A": [right, right], "B": [right, wrong]}),
        ("1", "0", {"A": [wrong, wrong], "B": [wrong, right]}),
        ("0", "0", {"A": [right], "B": [right]}),
    ):
        for person, distances in rows.items():
            d = np.array(distances)
            mates = np.tile([True, False], (len(d), 1))
            cells.add(probe_view, gallery_view, np.array([person] * len(d)), d, mates, None)
    return cells


def test_the_cross_view_mean_is_over_cells_and_leaves_identical_views_out() -> None:
    cells = table()
    np.testing.assert_allclose(cells.rank_1(), [[1, 0.75], [0.25, np.nan]])
    weights = people_weights(2, 200, 0)
    across = identify(cells, ~np.eye(2, dtype=bool), weights)
    assert across.metrics["rank_1"].value == 0.5
    assert across.metrics["rank_5"].value == 1
    assert across.metrics["map"].value == pytest.approx((0.75 + 0.25 + (0.25 + 0.75) / 2) / 2)
    assert across.comparisons == 8
    same = identify(cells, np.eye(2, dtype=bool), weights)
    assert same.metrics["rank_1"].value == 1
    assert same.comparisons == 2
    # Drawing A or B alone gives (1 + 0) / 2 or (1/2 + 1/2) / 2: always one half.
    assert (across.metrics["rank_1"].low, across.metrics["rank_1"].high) == (0.5, 0.5)


def test_probes_without_a_mate_count_in_rank_1_and_not_among_the_mated() -> None:
    cells = CellTable(np.array(["A", "B"]), np.array(["all"]), np.array(["all"]))
    distances, mates = np.array([[1.0, 2], [1, 2]]), np.array([[True, False], [False, False]])
    cells.add("all", "all", np.array(["A", "B"]), distances, mates, None)
    found = identify(cells, np.ones((1, 1), bool), people_weights(2, 50, 0))
    assert found.metrics["rank_1"].value == 0.5
    assert found.rank_1_mated.value == 1
    assert found.metrics["map"].value == 1
    assert (found.comparisons, found.mated) == (2, 1)


def test_bootstrap_draws_as_many_people_as_there_are_and_gives_percentiles() -> None:
    weights = people_weights(50, 4000, 3)
    assert (weights.sum(axis=1) == 50).all()
    np.testing.assert_array_equal(weights, people_weights(50, 4000, 3))
    values = np.r_[np.zeros(25), np.ones(25)]
    found = estimate(0.5, weights, lambda row: float(row @ values / row.sum()))
    # A binomial share of 50: 1.96 · sqrt(0.25 / 50) = 0.139 on both sides.
    assert found.low == pytest.approx(0.5 - 0.139, abs=0.025)
    assert found.high == pytest.approx(0.5 + 0.139, abs=0.025)
    assert math.isnan(estimate(1.0, weights[:3], lambda _: math.nan).low)


def test_verification_counts_allowed_pairs() -> None:
    distances = np.array([[1.0, 5, 6], [7, 2, 3]])
    people, templates = np.array(["A", "B"]), np.array(["A", "B", "C"])
    found = verify(distances, people, templates, np.ones((2, 3), bool), EvaluationSettings(replicates=20))
    assert found is not None
    assert (found.genuine, found.impostor) == (2, 4)
    assert found.eer.value == 0
    assert found.fnmr["0.01"].value == 0
    assert found.resolved == {"0.01": False, "0.001": False}
    allowed = np.array([[True, True, True], [True, False, True]])
    fewer = verify(distances, people, templates, allowed, EvaluationSettings(replicates=20))
    assert fewer is not None and fewer.genuine == 1
    assert verify(distances, people, templates, np.zeros((2, 3), bool), EvaluationSettings()) is None


def test_open_set_by_hand() -> None:
    # A and B are enrolled, S never. Strangers' nearest: 3 and 5. Of the mated, one at 1 is right, one at 4 is right,
    # and B's second probe is nearer to A.
    probes = np.array(["A", "B", "B", "S", "S"])
    templates = np.array(["A", "A", "B"])
    distances = np.array([[2.0, 1, 9], [9, 9, 4], [0.5, 9, 0.6], [3, 9, 9], [9, 9, 5]])
    settings = EvaluationSettings(replicates=10, rates=(0.01, 0.5))
    found = open_set(distances, probes, templates, np.ones((5, 3), bool), settings, strangers=["S"])
    assert found is not None
    # No stranger may pass at 0.01: below 3, so only A's. One may at 0.5: below 5, so B's first as well.
    assert found.fnir["0.01"].value == pytest.approx(2 / 3)
    assert found.fnir["0.5"].value == pytest.approx(1 / 3)
    assert (found.gallery_subjects, found.gallery_templates) == (2, 3)
    assert (found.mated_probes, found.stranger_probes, found.draws) == (3, 2, 1)
    assert found.resolved == {"0.01": False, "0.5": True}


def test_open_set_draws_who_is_enrolled_where_nobody_is_named_a_stranger() -> None:
    people = np.array([f"p{i}" for i in range(6)])
    distances = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    settings = EvaluationSettings(replicates=20, draws=7, gallery_size=4)
    found = open_set(distances, people, people, np.ones((6, 6), bool), settings)
    assert found is not None
    assert (found.gallery_subjects, found.draws, found.mated_probes, found.stranger_probes) == (4, 7, 4, 2)
    assert found.fnir["0.01"].value == 0  # everyone is at 0 from themself, strangers at 1 or more
    assert open_set(distances[:1, :1], people[:1], people[:1], np.ones((1, 1), bool), settings) is None
