"""The gallery as its users meet it: GEI or a seeded network, synthetic walkers, a real store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from gaitkeeper.gallery import Gallery, Reason, Verdict, open_store
from gaitkeeper.gallery.decision.calibration import Calibration, ConfidenceMap, FpirThresholds, InUnits
from gaitkeeper.gallery.errors import (
    BadCalibration,
    BadCollection,
    BadEmbedding,
    BadFpir,
    BadSubject,
    ClipOfOtherSubject,
    FingerprintMismatch,
    NotFound,
    StoreUnavailable,
)
from gaitkeeper.gallery.types import Identification, Template
from gaitkeeper.models import build, load
from gaitkeeper.models.distance import part_distances
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.errors import TooShort
from gaitkeeper.pipelines.fingerprint import Fingerprint

GEI = Fingerprint("gei", "none", "1", "blazepose-full/1")


@pytest.fixture
def gallery(store_url):
    with Gallery.open(store_url, network="gei") as gallery:
        yield gallery


def calibration(distance, fingerprint=GEI):
    return {
        fingerprint: Calibration(
            fingerprint=fingerprint,
            thresholds=(FpirThresholds(fpir=0.01, gallery_sizes=(1, 1000), distances=(distance, distance)),),
            confidence=ConfidenceMap(distances=(0.0, 2 * distance), confidences=(1.0, 0.0)),
        )
    }


def test_people_are_found_by_another_walk_of_theirs(gallery, walker):
    for person in range(6):
        template = gallery.enroll(f"p{person}", walker(person, walk=0))
        assert (template.subject, template.fingerprint, template.trained) == (f"p{person}", GEI, True)
    answers = gallery.identify_many([walker(person, walk=1, frames=40) for person in range(6)], top_k=4)
    for person, answer in enumerate(answers):
        assert answer.candidates[0].subject == f"p{person}"
        assert [c.rank for c in answer.candidates] == [1, 2, 3, 4]
        assert [c.distance for c in answer.candidates] == sorted(c.distance for c in answer.candidates)
        assert (answer.verdict, answer.reason) == (Verdict.INCONCLUSIVE, Reason.UNCALIBRATED)
        assert {c.confidence for c in answer.candidates} == {None}
        assert (answer.threshold.value, answer.threshold.source, answer.threshold.gallery_size) == (None, None, 6)
        assert (answer.fingerprint, answer.trained, answer.collection) == (GEI, True, "default")
        assert (answer.track, answer.start, answer.end) == (1, 0.0, pytest.approx(39 / 30))
        assert set(answer.timings) == {"embed", "search"}


def test_a_sequence_is_at_no_distance_from_its_own_template(gallery, walker):
    template = gallery.enroll("alice", walker(1))
    (candidate,) = gallery.identify(walker(1)).candidates
    assert (candidate.subject, candidate.template) == ("alice", template.id)
    assert candidate.distance == pytest.approx(0, abs=1e-5)


def test_the_distance_is_to_the_nearest_template_of_a_subject(gallery, walker):
    templates = [gallery.enroll("alice", walker(1, walk)) for walk in range(3)]
    gallery.enroll("bob", walker(2))
    answer = gallery.identify(walker(1, 2))
    assert [c.subject for c in answer.candidates] == ["alice", "bob"]
    assert answer.candidates[0].template == templates[2].id
    assert answer.threshold.gallery_size == 4


def test_a_calibration_gives_verdicts_and_confidences(store_url, walker):
    with Gallery.open(store_url, network="gei", calibrations=calibration(3.0)) as gallery:
        gallery.enroll("alice", walker(1))
        match, stranger = gallery.identify_many([walker(1, walk=1), walker(4)])
        assert match.candidates[0].distance < 3.0 < stranger.candidates[0].distance
        assert (match.verdict, match.reason) == (Verdict.MATCH, None)
        assert match.candidates[0].confidence == pytest.approx(1 - match.candidates[0].distance / 6)
        assert (match.threshold.value, match.threshold.source, match.threshold.extrapolated) == (
            3.0,
            "calibration",
            False,
        )
        assert (stranger.verdict, stranger.reason) == (Verdict.UNKNOWN, None)
        assert stranger.candidates[0].subject == "alice"
        with pytest.raises(BadFpir):
            gallery.identify(walker(1), fpir=0.02)


def in_units(share):
    known = calibration(1e-6)[GEI]
    table = FpirThresholds(fpir=0.01, gallery_sizes=(3, 1000), distances=(share, share))
    return {GEI: known.model_copy(update={"collection": InUnits(thresholds=(table,), confidence=known.confidence)})}


def test_a_collection_of_three_is_its_own_yardstick_however_few_are_asked_for(store_url, walker):
    with Gallery.open(store_url, network="gei", calibrations=in_units(0.5)) as gallery:
        for person in range(2):
            gallery.enroll(f"p{person}", walker(person))
        probe = walker(1, walk=1)
        few = gallery.identify(probe)
        assert (few.threshold.basis, few.threshold.unit, few.verdict) == ("prior", None, Verdict.UNKNOWN)
        for person in range(2, 5):
            gallery.enroll(f"p{person}", walker(person))
            gallery.enroll(f"p{person}", walker(person, walk=3))
        candidates = gallery.identify(probe).candidates
        answer = gallery.identify(probe, top_k=1)
        assert answer.candidates == candidates[:1]
        own = answer.candidates[0]
        embeddings = {
            name: torch.stack([torch.from_numpy(gallery.embedding(t.id)) for t in gallery.templates(name)])
            for name in ("p0", "p1", "p2", "p3", "p4")
        }
        network = load("gei")
        ends = torch.cat([embed([probe], network), embeddings["p1"]])
        others = [part_distances(ends, some).mean(1) for name, some in embeddings.items() if name != own.subject]
        unit = float(torch.stack(others).mean())
        assert answer.threshold.basis == "collection"
        assert (answer.threshold.unit, answer.threshold.value) == pytest.approx((unit, unit / 2), rel=1e-5)
        assert answer.verdict is Verdict.MATCH, "though not by its distance alone"


def test_two_openings_of_one_store_have_the_same_unit(store_url, walker):
    with (
        Gallery.open(store_url, network="gei", calibrations=in_units(0.5)) as one,
        Gallery.open(store_url, network="gei", calibrations=in_units(0.5)) as other,
    ):
        for person in range(5):
            (one if person % 2 else other).enroll(f"p{person}", walker(person))
        probe = walker(3, walk=1)
        before = one.identify(probe).threshold
        assert before == other.identify(probe).threshold and before.unit is not None
        one.erase("p4")
        after = other.identify(probe).threshold
        assert after == one.identify(probe).threshold and after.unit != before.unit


def test_a_calibration_of_another_fingerprint_says_nothing(store_url, walker):
    other = replace(GEI, perception="blazepose-full/2")
    with Gallery.open(store_url, network="gei", calibrations=calibration(3.0, other)) as gallery:
        gallery.enroll("alice", walker(1))
        assert gallery.identify(walker(1)).reason is Reason.UNCALIBRATED


def test_calibrations_come_from_a_file(store_url, tmp_path, walker):
    path = tmp_path / "calibrations.json"
    (only,) = calibration(3.0).values()
    path.write_text(f'{{"calibrations": [{only.model_dump_json()}]}}')
    with Gallery.open(store_url, network="gei", calibrations=path) as gallery:
        gallery.enroll("alice", walker(1))
        assert gallery.identify(walker(1)).verdict is Verdict.MATCH
    with pytest.raises(BadCalibration):
        Gallery.open(store_url, network="gei", calibrations=tmp_path / "none.toml")


def test_an_empty_gallery_and_a_walker_of_no_frames(gallery, walker):
    assert gallery.identify(walker(1)).reason is Reason.EMPTY_GALLERY
    assert gallery.identify_many([]) == []
    gallery.enroll("alice", walker(1))
    nothing, short, fine = gallery.identify_many([walker(1, frames=0), walker(1, frames=5), walker(1)])
    assert (nothing.reason, nothing.candidates) == (Reason.TOO_SHORT, ())
    assert (short.reason, short.candidates[0].subject) == (Reason.TOO_SHORT, "alice")
    assert fine.reason is Reason.UNCALIBRATED


def test_a_short_sequence_is_not_enrolled(gallery, walker):
    with pytest.raises(TooShort):
        gallery.enroll("alice", walker(1, frames=14))
    assert gallery.subjects() == []


def test_repeats_of_an_enrolment(gallery, walker):
    first = gallery.enroll("alice", walker(1), clip_sha256="a" * 64)
    again = gallery.enroll("alice", walker(1), clip_sha256="a" * 64)
    assert (again.id, first.duplicate, again.duplicate) == (first.id, False, True)
    with pytest.raises(ClipOfOtherSubject):
        gallery.enroll("bob", walker(1), clip_sha256="a" * 64)
    assert not gallery.enroll("bob", replace(walker(2), track=2), clip_sha256="a" * 64).duplicate
    assert gallery.identify(walker(1)).threshold.gallery_size == 2
    with pytest.raises(ValueError, match="64 lower-case"):
        gallery.enroll("bob", walker(2), clip_sha256="A" * 64)


def test_reading_back_what_was_enrolled(gallery, walker):
    seq = walker(1, heatmaps=True)
    template = gallery.enroll("alice", seq, display_name="Alice", metadata={"team": "red"})
    assert gallery.sequence(template.id).equals(seq.without_heatmaps())
    assert not template.has_heatmaps
    expected = (seq.silhouettes[:, :, 10:54] / 255).mean(axis=0).reshape(1, -1)
    assert gallery.embedding(template.id) == pytest.approx(expected, abs=1e-6)
    assert gallery.templates("alice") == [template]
    subject = gallery.subject("alice")
    assert (subject.display_name, subject.metadata, subject.templates) == ("Alice", {"team": "red"}, 1)
    assert gallery.subjects() == [subject]
    for ask in (gallery.embedding, gallery.sequence, gallery.subject, gallery.templates, gallery.erase):
        with pytest.raises(NotFound):
            ask("nobody")


def test_a_collection_that_keeps_heatmaps(store_url, walker):
    seq = walker(1, frames=15, heatmaps=True)
    with Gallery.open(store_url, "full", "gei", keeps_heatmaps=True) as gallery:
        template = gallery.enroll("alice", seq)
        assert template.has_heatmaps
        assert gallery.sequence(template.id).equals(seq)


def test_bad_names(gallery, walker, store_url):
    for bad in ("", "a/b", "a\tb", "x" * 129):
        with pytest.raises(BadSubject):
            gallery.enroll(bad, walker(1))
        with pytest.raises(BadSubject):
            gallery.erase(bad)
    with pytest.raises(BadSubject):
        gallery.enroll("alice", walker(1), display_name="")
    with pytest.raises(BadSubject):
        gallery.enroll("alice", walker(1), metadata={"": ""})
    with pytest.raises(BadCollection):
        Gallery.open(store_url, "a/b")
    with pytest.raises(BadFpir):
        gallery.identify(walker(1), fpir=0)
    with pytest.raises(ValueError, match="top_k"):
        gallery.identify(walker(1), top_k=0)


def test_erased_people_are_not_found_again(gallery, walker):
    for person in range(3):
        gallery.enroll(f"p{person}", walker(person))
    assert gallery.identify(walker(1)).candidates[0].subject == "p1"
    erasure = gallery.erase("p1")
    assert (erasure.subject, erasure.templates) == ("p1", 1)
    assert {c.subject for c in gallery.identify(walker(1)).candidates} == {"p0", "p2"}
    for person in (0, 2):
        gallery.erase(f"p{person}")
    assert gallery.identify(walker(1)).reason is Reason.EMPTY_GALLERY


def test_another_gallery_object_sees_every_change(store_url, walker):
    with Gallery.open(store_url, network="gei") as one, Gallery.open(store_url, network="gei") as other:
        for person in range(3):
            one.enroll(f"p{person}", walker(person))
            assert other.identify(walker(person, 1)).candidates[0].subject == f"p{person}"
        other.erase("p1")
        assert {c.subject for c in one.identify(walker(1)).candidates} == {"p0", "p2"}


def test_collections_of_one_store(store_url, walker):
    with Gallery.open(store_url, "hall", "gei") as hall, Gallery.open(store_url, "road", "gei") as road:
        hall.enroll("alice", walker(1))
        assert road.identify(walker(1)).reason is Reason.EMPTY_GALLERY
        assert [(c.name, c.templates) for c in road.collections()] == [("hall", 1), ("road", 0)]
        assert hall.collection.fingerprint == GEI
    with pytest.raises(NotFound):
        Gallery.open(store_url, "cellar", create=False)


def test_an_untrained_network_is_marked_everywhere(store_url, walker):
    net = build("gaitpart", seed=0, embed_dim=16).eval()
    net.weights_id = "untrained-seed0"
    with Gallery.open(store_url, network=net) as gallery:
        template = gallery.enroll("alice", walker(1, frames=15))
        answer = gallery.identify(walker(1, frames=15))
    assert (template.trained, answer.trained) == (False, False)
    assert template.fingerprint.weights == answer.fingerprint.weights == "untrained-seed0"
    assert answer.candidates[0].distance == pytest.approx(0, abs=1e-3)


def test_a_collection_stays_with_its_network(store_url, walker):
    net = build("gaitpart", seed=0, embed_dim=16).eval()
    with Gallery.open(store_url, network="gei") as gallery, Gallery.open(store_url, network=net) as other:
        gallery.enroll("alice", walker(1))
        for act in (lambda: other.enroll("bob", walker(2)), lambda: other.identify(walker(1))):
            with pytest.raises(FingerprintMismatch, match=r"gei:none.*gaitpart:untrained"):
                act()
        for act in (lambda seq: gallery.enroll("bob", seq), gallery.identify):
            with pytest.raises(FingerprintMismatch, match=r"blazepose-full/1.*yolo\+hrnet/1"):
                act(replace(walker(1), perception="yolo+hrnet/1"))
        gallery.erase("alice")
        other.enroll("bob", walker(2))
        with pytest.raises(FingerprintMismatch):
            gallery.identify(walker(1))


def test_another_width_of_the_same_network_is_refused(store_url, walker):
    nets = [build("gaitpart", seed=0, embed_dim=dims).eval() for dims in (8, 16)]
    for net in nets:
        net.weights_id = "untrained-seed0"
    with Gallery.open(store_url, network=nets[0]) as narrow, Gallery.open(store_url, network=nets[1]) as wide:
        narrow.enroll("alice", walker(1, frames=15))
        with pytest.raises(FingerprintMismatch, match=r"16 × 8.*16 × 16"):
            wide.enroll("bob", walker(2, frames=15))
        with pytest.raises(FingerprintMismatch, match=r"16 × 8.*16 × 16"):
            wide.identify(walker(1, frames=15))


def test_without_a_choice_the_network_is_that_of_the_collection(store_url, walker):
    with Gallery.open(store_url, network="gaitset") as gallery:
        gallery.enroll("alice", walker(1, frames=15))
        pinned = gallery.collection.fingerprint
    with Gallery.open(store_url) as gallery:
        assert gallery.network.name == "gaitset"
        assert gallery.identify(walker(1, frames=15)).fingerprint == pinned


def test_numbers_that_are_no_embedding_are_not_kept(store_url, walker):
    net = build("gaitpart", seed=0, embed_dim=8).eval()
    with torch.no_grad():
        next(net.parameters()).fill_(float("nan"))
    with Gallery.open(store_url, network=net) as gallery:
        with pytest.raises(BadEmbedding):
            gallery.enroll("alice", walker(1, frames=15))
        with pytest.raises(BadEmbedding):
            gallery.identify(walker(1, frames=15))
        assert gallery.subjects() == []


def test_enrolling_and_identifying_at_once(gallery, walker):
    gallery.enroll("p0", walker(0))
    answers = []

    def work(person):
        gallery.enroll(f"p{person}", walker(person))
        answers.append(gallery.identify(walker(person, 1)).candidates[0].subject == f"p{person}")
        if person % 3 == 0:
            gallery.erase(f"p{person}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(1, 25)))
    assert all(answers)
    assert len(answers) == 24
    assert gallery.identify(walker(1)).threshold.gallery_size == len(gallery.subjects()) == 17


def test_a_closed_gallery_says_so(store_url, walker):
    with Gallery.open(store_url) as gallery:
        gallery.enroll("alice", walker(1))
    for act in (gallery.subjects, lambda: gallery.identify(walker(1)), lambda: gallery.enroll("bob", walker(2))):
        with pytest.raises(StoreUnavailable):
            act()


def test_several_galleries_can_share_a_store(store_url, walker):
    store = open_store(store_url)
    for name in ("hall", "road"):
        store.ensure_collection(name)
    hall, road = Gallery(store, "hall", "gei"), Gallery(store, "road", load("gei"))
    hall.enroll("alice", walker(1))
    road.enroll("bob", walker(1))
    assert hall.identify(walker(1)).candidates[0].subject == "alice"
    assert road.identify(walker(1)).candidates[0].subject == "bob"
    store.close()


def test_replies_survive_json(gallery, walker):
    template = gallery.enroll("alice", walker(1), clip_sha256="b" * 64)
    answer = gallery.identify(walker(1, 1))
    assert Template.model_validate_json(template.model_dump_json()) == template
    assert Identification.model_validate_json(answer.model_dump_json()) == answer
    plain = answer.model_dump(mode="json")
    assert plain["fingerprint"] == "gei:none:1:blazepose-full/1"
    assert (plain["verdict"], plain["reason"]) == ("inconclusive", "uncalibrated")
    assert plain["quality"]["rate_hz"] == 30.0
    assert Identification.model_json_schema(mode="serialization")["properties"]["fingerprint"]["type"] == "string"


def test_a_reopened_gallery_answers_as_before(store_url, walker):
    with Gallery.open(store_url) as gallery:
        template = gallery.enroll("alice", walker(1))
        embedding = gallery.embedding(template.id)
    with Gallery.open(store_url) as gallery:
        assert np.array_equal(gallery.embedding(template.id), embedding)
        assert gallery.identify(walker(1)).candidates[0].distance == pytest.approx(0, abs=1e-5)
