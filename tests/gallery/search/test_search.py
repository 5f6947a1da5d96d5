"""The index against a float64 brute force written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gaitkeeper.gallery.search import codes, partwise, table
from gaitkeeper.gallery.search.partwise import PartwiseIndex


def distance(a, b):
    """One over P times the sum of the parts' Euclidean distances, in exactly rounded sums."""
    parts = [
        math.sqrt(math.fsum((float(x) - float(y)) ** 2 for x, y in zip(p, q, strict=True)))
        for p, q in zip(a, b, strict=True)
    ]
    return math.fsum(parts) / len(parts)


def nearest(templates, probe):
    """Subject -> distance of its nearest template."""
    best = {}
    for subject, embedding in templates.values():
        d = distance(embedding, probe)
        best[subject] = min(d, best.get(subject, math.inf))
    return best


def assert_exact(index, templates, probes, k):
    for probe, hits in zip(probes, index.search(torch.from_numpy(probes), k)[0], strict=True):
        exact = nearest(templates, probe)
        assert len(hits) == min(k, len(exact))
        assert len({hit.subject for hit in hits}) == len(hits)
        assert [(h.distance, h.subject) for h in hits] == sorted((h.distance, h.subject) for h in hits)
        expected = sorted(exact.values())[: len(hits)]
        for hit, want in zip(hits, expected, strict=True):
            owner, embedding = templates[hit.template]
            assert owner == hit.subject
            # float64 sums in another order differ in the last bits alone
            assert hit.distance == pytest.approx(want, rel=1e-13, abs=1e-300)
            assert hit.distance == pytest.approx(distance(embedding, probe), rel=1e-13, abs=1e-300)


def filled(templates, shape, precision="float32"):
    index = PartwiseIndex(*shape, precision=precision)
    ids = list(templates)
    index.add(ids, [templates[i][0] for i in ids], torch.from_numpy(np.stack([templates[i][1] for i in ids])))
    return index


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(table, "BLOCK_BYTES", 0)  # 16 rows a block
    monkeypatch.setattr(partwise, "SCRATCH_BYTES", 1000)  # a few probes a time
    monkeypatch.setattr(partwise, "CANDIDATES", 7)
    monkeypatch.setattr(table, "ADDED_AT_ONCE", 7)
    monkeypatch.setattr(partwise, "CACHE_BYTES", 400)  # a few embeddings measured at a time
    monkeypatch.setattr(codes, "ROWS", 5)
    monkeypatch.setitem(codes.ELEMENTS, "cpu", 20)  # a part or two at a time


@pytest.mark.parametrize("shape", [(1, 64), (4, 8), (16, 3)])
def test_equals_brute_force_on_random_vectors(shape):
    rng = np.random.default_rng(0)
    templates = {f"t{i}": (f"s{rng.integers(25)}", rng.normal(size=shape).astype(np.float32)) for i in range(100)}
    probes = rng.normal(size=(9, *shape)).astype(np.float32)
    index = filled(templates, shape)
    for k in (1, 5, 1000):
        assert_exact(index, templates, probes, k)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_equals_brute_force_among_near_duplicates_far_from_the_origin(scale):
    # Every template is the probe but for a few units in the last place: float32 distances could not order them.
    rng = np.random.default_rng(1)
    centre = (1000 * scale * rng.normal(size=(4, 32))).astype(np.float32)
    templates = {}
    for i in range(80):
        near = centre.copy()
        for _ in range(rng.integers(1, 4)):
            place = tuple(rng.integers(s) for s in near.shape)
            near[place] = np.nextafter(near[place], np.float32(np.inf))
        templates[f"t{i}"] = (f"s{i % 40}", near)
    index = filled(templates, (4, 32))
    assert_exact(index, templates, centre[None], 10)


def test_the_ranking_is_not_that_of_the_concatenated_vector():
    # Root of 8 on one part and 0 on the other beats 2 on each by parts; concatenated, both are as far: 8 squared.
    probe = np.zeros((1, 2, 2), np.float32)
    one_part = np.float32([[math.sqrt(8), 0], [0, 0]])
    both_parts = np.float32([[2, 0], [2, 0]])
    templates = {"t1": ("both", both_parts), "t2": ("one", one_part)}
    hits = filled(templates, (2, 2)).search(torch.from_numpy(probe), 2)[0][0]
    assert [h.subject for h in hits] == ["one", "both"]
    assert [h.distance for h in hits] == pytest.approx([math.sqrt(2), 2.0])


def test_ties_go_by_subject_id_whatever_the_order_of_adding():
    rng = np.random.default_rng(2)
    same, far = rng.normal(size=(2, 4, 8)).astype(np.float32)
    names = [f"s{i:02}" for i in range(40)]
    for _ in range(5):
        order = rng.permutation(names)
        templates = {f"t{name}": (name, same) for name in order} | {"far": ("a", far)}
        index = filled(templates, (4, 8))
        index.remove("ts07")
        hits = index.search(torch.from_numpy(same[None]), 10)[0][0]
        assert [h.subject for h in hits] == [n for n in names if n != "s07"][:10]
        assert {h.distance for h in hits} == {0.0}


def test_a_batch_answers_as_single_probes_do():
    rng = np.random.default_rng(3)
    templates = {f"t{i}": (f"s{i % 9}", rng.normal(size=(3, 5)).astype(np.float32)) for i in range(60)}
    index = filled(templates, (3, 5))
    probes = torch.from_numpy(rng.normal(size=(33, 3, 5)).astype(np.float32))
    assert index.search(probes, 4)[0] == [index.search(probe[None], 4)[0][0] for probe in probes]


def test_an_empty_index_finds_nobody():
    index = PartwiseIndex(2, 2)
    assert index.search(torch.zeros(3, 2, 2), 5) == ([[], [], []], 0)


def test_refuses_what_it_cannot_hold():
    index = PartwiseIndex(2, 2)
    index.add(["a"], ["s"], torch.zeros(1, 2, 2))
    for ids, embeddings in [
        (["a"], torch.zeros(1, 2, 2)),
        (["b", "b"], torch.zeros(2, 2, 2)),
        (["b"], torch.zeros(1, 4, 1)),
        (["b"], torch.full((1, 2, 2), math.nan)),
        (["b"], torch.full((1, 2, 2), math.inf)),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            index.add(ids, ["s"] * len(ids), embeddings)
    with pytest.raises(KeyError):
        index.remove("b")
    with pytest.raises(ValueError, match="at least 1"):
        index.search(torch.zeros(1, 2, 2), 0)
    assert len(index) == 1


# Small whole numbers: plenty of exact ties and duplicates.
vectors = st.lists(st.integers(-2, 2), min_size=6, max_size=6).map(lambda v: np.float32(v).reshape(2, 3))


class IndexModel(RuleBasedStateMachine):
    """Adding and removing in any order, against a plain dict."""

    def __init__(self):
        super().__init__()
        self.index = PartwiseIndex(2, 3)
        self.model = {}
        self.made = 0

    @rule(vectors=st.lists(vectors, min_size=1, max_size=20), subject=st.integers(0, 5))
    def add(self, vectors, subject):
        ids = [f"t{self.made + i:05}" for i in range(len(vectors))]
        self.made += len(ids)
        owners = [f"s{(subject + i) % 6}" for i in range(len(ids))]
        self.index.add(ids, owners, torch.from_numpy(np.stack(vectors)))
        self.model |= {i: (owner, v) for i, owner, v in zip(ids, owners, vectors, strict=True)}

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        template = data.draw(st.sampled_from(sorted(self.model)))
        del self.model[template]
        self.index.remove(template)

    @rule(probe=vectors, k=st.integers(1, 8))
    def search(self, probe, k):
        assert_exact(self.index, self.model, probe[None], k)
        if self.model:
            # Whole squares of small numbers sum exactly: the order, and the template, are told to the last bit.
            best = {}
            for template, (subject, v) in self.model.items():
                d = float(np.sqrt(np.square(v.astype(float) - probe).sum(axis=1)).mean())
                best[subject] = min(best.get(subject, (math.inf, "")), (d, template))
            expected = sorted((d, subject, template) for subject, (d, template) in best.items())[:k]
            hits = self.index.search(torch.from_numpy(probe[None]), k)[0][0]
            assert [(h.distance, h.subject, h.template) for h in hits] == expected

    @invariant()
    def sizes_agree(self):
        assert len(self.index) == len(self.model)
        assert self.index.subjects == len({subject for subject, _ in self.model.values()})
        assert all(template in self.index for template in self.model)


TestIndexModel = IndexModel.TestCase
TestIndexModel.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-30, 1e15))
def test_equals_brute_force_at_any_scale(seed, scale):
    rng = np.random.default_rng(seed)
    made = (scale * rng.normal(size=(30, 2, 4))).astype(np.float32)
    templates = {f"t{i}": (f"s{i % 11}", v) for i, v in enumerate(made)}
    assert_exact(filled(templates, (2, 4)), templates, made[:2] * np.float32(1.0001), 5)


ADVERSARIAL = {
    "huge": lambda rng: rng.normal(size=(40, 3, 8)) * 1e37,
    "too large to square": lambda rng: rng.normal(size=(40, 3, 8)) * 10.0 ** rng.integers(0, 37, (40, 1, 1)),
    "zero": lambda rng: np.zeros((40, 3, 8)),
    "some zero parts": lambda rng: rng.normal(size=(40, 3, 8)) * (rng.random((40, 3, 1)) < 0.5),
    "subnormal": lambda rng: rng.normal(size=(40, 3, 8)) * 1e-42,
    "of all sizes": lambda rng: rng.normal(size=(40, 3, 8)) * 10.0 ** rng.integers(-44, 18, (40, 3, 1)),
    "identical": lambda rng: np.repeat(rng.normal(size=(1, 3, 8)), 40, axis=0),
    "one number each": lambda rng: (
        np.eye(24)[rng.integers(24, size=40)].reshape(40, 3, 8) * rng.normal(size=(40, 1, 1))
    ),
    "near the first": lambda rng: 1000 + rng.normal(size=(40, 3, 8)) * 10.0 ** rng.integers(-9, 0, (40, 1, 1)),
}


@pytest.mark.parametrize("precision", sorted(table.PRECISIONS))
@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_equals_brute_force_on_adversarial_vectors(kind, precision):
    rng = np.random.default_rng(4)
    dtype = table.PRECISIONS[precision]
    made = torch.from_numpy(ADVERSARIAL[kind](rng).astype(np.float32))
    if precision == "float16":
        made = made.clamp(-60000, 60000)
    kept = made.to(dtype).float().numpy()
    templates = {f"t{i:02}": (f"s{i % 17:02}", v) for i, v in enumerate(kept)}
    index = PartwiseIndex(3, 8, precision=precision)
    index.add(list(templates), [owner for owner, _ in templates.values()], made)
    probes = np.concatenate([kept[:3], made[3:4].numpy(), np.zeros((1, 3, 8), np.float32)])
    for k in (1, 4, 100):
        assert_exact(index, templates, probes, k)


def test_bounds_hold_and_are_near(monkeypatch):
    # Were they loose, the answer would still be exact: only slow.
    rng = torch.Generator().manual_seed(5)
    rows, probes = torch.randn(200, 4, 64, generator=rng), torch.randn(3, 4, 64, generator=rng)
    index = PartwiseIndex(4, 64)
    index.add([str(i) for i in range(200)], ["s"] * 200, rows)
    bounds = codes.Bounds(probes)
    lower = index._lower(bounds, 3)
    exact = (rows[None].double() - probes[:, None].double()).norm(dim=3).mean(dim=2)
    for i in range(3):
        below = torch.from_numpy(bounds.limit(i, exact[i].numpy()))
        assert (lower[i] <= below).all()
        assert (below - lower[i] < 0.03 * exact[i]).all()


@pytest.mark.parametrize("products", [codes._int8_products, codes._padded_products, codes._float_products])
@pytest.mark.parametrize(("probes", "rows", "dims"), [(1, 1, 8), (1, 300, 256), (2, 17, 264), (64, 33, 2048)])
def test_products_are_exact_however_they_are_made(products, probes, rows, dims):
    rng = torch.Generator().manual_seed(6)
    a, b = (torch.randint(-127, 128, (n, dims), dtype=torch.int8, generator=rng) for n in (probes, rows))
    b[0] = a[0] = 127
    out = torch.empty(probes, rows, dtype=torch.int32)
    products(a, b, out)
    assert torch.equal(out, (a.long() @ b.long().t()).int())


def test_a_machine_that_saturates_is_found_out(monkeypatch):
    def saturating(probes, rows, out):
        out.copy_((probes.float() @ rows.float().t()).clamp(-(2**15), 2**15 - 1))

    monkeypatch.setattr(codes, "_int8_products", saturating)
    codes._exact_products.cache_clear()
    try:
        assert codes._exact_products("cpu") is codes._float_products
        test_equals_brute_force_on_random_vectors((4, 8))
    finally:
        codes._exact_products.cache_clear()


@pytest.mark.parametrize("few", [1, 2, 30])
def test_a_subject_with_most_of_the_templates_hides_nobody(few):
    rng = np.random.default_rng(7)
    made = rng.normal(size=(150, 2, 4)).astype(np.float32)
    made[few:] *= 0.1  # the crowd is nearer than the few
    templates = {f"t{i}": (f"s{i}" if i < few else "crowd", v) for i, v in enumerate(made)}
    assert_exact(filled(templates, (2, 4)), templates, np.zeros((2, 2, 4), np.float32), 5)


def test_only_subjects_with_the_metadata_are_found():
    rng = np.random.default_rng(8)
    made = rng.normal(size=(60, 2, 4)).astype(np.float32)
    templates = {f"t{i}": (f"s{i % 20:02}", v) for i, v in enumerate(made)}
    index = filled(templates, (2, 4))
    for i, (template, (subject, _)) in enumerate(templates.items()):
        index.annotate(template, {"site": "north" if i % 20 < 7 else "south", "n": subject})
    probe = torch.from_numpy(made[:1] + 0.01)
    north = {t: v for t, v in templates.items() if v[0] < "s07"}
    hits, searched = index.search(probe, 100, {"site": "north"})
    assert searched == 21
    assert {h.subject for h in hits[0]} == {f"s{i:02}" for i in range(7)}
    expected = nearest(north, probe[0].numpy())
    assert {h.subject: h.distance for h in hits[0]} == pytest.approx(expected)
    assert [h.subject for h in index.search(probe, 5, {"site": "north", "n": "s03"})[0][0]] == ["s03"]
    for nobody in ({"site": "east"}, {"colour": "red"}, {"site": "north", "n": "s19"}):
        assert index.search(probe, 5, nobody) == ([[]], 0)
    index.annotate("t19", {"site": "north"})  # and so for all of its subject's templates
    assert index.search(probe, 5, {"site": "north"})[1] == 24


def test_what_has_expired_is_not_found():
    index = PartwiseIndex(1, 2)
    index.add(["a", "b", "c"], ["s", "s", "t"], torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[2.0, 0.0]]]))
    index.annotate("a", {}, 100.0)
    index.annotate("c", {}, 200.0)

    def found(now):
        hits, searched = index.search(torch.zeros(1, 1, 2), 5, now=now)
        return [h.template for h in hits[0]], searched

    assert found(99.9) == (["a", "c"], 3)
    assert found(100.0) == (["b", "c"], 2)
    assert found(200.0) == (["b"], 1)
    index.annotate("a", {})
    assert found(200.0) == (["a"], 2)
    index.remove("b")
    index.remove("a")
    assert found(300.0) == ([], 0)
