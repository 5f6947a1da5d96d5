"""Layers that several networks share, on cases worked by hand."""

from __future__ import annotations

import pytest
import torch

from models.layers import generalised_mean


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize(("exponent", "expected"), [(1.0, 2.5), (2.0, 7.5**0.5), (100.0, 4.0)])
def test_generalised_mean_goes_from_mean_to_maximum(exponent: float, expected: float, dim: int) -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(2, 3, 4).movedim(2, dim)
    found = generalised_mean(values, torch.tensor([exponent]), dim)
    torch.testing.assert_close(found, torch.full((2, 3), expected), rtol=0.02 if exponent == 100 else 1e-6, atol=0)


@pytest.mark.parametrize("scale", [1e-5, 1e8])
def test_generalised_mean_is_as_large_as_its_values(scale: float) -> None:
    """(1e-5)^20 is 0 in float32 and (1e8)^20 infinite."""
    values, exponent = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) + 0.5, torch.tensor([20.0])
    expected = scale * values.double().pow(20).mean(dim=1).pow(1 / 20)
    torch.testing.assert_close(generalised_mean(scale * values, exponent, 1).double(), expected, rtol=1e-5, atol=0)


def test_generalised_mean_of_empty_rows_has_finite_gradients() -> None:
    exponent = torch.tensor([8.0], requires_grad=True)
    values = torch.zeros(3, 4, requires_grad=True)
    generalised_mean(values, exponent, 1).sum().backward()
    assert exponent.grad is not None and values.grad is not None
    assert exponent.grad.isfinite().all() and values.grad.isfinite().all()


def test_generalised_mean_stays_in_float32_under_autocast() -> None:
    values, exponent = torch.rand(6, 9, generator=torch.Generator().manual_seed(0)), torch.tensor([6.5])
    with torch.autocast("cpu", torch.bfloat16):
        found = generalised_mean(values, exponent, 1)
    assert torch.equal(found, generalised_mean(values, exponent, 1))
