"""The losses against loops that spell out their formulas, and against an independent library."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss, TripletMarginLoss
from torch import Tensor

from gaitkeeper.training import losses

SUBJECTS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
VIEWS = torch.tensor([0, 1, 0, 0, 1, 0, 0, 1])
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "batch_all": lambda e, subjects: losses.batch_all_triplet(e, subjects, 0.5),
    "batch_hard": lambda e, subjects: losses.batch_hard_triplet(e, subjects, VIEWS[: len(e)], 0.5),
    "weighted": lambda e, subjects: losses.weighted_triplet(e, subjects, 0.5),
}


@pytest.fixture
def embeddings() -> Tensor:
    return torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def distance(embeddings: Tensor, part: int, a: int, b: int) -> float:
    return math.dist(embeddings[a, part].tolist(), embeddings[b, part].tolist())


def test_batch_all_is_the_mean_of_non_zero_terms_part_by_part(embeddings: Tensor) -> None:
    parts = []
    for part in range(3):
        terms = [
            0.5 + distance(embeddings, part, a, p) - distance(embeddings, part, a, n)
            for a in range(8)
            for p in range(8)
            for n in range(8)
            if a != p and SUBJECTS[a] == SUBJECTS[p] and SUBJECTS[a] != SUBJECTS[n]
        ]
        active = [term for term in terms if term > 0]
        assert 0 < len(active) < len(terms)
        parts.append(sum(active) / len(active))
    assert losses.batch_all_triplet(embeddings, SUBJECTS, 0.5).item() == pytest.approx(sum(parts) / 3)


def test_batch_all_of_one_part_is_that_of_pytorch_metric_learning(embeddings: Tensor) -> None:
    for part in range(3):
        one = embeddings[:, part : part + 1].float()
        theirs = TripletMarginLoss(margin=0.5)
        theirs.distance.normalize_embeddings = False
        expected = theirs(one[:, 0], SUBJECTS).item()
        assert losses.batch_all_triplet(one, SUBJECTS, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_a_part_that_is_solved_counts_as_zero() -> None:
    solved = torch.nn.functional.one_hot(SUBJECTS).double()[:, None] * 10
    unsolved = torch.zeros(8, 1, 3, dtype=torch.float64)
    both = torch.cat([solved, unsolved], dim=1)
    assert losses.batch_all_triplet(both, SUBJECTS, 0.5).item() == pytest.approx(0.25)


@pytest.mark.parametrize(
    "views", [VIEWS, None, torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])], ids=["views", "none", "one each"]
)
def test_batch_hard_prefers_other_views_of_the_person_and_own_views_of_others(
    embeddings: Tensor, views: Tensor | None
) -> None:
    total = 0.0
    for part in range(3):
        for a in range(8):
            same = [i for i in range(8) if SUBJECTS[i] == SUBJECTS[a] and i != a]
            others = [i for i in range(8) if SUBJECTS[i] != SUBJECTS[a]]
            if views is not None:
                same = [i for i in same if views[i] != views[a]] or same
                others = [i for i in others if views[i] == views[a]] or others
            hardest = max(distance(embeddings, part, a, i) for i in same)
            nearest = min(distance(embeddings, part, a, i) for i in others)
            total += max(0.0, 0.5 + hardest - nearest)
    assert losses.batch_hard_triplet(embeddings, SUBJECTS, views, 0.5).item() == pytest.approx(total / 24)


def test_weighted_triplet_weighs_by_softmax_of_distances(embeddings: Tensor) -> None:
    total = 0.0
    for part in range(3):
        for a in range(8):
            far = [distance(embeddings, part, a, i) for i in range(8) if SUBJECTS[i] == SUBJECTS[a] and i != a]
            near = [distance(embeddings, part, a, i) for i in range(8) if SUBJECTS[i] != SUBJECTS[a]]
            up, down = [math.exp(d) for d in far], [math.exp(-d) for d in near]
            positive = sum(w * d for w, d in zip(up, far, strict=True)) / sum(up)
            negative = sum(w * d for w, d in zip(down, near, strict=True)) / sum(down)
            total += max(0.0, 0.5 + positive - negative)
    assert losses.weighted_triplet(embeddings, SUBJECTS, 0.5).item() == pytest.approx(total / 24)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_right_and_finite_where_embeddings_coincide(name: str, embeddings: Tensor) -> None:
    assert torch.autograd.gradcheck(lambda e: LOSSES[name](e, SUBJECTS), embeddings.requires_grad_())
    same = torch.ones(8, 3, 4, requires_grad=True)
    loss = LOSSES[name](same, SUBJECTS)
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert same.grad is not None
    assert same.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("subjects", [torch.zeros(4, dtype=torch.int64), torch.arange(4)], ids=["one", "all apart"])
def test_a_batch_without_triplets_costs_nothing(name: str, subjects: Tensor) -> None:
    embeddings = torch.randn(4, 2, 3, requires_grad=True)
    loss = LOSSES[name](embeddings, subjects)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()


def test_arcface_adds_the_margin_to_the_angle() -> None:
    cosines = torch.rand(5, 2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1.8 - 0.9
    subjects = torch.tensor([0, 3, 6, 3, 1])
    total = 0.0
    for n in range(5):
        for part in range(2):
            row = cosines[n, part].tolist()
            true = int(subjects[n])
            row[true] = math.cos(math.acos(row[true]) + 0.35)
            scores = [math.exp(30 * c) for c in row]
            total -= math.log(scores[true] / sum(scores))
    assert losses.arcface(cosines, subjects, 0.35, 30).item() == pytest.approx(total / 10)


def test_arcface_is_that_of_pytorch_metric_learning_for_every_angle() -> None:
    """Embeddings all around the circle, so angles from 0 to π: beyond π − m the curve goes on downwards."""
    angles = torch.linspace(0.01, 2 * math.pi - 0.01, 40)
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    subjects = torch.zeros(40, dtype=torch.int64)
    theirs = ArcFaceLoss(num_classes=3, embedding_size=2, margin=math.degrees(0.35), scale=30)
    cosines = embeddings @ torch.nn.functional.normalize(theirs.W, dim=0)
    for i in range(40):
        ours = losses.arcface(cosines[i : i + 1, None], subjects[i : i + 1], 0.35, 30).item()
        assert ours == pytest.approx(theirs(embeddings[i : i + 1], subjects[i : i + 1]).item(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_arcface_has_finite_gradients_at_the_ends(cosine: float) -> None:
    cosines = torch.full((2, 1, 3), cosine, requires_grad=True)
    losses.arcface(cosines, torch.tensor([0, 1])).backward()
    assert cosines.grad is not None
    assert cosines.grad.isfinite().all()


def test_smoothed_cross_entropy_spreads_probability_over_all_classes() -> None:
    logits = torch.tensor([[[2.0, 0.0, -1.0]]], dtype=torch.float64)
    log = [x - math.log(sum(math.exp(y) for y in (4, 0, -2))) for x in (4, 0, -2)]
    expected = -(0.9 * log[1] + 0.1 * sum(log) / 3)
    assert losses.smoothed_cross_entropy(logits, torch.tensor([1]), 0.1, scale=2).item() == pytest.approx(expected)
