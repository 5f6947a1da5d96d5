"""The part-wise distance against the definition, summed term by term in float64."""

from __future__ import annotations

import pytest
import torch

from gaitkeeper.models.distance import PROBES, part_distances


def by_definition(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    difference = a.double()[:, None] - b.double()[None]
    return difference.square().sum(dim=3).sqrt().mean(dim=2)


@pytest.mark.parametrize(("n", "m", "parts", "dims"), [(1, 1, 1, 1), (3, 5, 16, 8), (7, 300, 62, 4), (2, 9, 1, 2816)])
def test_equals_the_definition(n: int, m: int, parts: int, dims: int) -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(n, parts, dims, generator=generator)
    b = torch.randn(m, parts, dims, generator=generator)
    found = part_distances(a, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), by_definition(a, b), rtol=1e-6, atol=0)


def test_blocks_do_not_show() -> None:
    a, b = torch.randn(PROBES + 3, 16, 64), torch.randn(600, 16, 64)
    assert len(b) * 16 * 64 * 8 > 1 << 21, "more than one block is meant"
    expected = torch.cat([by_definition(some, b) for some in a.split(32)])
    torch.testing.assert_close(part_distances(a, b).double(), expected, rtol=1e-6, atol=0)


def test_differs_from_the_distance_of_the_concatenated_parts() -> None:
    origin = torch.zeros(1, 2, 1)
    one_part_far, both_parts_near = torch.tensor([[[5.0], [0.0]]]), torch.tensor([[[3.0], [3.0]]])
    assert part_distances(origin, torch.cat([one_part_far, both_parts_near])).tolist() == [[2.5, 3.0]]
    assert one_part_far.norm() > both_parts_near.norm()


@pytest.mark.parametrize("apart", [1e-1, 1e-3, 1e-4])
def test_near_duplicates_of_large_norm_keep_their_digits(apart: float) -> None:
    generator = torch.Generator().manual_seed(2)
    a = 100 * torch.rand(20, 16, 256, generator=generator)
    b = a + apart * torch.randn(a.shape, generator=generator)
    torch.testing.assert_close(part_distances(a, b).double(), by_definition(a, b), rtol=1e-4, atol=0)


def test_an_embedding_is_at_no_distance_from_itself() -> None:
    a = 100 * torch.rand(30, 16, 256)
    own = part_distances(a, a).diagonal()
    assert own.min() >= 0
    assert own.max() < 1e-6 * a.norm(dim=2).mean()


def test_half_precision_embeddings_and_empty_sets() -> None:
    a, b = torch.randn(2, 4, 8).half(), torch.randn(3, 4, 8)
    torch.testing.assert_close(part_distances(a, b).double(), by_definition(a, b), rtol=1e-6, atol=0)
    assert part_distances(a[:0], b).shape == (0, 3)
    assert part_distances(b, a[:0]).shape == (3, 0)


@pytest.mark.parametrize("shape", [(3, 4, 7), (3, 5, 8), (4, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        part_distances(torch.zeros(2, 4, 8), torch.zeros(shape))
