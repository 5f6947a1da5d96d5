"""The tables of real people are made of as few galleries as one."""

from __future__ import annotations

import numpy as np
import torch

from bench.real_people import PASSERS, RATES, SIZES, opened
from bench.real_walks import Walks, cameras, rank_1
from gaitkeeper.gallery.decision.calibration import Calibration, ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.pipelines.fingerprint import Fingerprint

PEOPLE, PASSES = 6, 4


def walks() -> Walks:
    """Four passes of six people, each near the person's own point."""
    points, drawn = np.random.default_rng(0).normal(size=(PEOPLE, 1, 2, 4)), np.random.default_rng(1)
    embeddings = (points + 0.1 * drawn.normal(size=(PEOPLE, PASSES, 2, 4))).reshape(-1, 2, 4)
    subjects = np.repeat([f"p{i}" for i in range(PEOPLE)], PASSES)
    takes = np.tile([str(i + 1) for i in range(PASSES)], PEOPLE)
    unset = np.full(len(subjects), "")
    return Walks.of(torch.from_numpy(embeddings.astype(np.float32)), subjects, unset, takes, unset)


def test_one_draw_fills_every_table() -> None:
    known = InUnits(
        thresholds=tuple(FpirThresholds(fpir=rate, gallery_sizes=(1,), distances=(0.5,)) for rate in RATES),
        confidence=ConfidenceMap(distances=(0.1, 1.5), confidences=(1.0, 0.0)),
    )
    calibration = Calibration(
        fingerprint=Fingerprint("gei", "none", "1", "blazepose-full/1"),
        thresholds=tuple(FpirThresholds(fpir=rate, gallery_sizes=(1,), distances=(0.5,)) for rate in RATES),
        confidence=ConfidenceMap(distances=(0.1, 1.5), confidences=(1.0, 0.0)),
        collection=known,
        camera=known,
    )
    found = opened({"tum": walks()}, calibration, draws=1)
    assert set(found["halves"]["0.01"]) == {"TUM 1 to 2, 3, 4", "pooled"}
    assert list(found["sizes"]) == [size for size in SIZES if size < PEOPLE]
    assert list(found["passers"]) == list(PASSERS)
    assert found["halves"]["0.01"]["pooled"]["right"][0] > 90


def test_a_setting_of_kth_is_a_camera_by_heading() -> None:
    unset = np.full(5, "")
    subjects, settings = np.array(["a", "b", "a", "b", "a"]), np.array(["d1", "d1", "d1", "d1", "d4"])
    headings = np.array(["left", "left", "right", "left", "still"])
    found = cameras(Walks.of(torch.zeros(5, 1, 2), subjects, settings, unset, headings))
    # Only one person goes to the right: no other people to be centred by.
    assert list(found.views) == ["d1 left", "d1 left", "d1 left", "d1 left", "d4 still"]


def test_a_view_in_which_one_person_is_enrolled_tells_nothing() -> None:
    unset = np.full(6, "")
    subjects, headings = (
        np.array(["a", "b", "c", "a", "b", "a"]),
        np.array(["left", "left", "still", "left", "left", "right"]),
    )
    points = torch.tensor([0.0, 1.0, 2.0, 0.1, 1.1, 0.2])[:, None, None]
    found = Walks.of(points, subjects, unset, unset, headings)
    gallery, probes = np.array([0, 1, 2]), np.array([3, 4, 5])
    # The only subject who is enrolled standing still would be everybody's nearest there.
    assert rank_1(found, gallery, probes, same=False) == 100
    assert rank_1(found, gallery, probes) == 100
