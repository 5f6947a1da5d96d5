"""The open set of real people decides as the gallery does that the service runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.real_open import rates, search
from bench.real_units import judged, scored
from bench.real_walks import Setting, Walks, beside
from gaitkeeper import models
from gaitkeeper.gallery import Gallery, Verdict
from gaitkeeper.gallery.decision.calibration import Calibration, ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality

GEI = Fingerprint("gei", "none", "1", "blazepose-full/1")
RATE = 0.01
ENROLLED, SEARCHED = 3, 5


def calibration() -> Calibration:
    """Loose enough in units for most of the enrolled, and so strict without that few pass."""
    known = InUnits(
        thresholds=(FpirThresholds(fpir=RATE, gallery_sizes=(3, 6, 12), distances=(0.72, 0.62, 0.55)),),
        confidence=ConfidenceMap(distances=(0.1, 1.5), confidences=(1.0, 0.0)),
    )
    return Calibration(
        fingerprint=GEI,
        thresholds=(FpirThresholds(fpir=RATE, gallery_sizes=(1,), distances=(1.6,)),),
        confidence=ConfidenceMap(distances=(0.5, 4.0), confidences=(1.0, 0.0)),
        collection=known,
        camera=known,
    )


def walks_of(people: int, prefix: str, seed: int) -> Walks:
    """Walks about a point of each person, drawn so near to the others' that some are taken for each other."""
    drawn, points = np.random.default_rng([9, seed]), np.random.default_rng(seed).normal(size=(people, 4, 8))
    walks = ENROLLED + SEARCHED
    embeddings = (points[:, None] + 0.75 * drawn.normal(size=(people, walks, 4, 8))).reshape(-1, 4, 8)
    subjects = np.repeat([f"{prefix}{i}" for i in range(people)], walks)
    takes = np.tile([f"{'enrol' if i < ENROLLED else 'probe'}{i}" for i in range(walks)], people)
    stacked, none = torch.from_numpy(embeddings.astype(np.float32)), np.full(len(subjects), "")
    return Walks.of(stacked, subjects, none, takes, none)


@pytest.fixture(scope="module")
def alone() -> Setting:
    """Six real people."""
    walks = walks_of(6, "p", 1)
    enrolled = np.char.startswith(walks.takes, "enrol")
    return Setting("drawn", walks, ((np.flatnonzero(enrolled), np.flatnonzero(~enrolled)),))


@pytest.fixture(scope="module")
def setting(alone: Setting) -> Setting:
    """They in company of twelve who are rendered, of whom only walks to enrol are there."""
    drawn = walks_of(12, "drawn", 2)
    own = np.char.startswith(drawn.takes, "enrol")
    columns = [getattr(drawn, name)[own] for name in ("subjects", "conditions", "takes", "views")]
    rendered = Walks(drawn.embeddings[own], *columns, drawn.distances[np.ix_(own, own)])
    return beside(alone, rendered)


def seen(row: int) -> GaitSequence:
    """A walk that is seen well enough for a verdict, told by its track."""
    return GaitSequence(
        silhouettes=np.zeros((30, 64, 64), np.uint8),
        joints=np.zeros((30, 17, 3), np.float32),
        heatmaps=None,
        timestamps=np.arange(30) / 30,
        boxes=np.zeros((30, 4), np.float32),
        quality=Quality(30, {}, 0.9, 0.95, 0.0, 1.0, 30.0, False),
        track=row,
        perception=GEI.perception,
        frame_size=(640, 480),
    )


def test_the_bench_decides_as_the_gallery_does(setting: Setting, tmp_path: Path) -> None:
    walks, [(gallery, probes)] = setting.walks, setting.parts
    names, person = np.unique(walks.subjects, return_inverse=True)
    store = open_store(f"sqlite:///{tmp_path / 'g.db'}")
    named, rightly = [], []
    # With fewer than three enrolled the prior decides, else the unit of the collection.
    for number, (enrolled, rendered) in enumerate([(1, 0), (2, 0), (1, 1), (3, 0), (5, 0), (2, 1), (3, 9)]):
        found = search(setting, calibration(), RATE, draws=1, enrolled=enrolled, rendered=rendered, seed=number)
        real = np.unique(found.people[found.mated])
        assert len(real) == enrolled
        # Who of the rendered people is enrolled is drawn as well: the draw is repeated here.
        rng, company = np.random.default_rng(number), np.unique(person[setting.company])
        chosen = rng.choice(np.setdiff1d(person, company), enrolled, False)
        assert sorted(chosen) == sorted(real)
        others = rng.choice(company, rendered, False) if rendered else np.zeros(0, int)
        store.ensure_collection(f"c{number}")
        with_templates = Gallery(
            store,
            f"c{number}",
            models.build("gei"),
            calibrations={GEI: calibration()},
            embed=lambda seqs, _: walks.embeddings[[seq.track for seq in seqs]],
        )
        rows = [*gallery[np.isin(person[gallery], real)], *setting.company[np.isin(person[setting.company], others)]]
        for row in rows:
            with_templates.enroll(walks.subjects[row], seen(int(row)))
        answers = with_templates.identify_many([seen(int(row)) for row in probes])
        basis = "collection" if enrolled + rendered > 2 else "prior"
        assert {answer.threshold.basis for answer in answers} == {basis}
        assert [answer.verdict is Verdict.MATCH for answer in answers] == found.named.tolist()
        nearest = [answer.candidates[0] for answer in answers]
        own = [str(names[i]) for i in person[probes]]
        assert [first.subject == name for first, name in zip(nearest, own, strict=True)] == found.right.tolist()
        assert [first.confidence for first in nearest] == pytest.approx(found.confidences.tolist(), abs=1e-5)
        shares = [a.candidates[0].distance / a.threshold.value for a in answers if a.threshold.unit]
        assert shares == pytest.approx(found.shares[np.isfinite(found.shares)].tolist(), rel=1e-5)
        named += found.named.tolist()
        rightly += (found.named & found.right & found.mated).tolist()
    assert 0.1 < np.mean(named) < 0.9 and 0 < sum(rightly) < sum(named), "both verdicts, and both kinds of mistakes"
    store.close()


def test_rates_are_shares_of_strangers_and_of_the_enrolled(setting: Setting) -> None:
    found = search(setting, calibration(), RATE, draws=4, seed=3)
    figures = rates(found)
    strangers, enrolled = ~found.mated, found.mated
    assert (figures["strangers"], figures["enrolled"]) == (4 * 3 * SEARCHED, 4 * 3 * SEARCHED)
    assert figures["named"][0] == pytest.approx(100 * found.named[strangers].mean())
    assert figures["right"][0] == pytest.approx(100 * (found.named & found.right)[enrolled].mean())
    assert figures["wrong"][0] == pytest.approx(100 * (found.named & ~found.right)[enrolled].mean())
    for name in ("named", "right", "wrong"):
        value, low, high = figures[name]
        assert 0 <= low <= value <= high <= 100


def test_the_study_of_other_units_has_those_that_ship(alone: Setting) -> None:
    scores, mated, right = scored(alone, draws=1)
    for way, passers in (("collection: mean (ships)", 0), ("5 passers-by: median (ships)", 5)):
        found = search(alone, calibration(), RATE, draws=1, passers=passers)
        assert scores[way] == pytest.approx(0.72 * found.shares, rel=1e-5)
        assert (mated == found.mated).all() and (right == found.right).all()


def test_ways_are_judged_where_all_are_equally_strict() -> None:
    rng = np.random.default_rng(4)
    mated = np.arange(2000) % 2 == 0
    places = []
    for near in (0.0, 1.0):
        score = rng.normal(size=2000) - 2 * mated + near
        places.append(({"skewed": score, "even": score - near}, mated, rng.random(2000) < 0.9))
    skewed, even = (judged(places, way) for way in ("skewed", "even"))
    assert even["worst"] < 1.5 < skewed["worst"] <= 2.0
    assert even["rightly"] > skewed["rightly"]
    assert even["wrongly"] == pytest.approx(even["rightly"] / 9, rel=0.5)
