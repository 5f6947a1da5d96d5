"""GSTSN: its reading of image dimensionality reduction, its sequence branch, batches of different lengths."""

from __future__ import annotations

import pytest
import torch

from gaitkeeper.models import build
from gaitkeeper.models.gaitset import GaitSet, GaitSetConfig
from gaitkeeper.models.gstsn import GSTSN, GSTSNConfig, neighbours

SMALL = {"channels": (4, 8, 8), "hidden": 12, "embed_dim": 16}


def silhouettes(n: int, t: int) -> torch.Tensor:
    """Ellipses that grow and sway, each sequence and frame another."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 44), indexing="ij")
    phase = torch.arange(n)[:, None] + 0.4 * torch.arange(t)
    width = (0.5 + 0.3 * phase.sin())[..., None, None]
    sway = (0.3 * (1.7 * phase).cos())[..., None, None]
    return (((x - sway * y) / width) ** 2 + y**2 < 1).float().unsqueeze(2)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("median", [1.0, 3.0, 3.0, 3.0, 2.0]),
        ("max", [9.0, 9.0, 9.0, 3.0, 3.0]),
        ("min", [1.0, 1.0, 3.0, 2.0, 2.0]),
    ],
)
def test_statistic_of_three_neighbouring_frames(statistic: str, expected: list[float]) -> None:
    lone = torch.tensor([[1.0, 9.0, 3.0, 3.0, 2.0]])
    assert neighbours(lone, statistic, None).tolist() == [expected]
    padded = torch.cat([lone, torch.full((1, 3), 7.0)], dim=1)
    assert neighbours(padded, statistic, torch.tensor([5]))[:, :5].tolist() == [expected]


def test_a_lone_frame_is_its_own_neighbourhood() -> None:
    frame = torch.tensor([[5.0]])
    for statistic in ("median", "max", "min"):
        assert neighbours(frame, statistic, None).equal(frame)


def test_the_median_drops_what_one_bad_mask_adds() -> None:
    x = silhouettes(1, 1).expand(1, 9, 1, 64, 44).clone()
    clean = x.clone()
    x[:, 4, :, 50:, :] = 1
    assert not x.equal(clean)
    assert neighbours(x, "median", None).equal(clean)


@pytest.mark.parametrize("statistic", ["median", "max", "min"])
def test_a_padded_batch_equals_lone_sequences(statistic: str) -> None:
    network = build("gstsn", seed=0, statistic=statistic, **SMALL).eval()
    lengths = torch.tensor([13, 8, 2, 1])
    x = silhouettes(4, 13)
    x[torch.arange(13) >= lengths[:, None]] = float("nan")
    with torch.inference_mode():
        together = network(x, lengths=lengths)
        alone = torch.cat([network(x[i : i + 1, :length]) for i, length in enumerate(lengths)])
    assert together[:, -15:].std() > 0.01
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_the_set_does_not_mind_the_order_of_frames_and_the_sequence_does() -> None:
    network = build("gstsn", seed=0, **SMALL).eval()
    x = silhouettes(2, 12)
    with torch.inference_mode():
        forth, back = network(x), network(x.flip(1))
    torch.testing.assert_close(forth[:, :30], back[:, :30])
    assert ((forth[:, 30:] - back[:, 30:]).norm() / forth[:, 30:].norm()) > 0.01


def test_the_first_parts_are_gaitset_itself() -> None:
    network = build("gstsn", seed=0).eval()
    assert isinstance(network, GSTSN)
    gaitset = GaitSet(GaitSetConfig(bins=(8, 4, 2, 1))).eval()
    gaitset.load_state_dict(network.gaitset.state_dict())
    x = silhouettes(1, 6)
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[:, :30], gaitset(x))


def test_every_parameter_learns() -> None:
    network = GSTSN(GSTSNConfig(**SMALL))
    outputs = network.training_outputs(silhouettes(3, 8), lengths=torch.tensor([8, 5, 3]))
    assert outputs.logits is None
    outputs.embeddings["main"].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_parameter_count() -> None:
    """The paper states none."""
    network = GSTSN()
    assert network.out_shape == (45, 256)
    gaitset = 2_594_592 - (62 - 30) * 128 * 256  # GaitSet as published, with 30 instead of 62 fully connected layers
    lstm = 4 * 256 * (128 + 256 + 2) + 4 * 256 * (256 + 256 + 2)
    assert sum(p.numel() for p in network.parameters()) == gaitset + lstm + 15 * 256 * 256 == 3_450_656
