"""Who comes back: which walks of a clip or a stream are told to be one person's, and which never are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gaitkeeper import models
from gaitkeeper.gallery import Calibration, Gallery
from gaitkeeper.gallery.decision.calibration import ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.gallery.decision.reappearance import MOST, Likeness, Walk, Walks
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.fingerprint import Fingerprint

GEI = Fingerprint("gei", "none", "1", "blazepose-full/1")


def walk(track, value=0.0, subject=None, fingerprint=GEI):
    return Walk(track, fingerprint, torch.full((1, 2), float(value)), None, subject)


def near(asked):
    """Compares by the embeddings' first number; the threshold is 1."""
    found = []
    for one, earlier in asked:
        apart = {other.track: abs(float(one.embedding[0, 0] - other.embedding[0, 0])) for other in earlier}
        nearest = min(apart, key=lambda track: apart[track])
        found.append(Likeness(one.track, nearest, apart[nearest]))
    return found


def test_the_nearest_earlier_walk_counts():
    walks = Walks({1: (0, 1), 2: (2, 3), 3: (4, 5), 4: (6, 7)})
    found = walks.returning([walk(1, 0), walk(2, 5), walk(3, 0.4), walk(4, 0.6)], near)
    assert found == {3: 1, 4: 3}


@pytest.mark.parametrize("second", [(1, 3), (0.5, 0.7), (0, 3), (1.0, 1.0)])
def test_who_is_in_the_picture_beside_another_is_never_the_same(second):
    assert Walks({1: (0, 1), 2: second}).returning([walk(1), walk(2)], near) == {}


def test_of_two_at_once_one_alone_is_the_person_of_before():
    """Both are near the first walker; only the nearer can be it."""
    walks = Walks({1: (0, 1), 2: (2, 4), 3: (3, 5)})
    assert walks.returning([walk(1, 0), walk(2, 0.5), walk(3, 0.1)], near) == {3: 1}


def test_nor_by_a_chain_of_others():
    """The fourth is near the third, who is the first; the second walked beside the fourth and is the first, too."""
    walks = Walks({1: (0, 1), 2: (6, 8), 3: (2, 3), 4: (7, 9)})
    assert walks.returning([walk(1, 0), walk(2, -0.2), walk(3, 0.1), walk(4, 0.4)], near) == {3: 1, 2: 1}


def test_two_names_are_two_people():
    walks = Walks({1: (0, 1), 2: (2, 3), 3: (4, 5)})
    assert walks.returning([walk(1, 0, "ann"), walk(2, 0.1, "bob"), walk(3, 0.2)], near) == {3: 2}
    walks = Walks({1: (0, 1), 2: (2, 3), 3: (4, 5)})
    # The second has no match, and cannot be both.
    assert walks.returning([walk(1, 0, "ann"), walk(2, 0.2), walk(3, 0.3, "bob")], near) == {3: 2}


def test_walks_of_another_network_are_not_compared():
    other = replace(GEI, weights="0123456789abcdef")
    assert Walks({1: (0, 1), 2: (2, 3)}).returning([walk(1), walk(2, fingerprint=other)], near) == {}


def test_in_a_stream_a_track_counts_once_it_is_over():
    walks = Walks()
    walks.saw(1, (0, 50), over=False)
    assert walks.returning([walk(1)], near) == {}
    walks.saw(2, (60, 90), over=False)
    assert walks.returning([walk(2)], near) == {}, "the first may be there still"
    walks.saw(1, (0, 70), over=True)
    assert walks.returning([walk(2)], near) == {}, "they were there together"
    walks.saw(3, (100, 130), over=False)
    assert walks.returning([walk(3)], near) == {3: 1}
    walks.saw(3, (100, 160), over=False)
    assert walks.returning([walk(3, 9)], near) == {}, "each window is told by itself"


def test_a_track_that_becomes_another_person_is_compared_anew():
    walks = Walks()
    walks.saw(1, (0, 50), over=False)
    walks.returning([walk(1)], near)
    walks.saw(1, (51, 90), over=True)
    walks.saw(2, (100, 130), over=False)
    assert walks.returning([walk(2)], near) == {}, "who was the first until frame 50 was not seen to leave"


def test_a_stream_keeps_a_bounded_number_of_walks():
    walks = Walks()
    for track in range(1, MOST + 3):
        walks.saw(track, (10 * track, 10 * track + 5), over=False)
        walks.returning([walk(track, 10 * track)], near)
        walks.saw(track, (10 * track, 10 * track + 5), over=True)
    for track, earlier in ((500, 1), (501, MOST + 2)):
        walks.saw(track, (10_000 * track, 10_000 * track + 5), over=False)
        found = walks.returning([walk(track, 10 * earlier)], near)
        assert found == ({} if earlier == 1 else {track: earlier})


def calibration(plain, units):
    rate = {"fpir": 0.01, "gallery_sizes": (1,)}
    sure = ConfidenceMap(distances=(0.0, 1.0), confidences=(1.0, 0.0))
    in_units = InUnits(thresholds=(FpirThresholds(**rate, distances=(units,)),), confidence=sure)
    return Calibration(
        fingerprint=GEI,
        thresholds=(FpirThresholds(**rate, distances=(plain,)),),
        confidence=sure,
        collection=in_units,
    )


@pytest.fixture
def distances(walker):
    """Of two walks of one person, and of walks of two."""
    found = embed([walker(5), walker(5, 1), walker(6)], models.build("gei"))
    apart = part_distances(found, found)
    return float(apart[0, 1]), float(min(apart[0, 2], apart[1, 2]))


def on_the_way(walker, *people, **quality):
    """Walks of one clip, one after the other, and when they were seen."""
    seqs = [replace(walker(person, take, **quality), track=i) for i, (person, take) in enumerate(people, start=1)]
    return seqs, Walks({i: (10 * i, 10 * i + 5) for i in range(1, len(seqs) + 1)})


def told(gallery, walker, *people, **quality):
    seqs, walks = on_the_way(walker, *people, **quality)
    return [one.same_as for one in gallery.identify_many(seqs, walks=walks)]


def test_few_known_people_leave_the_strict_prior(tmp_path, walker, distances):
    near_one, far = distances
    for limit, expected in (((near_one + far) / 2, [None, None, 1]), (near_one / 2, [None, None, None])):
        found = {GEI: calibration(limit, 1e-9)}
        url = f"sqlite:///{tmp_path}/{limit}.db"
        with Gallery.open(url, network="gei", calibrations=found) as gallery:
            assert told(gallery, walker, (5, 0), (6, 0), (5, 1)) == expected, "an empty collection"
            gallery.enroll("known", walker(0))
            assert told(gallery, walker, (5, 0), (6, 0), (5, 1)) == expected


def test_a_threshold_in_units_holds_where_other_people_are_known(tmp_path, walker, distances):
    near_one, far = distances
    share = (near_one + far) / 2 / far
    with Gallery.open(
        f"sqlite:///{tmp_path}/g.db", network="gei", calibrations={GEI: calibration(1e-9, share)}
    ) as gallery:
        for person in (0, 1):
            gallery.enroll(f"p{person}", walker(person))
        assert told(gallery, walker, (5, 0), (6, 0), (5, 1)) == [None, None, 1]
        # What they are named says nothing of different people: without the two, too few others are known.
        gallery.enroll("five", walker(5, 2))
        assert told(gallery, walker, (5, 0), (6, 0), (5, 1)) == [None, None, 1]


def test_without_a_calibration_nothing_is_told_and_nobody_is_by_a_poor_walk(tmp_path, walker, distances):
    url = f"sqlite:///{tmp_path}/g.db"
    with Gallery.open(url, network="gei", calibrations={}) as gallery:
        assert told(gallery, walker, (5, 0), (5, 1)) == [None, None]
    with Gallery.open(url, network="gei", calibrations={GEI: calibration(sum(distances) / 2, 1e-9)}) as gallery:
        assert told(gallery, walker, (5, 0), (5, 1)) == [None, 1]
        for poor in ({"mean_joint_score": 0.1}, {"upright": 0.2}, {"likeness_changed": True}, {"rate_hz": 5.0}):
            low = {"low_rate": True} if "rate_hz" in poor else {}
            assert told(gallery, walker, (5, 0), (5, 1), **poor, **low) == [None, None], poor
        assert gallery.identify(walker(5)).same_as is None
