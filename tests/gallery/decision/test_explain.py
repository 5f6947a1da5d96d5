"""Candidates part by part, each part against different people's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gaitkeeper import models
from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.decision.calibration import Calibration, ConfidenceMap, FpirThresholds, PartQuantiles
from gaitkeeper.gallery.decision.explain import MIN_PAIRS, explain, impostors_of, quantiles
from gaitkeeper.pipelines.fingerprint import fingerprint_of

EYES = "blazepose-full/1"


@pytest.fixture(scope="module")
def net():
    return models.build("gaitpart", seed=0, channels=(4, 8, 16), embed_dim=8).eval()


def opened(store_url, net, people, walker, **kwargs):
    gallery = Gallery.open(store_url, network=net, **kwargs)
    for person in range(people):
        gallery.enroll(f"p{person}", walker(person))
    return gallery


def test_the_mean_over_parts_is_the_distance_and_shares_come_from_the_collections_pairs(store_url, walker, net):
    with opened(store_url, net, 7, walker) as gallery:
        plain = gallery.identify(walker(2, 1), top_k=7)
        assert plain.explanation is None
        found = gallery.identify(walker(2, 1), top_k=7, explained=True)
    assert found.candidates == plain.candidates
    why = found.explanation
    assert (why.source, why.pairs) == ("collection", 21)
    assert [c.subject for c in why.candidates] == [c.subject for c in found.candidates[:5]]
    for told, candidate in zip(why.candidates, found.candidates, strict=False):
        assert len(told.distances) == 16
        assert np.mean(told.distances) == pytest.approx(candidate.distance, rel=1e-6)
        assert all(0 <= share <= 1 for share in told.impostor_shares)
    right, last = why.candidates[0], why.candidates[-1]
    assert right.subject == "p2"
    assert np.mean(right.impostor_shares) < np.mean(last.impostor_shares)
    assert [(part.top, part.bottom) for part in why.parts] == [(i / 16, (i + 1) / 16) for i in range(16)]
    assert all(part.low <= part.median <= part.high for part in why.parts)


def test_a_calibrations_own_distances_come_first(store_url, walker, net):
    measured = PartQuantiles(pairs=99, quantiles=((0.0, 1.0, 100.0),) * 16)
    fingerprint = fingerprint_of(net, EYES)
    calibration = Calibration(
        fingerprint=fingerprint,
        thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(1,), distances=(1.0,)),),
        confidence=ConfidenceMap(distances=(0.0, 1.0), confidences=(1.0, 0.0)),
        parts=measured,
    )
    again = Calibration.model_validate_json(calibration.model_dump_json())
    assert again.parts == measured
    with opened(store_url, net, 7, walker, calibrations={fingerprint: again}) as gallery:
        why = gallery.identify(walker(2, 1), explained=True).explanation
    assert (why.source, why.pairs) == ("calibration", 99)
    assert all((part.low, part.median, part.high) == pytest.approx((0.1, 1.0, 90.1)) for part in why.parts)


def test_of_too_few_people_nothing_is_known_but_distances(store_url, walker, net):
    with opened(store_url, net, 4, walker) as gallery:
        why = gallery.identify(walker(2, 1), explained=True).explanation
        assert (why.source, why.pairs) == (None, 0)
        assert why.candidates[0].impostor_shares is None and why.parts[0].median is None
        assert len(why.candidates[0].distances) == 16
        assert gallery.identify(walker(2, frames=0), explained=True).explanation is None


def test_a_candidate_erased_meanwhile_is_left_out():
    probe, known = torch.zeros(3, 2), torch.ones(3, 2)
    told = explain(probe, [("a", "1"), ("b", "2")], {"2": known}, (None,) * 3, None)
    assert [c.subject for c in told.candidates] == ["b"]
    assert told.candidates[0].distances == pytest.approx((2**0.5,) * 3)
    assert told.parts[0].top is None


def test_shares_follow_the_pairs():
    people = torch.arange(6, dtype=torch.float32)[:, None, None].expand(6, 2, 1)
    known = impostors_of(None, people)
    assert known.pairs == 15 and known.source == "collection"
    assert known.share(0, 0.0) == 0.0 and known.share(0, 5.0) == 1.0 and known.share(0, 50.0) == 1.0
    assert 0 < known.share(1, 1.5) < known.share(1, 3.5) < 1
    assert impostors_of(None, people[:4]) is None and MIN_PAIRS == 10
    assert quantiles(np.array([[0.0, 1.0, 2.0]])).shape == (1, 65)


@pytest.mark.parametrize(
    ("name", "strips"),
    [
        *(("gei", 1), ("gaitset", 62), ("gaitpart", 16), ("gaitbase", 16), ("gaitgl", 64), ("gstsn", 45)),
        *(("gaitheat", 16), ("gaittemplate", 16)),
    ],
)
def test_networks_that_cut_the_body_in_strips_say_where(name, strips):
    net = models.build(name)
    assert len(net.strips) == strips == net.out_shape[0]
    assert all(0 <= top < bottom <= 1 for top, bottom in net.strips)


def test_networks_of_joints_have_no_strips():
    net = models.build("jointsgait")
    assert net.strips == (None,) * net.out_shape[0]


@pytest.mark.parametrize("quantiles", [((0.0,),), ((0.0, 1.0), (0.0,)), ((1.0, 0.0),), ((0.0, float("inf")),)])
def test_quantiles_that_contradict_themselves_are_refused(quantiles):
    with pytest.raises(ValidationError):
        PartQuantiles(pairs=1, quantiles=quantiles)
