"""Layers that several networks share, on cases worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gaitkeeper.models.layers import CHUNK, FocalBlock, channels_last, framewise, generalised_mean, set_pools


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


def test_channels_last_reaches_the_first_layer() -> None:
    """Torch takes a weight of one channel for channels first, and the convolution with it."""
    conv = nn.Conv2d(1, 4, 3, bias=False)
    x = torch.rand(2, 1, 6, 6)
    expected = conv(x)
    assert not expected.is_contiguous(memory_format=torch.channels_last)
    channels_last(conv)
    torch.testing.assert_close(conv(x), expected)
    assert conv(x).is_contiguous(memory_format=torch.channels_last)
    conv.load_state_dict({"weight": conv.weight.detach().clone(memory_format=torch.contiguous_format)})
    assert conv(x).is_contiguous(memory_format=torch.channels_last)


def test_training_in_chunks_changes_nothing() -> None:
    torch.manual_seed(0)
    block = FocalBlock(1, 4, pool=True)
    x = torch.rand(2, CHUNK, 1, 8, 8)
    outputs, gradients = [], []
    for apart in (False, True):
        block.zero_grad()
        outputs.append(framewise(block, x, apart=apart))
        outputs[-1].square().sum().backward()
        gradients.append([p.grad for p in block.parameters()])
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_batch_norm_sees_all_frames_at_once() -> None:
    norm = nn.BatchNorm1d(3)
    x = torch.rand(2, CHUNK, 3) * torch.arange(1, CHUNK + 1)[:, None]
    torch.testing.assert_close(framewise(norm, x), norm(x.flatten(0, 1)).view(x.shape))


def test_what_a_gpu_takes_at_once_gives_the_same_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    block, x = FocalBlock(1, 4, pool=True).eval(), torch.rand(5, 7, 1, 8, 8)
    x[1, 3:] = float("nan")  # padding
    for lengths in (torch.tensor([7, 3, 7, 1, 6]), None):
        with torch.inference_mode():
            monkeypatch.undo()
            some = x if lengths is not None else x[2:]
            expected = [*set_pools([block, torch.neg], some, lengths), framewise(block, some, lengths)]
            monkeypatch.setattr("gaitkeeper.models.layers._set_pools_of_one", None)
            monkeypatch.setattr("gaitkeeper.models.layers.CHUNK", 8)
            monkeypatch.setattr("gaitkeeper.models.layers.chunk_on", lambda device: 14)  # two sequences at a time
            found = [*set_pools([block, torch.neg], some, lengths), framewise(block, some, lengths)]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("gradients", [False, True])
def test_pools_of_stages_are_maxima_over_true_frames(gradients: bool) -> None:
    frames = 2 * CHUNK + 3  # the last chunk is a short one
    x = torch.rand(2, frames, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([frames, CHUNK + 1])
    with torch.set_grad_enabled(gradients):
        first, second = set_pools([lambda f: 2 * f, lambda f: 1 - f], x, lengths)
    for i, end in enumerate(lengths):
        torch.testing.assert_close(first[i], 2 * x[i, :end].amax(dim=0))
        torch.testing.assert_close(second[i], 1 - 2 * x[i, :end].amin(dim=0))
