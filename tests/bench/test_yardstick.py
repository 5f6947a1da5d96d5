"""The yardstick's tables, on drawn embeddings in place of the real people's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from bench.real_people import MIXED, PASSERS, mixed, opened, ranks, show
from bench.real_walks import Walks, settings
from gaitkeeper.gallery.decision.calibration import Calibration, ConfidenceMap, FpirThresholds, InUnits

RATES = (0.01, 0.001)


def drawn(people: int, names: list[tuple[str, str, str]], seed: int, noise: float = 0.3) -> Walks:
    """Walks of people by condition, take and view, each about a point of the person."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(people, 1, 4, 8)) + noise * rng.normal(size=(people, len(names), 4, 8))
    embeddings = torch.from_numpy(points.reshape(-1, 4, 8).astype(np.float32))
    subjects = np.repeat([f"{seed}-{i}" for i in range(people)], len(names))
    conditions, takes, views = np.array(names * people).T
    return Walks.of(embeddings, subjects, conditions, takes, views)


@pytest.fixture(scope="module")
def found() -> dict[str, Walks]:
    """Data sets of the shapes of those that the yardstick has."""
    kth = [(condition, str(i), ("left", "right")[i % 2]) for condition in ("d1", "d3", "d4") for i in range(4)]
    psymo = [(c, take, view) for c, take in (("nm", "0"), ("nm", "1"), ("bg", "0"), ("cl", "0")) for view in "ab"]
    return {
        "quartet": drawn(4, [("front", "1", ""), ("back", "1", "")], 1),
        "kth": drawn(8, kth, 2),
        "tum": drawn(9, [("nm", str(i), "left") for i in range(1, 5)], 3),
        "psymo": drawn(5, psymo, 4),
    }


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """The prior refuses all strangers, units accept the near ones."""
    thresholds = tuple(FpirThresholds(fpir=rate, gallery_sizes=(1,), distances=(0.01,)) for rate in RATES)
    known = InUnits(
        thresholds=tuple(
            FpirThresholds(fpir=rate, gallery_sizes=(3,), distances=(share,))
            for rate, share in zip(RATES, (0.6, 0.3), strict=True)
        ),
        confidence=ConfidenceMap(distances=(0.2, 1.0), confidences=(1.0, 0.0)),
    )
    plain = ConfidenceMap(distances=(0.2, 3.0), confidences=(1.0, 0.0))
    return Calibration(
        fingerprint="gei:none:1:blazepose-full/1",
        thresholds=thresholds,
        confidence=plain,
        collection=known,
        camera=known,
    )


def test_ranks_are_of_every_condition(found: dict[str, Walks]) -> None:
    all_of_them = ranks(found)
    assert {name.split()[0] for name in all_of_them} == {"quartet,", "KTH", "TUM", "PsyMo"}
    assert all_of_them["quartet, front to back"] == 100 == all_of_them["KTH d4 other direction"]
    assert ranks({"quartet": found["quartet"]}) == {"quartet, front to back": 100}
    swapped = replace(found["quartet"], subjects=np.roll(found["quartet"].subjects, 1))
    assert ranks({"quartet": swapped}) == {"quartet, front to back": 0}


def test_the_open_set_has_halves_sizes_mixtures_and_passers(found: dict[str, Walks], calibration: Calibration) -> None:
    rendered = drawn(98, [("nm", f"enrol{i}", "000") for i in range(4)], 5)
    figures = opened(found, calibration, 4, rendered)
    assert set(figures["halves"]["0.01"]) == {place.name for place in settings(found)} | {"pooled"}
    named, right = (figures["halves"]["0.01"]["pooled"][name][0] for name in ("named", "right"))
    assert figures["halves"]["0.001"]["pooled"]["named"][0] <= named < right
    # With one or two enrolled people only the prior decides.
    for size in (1, 2):
        assert figures["sizes"][size]["named"] == figures["sizes"][size]["right"] == [0]
        assert figures["mixed"][size]["named"] == [0]
        assert figures["sizes"][size]["prior"] == figures["mixed"][size]["prior"] == [100]
    assert figures["sizes"][3]["prior"] == figures["passers"][5]["prior"] == [0]
    halves = figures["halves"]["0.01"]
    assert halves["PsyMo, same view"]["prior"] == [100], "half of five are two, who are no unit"
    assert halves["KTH d4, indoors"]["prior"] == [0]
    assert 12 not in figures["sizes"], "no data set has so many people"
    assert list(figures["mixed"]) == list(MIXED) and list(figures["passers"]) == list(PASSERS)
    assert figures["mixed"][5]["right"][0] > 50
    console = Console(width=120)
    with console.capture() as shown:
        show(console, [{"network": "one", "ranks": ranks(found), "open": figures}, {"network": "two", "ranks": {}}])
    text = shown.get()
    assert "100, real and rendered" in text and "quartet, front to back" in text


def test_galleries_that_rendered_people_cannot_fill_are_left_out(
    found: dict[str, Walks], calibration: Calibration
) -> None:
    rendered = drawn(6, [("nm", "enrol0", "000")], 6)
    figures = mixed(list(settings(found)), rendered, calibration, 1)
    assert list(figures) == [1, 2, 3, 5]
    assert all(np.isfinite(one["named"][0]) for one in figures.values())
