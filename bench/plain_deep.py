"""Straightforward implementations of DeepGaitV2 and SkeletonGait++, with the parameter names of OpenGait's checkpoints.

Written from the papers and the toolkit's key names, like :mod:`bench.plain`: (N, T, C, 64, 44) -> (N, P, C).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.plain import BasicBlock, BNNecks, PartFC, made, strips_of


class Sequences(nn.Module):
    """Runs an image network over (N, C, T, H, W)."""

    def __init__(self, forward_block: nn.Module) -> None:
        super().__init__()
        self.forward_block = forward_block

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.forward_block(frame) for frame in x.unbind(2)], dim=2)


def stem(c_in: int, c_out: int) -> Sequences:
    return Sequences(nn.Sequential(nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()))


class SpaceTime(nn.Module):
    """A residual block of two 3×3×3 convolutions, or of 3×3 convolutions of each frame and one over three frames."""

    def __init__(self, c_in: int, c_out: int, stride: int, pseudo: bool) -> None:
        super().__init__()
        steps = (1, stride, stride)
        if pseudo:
            conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
            self.conv1: nn.Module = Sequences(nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU()))
            conv = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
            self.conv2: nn.Module = Sequences(nn.Sequential(conv, nn.BatchNorm2d(c_out)))
            self.shortcut3d = nn.Conv3d(c_out, c_out, (3, 1, 1), 1, (1, 0, 0), bias=False)
            self.sbn = nn.BatchNorm3d(c_out)
        else:
            self.conv1 = nn.Conv3d(c_in, c_out, 3, steps, 1, bias=False)
            self.bn1 = nn.BatchNorm3d(c_out)
            self.conv2 = nn.Conv3d(c_out, c_out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm3d(c_out)
        self.pseudo, self.downsample = pseudo, None
        if stride > 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv3d(c_in, c_out, 1, steps, bias=False), nn.BatchNorm3d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        if self.pseudo:
            y = self.conv1(x)
            y = self.conv2(torch.relu(y + self.sbn(self.shortcut3d(y))))
        else:
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class DeepGaitV2(nn.Module):
    def __init__(self, mode: str, blocks: tuple[int, ...], channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.layer0 = stem(1, channels[0])
        c_in = channels[0]
        for number, (c_out, stride, count) in enumerate(zip(channels, (1, 2, 2, 1), blocks, strict=True), start=1):
            flat = number == 1 or mode == "2d"
            made = []
            for i in range(count):
                sizes = (c_in if i == 0 else c_out, c_out, stride if i == 0 else 1)
                made.append(BasicBlock(*sizes) if flat else SpaceTime(*sizes, pseudo=mode == "p3d"))
            layer: nn.Module = nn.Sequential(*made)
            setattr(self, f"layer{number}", Sequences(layer) if flat else layer)
            c_in = c_out
        self.FCs = PartFC(16, c_in, channels[2])
        self.BNNecks = BNNecks(16, channels[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer0(x.transpose(1, 2))
        for number in (1, 2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        return self.FCs(strips_of(x.amax(dim=2), [16]))


class Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 16
        self.conv = Sequences(
            nn.Sequential(
                nn.Conv2d(2 * channels, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU(),
                nn.Conv2d(hidden, hidden, 3, 1, 1, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU(),
                nn.Conv2d(hidden, 2 * channels, 1, bias=False),
            )
        )

    def forward(self, outline: Tensor, skeleton: Tensor) -> Tensor:
        score = self.conv(torch.cat([outline, skeleton], dim=1))
        weights = torch.stack(score.chunk(2, dim=1)).softmax(dim=0)
        return weights[0] * outline + weights[1] * skeleton


class SkeletonGaitPP(nn.Module):
    """Silhouettes (N, T, 1, 64, 44) and skeleton maps (N, T, 2, 64, 44)."""

    def __init__(self, blocks: tuple[int, ...], channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        first = channels[0]
        self.sil_layer0, self.map_layer0 = stem(1, first), stem(2, first)
        self.sil_layer1, self.map_layer1 = (
            Sequences(nn.Sequential(*(BasicBlock(first, first, 1) for _ in range(blocks[0])))) for _ in range(2)
        )
        self.fusion = Attention(first)
        sizes = zip(channels, channels[1:], (2, 2, 1), blocks[1:], strict=False)
        for number, (c_in, c_out, stride, count) in enumerate(sizes, start=2):
            made = [SpaceTime(c_in, c_out, stride, pseudo=True)]
            made += [SpaceTime(c_out, c_out, 1, pseudo=True) for _ in range(count - 1)]
            setattr(self, f"layer{number}", nn.Sequential(*made))
        self.FCs = PartFC(16, channels[-1], channels[2])
        self.BNNecks = BNNecks(16, channels[2], classes)

    def forward(self, silhouettes: Tensor, maps: Tensor) -> Tensor:
        outline = self.sil_layer1(self.sil_layer0(silhouettes.transpose(1, 2)))
        skeleton = self.map_layer1(self.map_layer0(maps.transpose(1, 2)))
        x = self.fusion(outline, skeleton)
        for number in (2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        return self.FCs(strips_of(x.amax(dim=2), [16]))


MAKE = {
    "deepgaitv2": lambda: DeepGaitV2("p3d", (1, 4, 4, 1), (64, 128, 256, 512), 74),
    "deepgaitv2-2d": lambda: DeepGaitV2("2d", (1, 2, 2, 1), (8, 16, 32, 64), 74),
    "deepgaitv2-3d": lambda: DeepGaitV2("3d", (2, 1, 2, 1), (8, 16, 32, 64), 74),
    "deepgaitv2-p3d": lambda: DeepGaitV2("p3d", (2, 3, 1, 2), (8, 16, 32, 64), 74),
    "skeletongaitpp": lambda: SkeletonGaitPP((1, 1, 1, 1), (64, 128, 256, 512), 74),
    "skeletongaitpp-deep": lambda: SkeletonGaitPP((2, 1, 3, 2), (16, 16, 32, 64), 74),
}


def make(variant: str, seed: int = 0) -> nn.Module:
    """A network in eval mode, as :func:`bench.plain.made` makes it, but with the running statistics of a batch: with
    others, the features of a deep network grow beyond measure.
    """
    net = made(MAKE[variant], seed)
    norms = [layer for layer in net.modules() if isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d))]
    for norm in norms:
        norm.momentum = 1.0
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(2, 3, 3, 64, 44, generator=generator).split((1, 2), dim=2)
    with torch.no_grad():
        net.train()(*pictures[: 2 if variant.startswith("skeleton") else 1])
    return net.eval()
