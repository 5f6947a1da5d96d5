"""Straightforward implementations of four networks, with the parameter names of OpenGait's published checkpoints.

Written from the papers and the toolkit's key names: frames folded into the batch, loops over strips and parts, torch's
default memory layout. The tests compare imported checkpoints with them, and the bench compares the speed of the
project's networks with theirs. One batch of sequences of equal length, (N, T, 1, 64, 44) -> (N, P, C).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def act(x: Tensor) -> Tensor:
    return F.leaky_relu(x)


class Conv(nn.Module):
    """Holds its convolution as ``conv``, as the toolkit does."""

    def __init__(self, c_in: int, c_out: int, kernel: int, *, halvings: int = 0, kind: type = nn.Conv2d) -> None:
        super().__init__()
        self.conv = kind(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        self.strips = 2**halvings

    def forward(self, x: Tensor) -> Tensor:
        if self.strips == 1:
            return self.conv(x)
        return torch.cat([self.conv(strip) for strip in x.chunk(self.strips, dim=2)], dim=2)


class Frames(nn.Module):
    """Runs an image network over (N, T, C, H, W)."""

    def __init__(self, forward_block: nn.Module) -> None:
        super().__init__()
        self.forward_block = forward_block

    def forward(self, x: Tensor) -> Tensor:
        out = self.forward_block(x.flatten(0, 1))
        return out.view(*x.shape[:2], *out.shape[1:])


class PartFC(nn.Module):
    def __init__(self, parts: int, c_in: int, c_out: int) -> None:
        super().__init__()
        self.fc_bin = nn.Parameter(torch.randn(parts, c_in, c_out) / c_in**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part @ weight for part, weight in zip(x.unbind(1), self.fc_bin, strict=True)], dim=1)


def strips_of(x: Tensor, bins: list[int]) -> Tensor:
    """(N, C, H, W) -> (N, P, C): mean + max of each strip."""
    strips = [strip for count in bins for strip in x.chunk(count, dim=2)]
    return torch.stack([strip.mean(dim=(2, 3)) + strip.amax(dim=(2, 3)) for strip in strips], dim=1)


class GaitSet(nn.Module):
    def __init__(self, channels: tuple[int, int, int], embed_dim: int) -> None:
        super().__init__()
        a, b, c = channels
        relu, pool = nn.LeakyReLU(), nn.MaxPool2d(2)
        block1 = nn.Sequential(Conv(1, a, 5), relu, Conv(a, a, 3), relu, pool)
        block2 = nn.Sequential(Conv(a, b, 3), relu, Conv(b, b, 3), relu, pool)
        block3 = nn.Sequential(Conv(b, c, 3), relu, Conv(c, c, 3), relu)
        self.set_block1, self.set_block2, self.set_block3 = Frames(block1), Frames(block2), Frames(block3)
        self.gl_block2, self.gl_block3 = copy.deepcopy(block2), copy.deepcopy(block3)
        self.Head = PartFC(62, c, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.set_block1(x)
        whole = self.gl_block2(x.amax(dim=1))
        x = self.set_block2(x)
        whole = self.gl_block3(whole + x.amax(dim=1))
        pooled = self.set_block3(x).amax(dim=1)
        bins = [16, 8, 4, 2, 1]
        return self.Head(torch.cat([strips_of(pooled, bins), strips_of(pooled + whole, bins)], dim=1))


class Plain(nn.Module):
    def __init__(self, layers: list[tuple[int, int] | None]) -> None:
        super().__init__()
        made: list[nn.Module] = []
        c_in, kernel = 1, 5
        for layer in layers:
            if layer is None:
                made.append(nn.MaxPool2d(2))
            else:
                made += [Conv(c_in, layer[0], kernel, halvings=layer[1]), nn.LeakyReLU()]
                c_in, kernel = layer[0], 3
        self.feature = nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        return self.feature(x)


class MicroMotion(nn.Module):
    """A module of its own for every part."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        narrow, conv1d = channels // 4, nn.Conv1d
        one = [Conv(channels, narrow, 3, kind=conv1d), nn.LeakyReLU(), Conv(narrow, channels, 1, kind=conv1d)]
        three = [Conv(channels, narrow, 3, kind=conv1d), nn.LeakyReLU(), Conv(narrow, channels, 3, kind=conv1d)]
        self.conv1d3x1 = nn.ModuleList(copy.deepcopy(nn.Sequential(*one)) for _ in range(parts))
        self.conv1d3x3 = nn.ModuleList(copy.deepcopy(nn.Sequential(*three)) for _ in range(parts))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, P, C) -> (N, P, C)."""
        out = []
        for part, mtb1, mtb2 in zip(x.permute(2, 0, 3, 1), self.conv1d3x1, self.conv1d3x3, strict=True):
            template1 = F.avg_pool1d(part, 3, 1, 1) + F.max_pool1d(part, 3, 1, 1)
            template2 = F.avg_pool1d(part, 5, 1, 2) + F.max_pool1d(part, 5, 1, 2)
            motion = template1 * torch.sigmoid(mtb1(part)) + template2 * torch.sigmoid(mtb2(part))
            out.append(motion.amax(dim=2))
        return torch.stack(out, dim=1)


class Packed(nn.Module):
    def __init__(self, pooling_func: nn.Module) -> None:
        super().__init__()
        self.pooling_func = pooling_func

    def forward(self, x: Tensor) -> Tensor:
        return self.pooling_func(x)


class GaitPart(nn.Module):
    def __init__(self, layers: list[tuple[int, int] | None], embed_dim: int) -> None:
        super().__init__()
        channels = next(layer[0] for layer in reversed(layers) if layer)
        self.Backbone = Frames(Plain(layers))
        self.TFA = Packed(MicroMotion(channels, 16))
        self.Head = PartFC(16, channels, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.Backbone(x)
        parts = strips_of(frames.flatten(0, 1), [16])
        return self.Head(self.TFA(parts.view(*frames.shape[:2], *parts.shape[1:])))


class Conv3d(nn.Module):
    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int, int], stride: int = 1) -> None:
        super().__init__()
        t, h, w = (0 if stride > 1 else k // 2 for k in kernel)
        self.conv3d = nn.Conv3d(c_in, c_out, kernel, (stride, 1, 1), (t, h, w), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class GlobalLocal(nn.Module):
    def __init__(self, c_in: int, c_out: int, strips: int, stack: bool = False) -> None:
        super().__init__()
        self.global_conv3d = Conv3d(c_in, c_out, (3, 3, 3))
        self.local_conv3d = Conv3d(c_in, c_out, (3, 3, 3))
        self.strips, self.stack = strips, stack

    def forward(self, x: Tensor) -> Tensor:
        local = torch.cat([self.local_conv3d(strip) for strip in x.chunk(self.strips, dim=3)], dim=3)
        if self.stack:
            return act(torch.cat([self.global_conv3d(x), local], dim=3))
        return act(self.global_conv3d(x)) + act(local)


class GeM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([6.5]))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, H, C)."""
        return (x.clamp(min=1e-6) ** self.p).mean(dim=3).pow(1 / self.p).transpose(1, 2)


class GaitGL(nn.Module):
    def __init__(self, channels: tuple[int, int, int, int], *, deep: bool, classes: int) -> None:
        super().__init__()
        c0, c1, c2, c3 = channels
        cube = (3, 3, 3)
        if deep:
            first: list[nn.Module] = [Conv3d(1, c0, cube), nn.LeakyReLU(), Conv3d(c0, c0, cube), nn.LeakyReLU()]
            self.conv3d = nn.Sequential(*first)
            self.GLConvA0: nn.Module
            self.GLConvA1: nn.Module
            self.GLConvB2: nn.Module
            self.GLConvA0 = nn.Sequential(GlobalLocal(c0, c1, 2), GlobalLocal(c1, c1, 2))
            self.GLConvA1 = nn.Sequential(GlobalLocal(c1, c2, 2), GlobalLocal(c2, c2, 2))
            self.GLConvB2 = nn.Sequential(GlobalLocal(c2, c3, 2), GlobalLocal(c3, c3, 2, stack=True))
        else:
            self.conv3d = nn.Sequential(Conv3d(1, c0, cube), nn.LeakyReLU())
            self.GLConvA0 = GlobalLocal(c0, c1, 8)
            self.GLConvA1 = GlobalLocal(c1, c2, 8)
            self.GLConvB2 = GlobalLocal(c2, c3, 8, stack=True)
        self.LTA = nn.Sequential(Conv3d(c0, c0, (3, 1, 1), stride=3), nn.LeakyReLU())
        self.HPP = GeM()
        self.Head0 = PartFC(64, c3, c3)
        self.Bn = nn.BatchNorm1d(c3)
        self.Head1 = PartFC(64, c3, classes)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        if frames < 3:
            x = torch.cat([x] * (3 if frames == 1 else 2), dim=1)
        x = self.GLConvA0(self.LTA(self.conv3d(x.transpose(1, 2))))
        x = F.max_pool3d(x, (1, 2, 2))
        x = self.GLConvB2(self.GLConvA1(x)).amax(dim=2)
        return self.Bn(self.Head0(self.HPP(x)).transpose(1, 2)).transpose(1, 2)


class BasicBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = None
        if stride > 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet9(nn.Module):
    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        a, b, c, d = channels
        self.conv1 = Conv(1, a, 3)
        self.bn1 = nn.BatchNorm2d(a)
        self.layer1 = nn.Sequential(BasicBlock(a, a, 1))
        self.layer2 = nn.Sequential(BasicBlock(a, b, 2))
        self.layer3 = nn.Sequential(BasicBlock(b, c, 2))
        self.layer4 = nn.Sequential(BasicBlock(c, d, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class BNNecks(nn.Module):
    def __init__(self, parts: int, channels: int, classes: int) -> None:
        super().__init__()
        self.fc_bin = nn.Parameter(torch.randn(parts, channels, classes))
        self.bn1d = nn.BatchNorm1d(parts * channels)


class GaitBase(nn.Module):
    def __init__(self, channels: tuple[int, int, int, int], embed_dim: int, classes: int) -> None:
        super().__init__()
        self.Backbone = Frames(ResNet9(channels))
        self.FCs = PartFC(16, channels[-1], embed_dim)
        self.BNNecks = BNNecks(16, embed_dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.FCs(strips_of(self.Backbone(x).amax(dim=1), [16]))


CASIA = [(32, 0), (32, 0), None, (64, 2), (64, 2), None, (128, 3), (128, 3)]
OUMVLP = [(32, 0), (32, 0), None, (64, 0), (64, 0), None, (128, 3), (128, 3), (256, 3), (256, 3)]
MAKE = {
    "gaitset": lambda: GaitSet((32, 64, 128), 256),
    "gaitset-oumvlp": lambda: GaitSet((64, 128, 256), 256),
    "gaitpart": lambda: GaitPart(CASIA, 128),
    "gaitpart-oumvlp": lambda: GaitPart(OUMVLP, 256),
    "gaitgl": lambda: GaitGL((32, 64, 128, 128), deep=False, classes=74),
    "gaitgl-oumvlp": lambda: GaitGL((32, 64, 128, 256), deep=True, classes=74),
    "gaitbase": lambda: GaitBase((64, 128, 256, 512), 256, 74),
    "gaitbase-narrow": lambda: GaitBase((8, 16, 32, 64), 32, 74),
}


def make(variant: str, seed: int = 0) -> nn.Module:
    """A network in eval mode, as :func:`made` makes it."""
    return made(MAKE[variant], seed)


def made(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network in eval mode with He-initialised convolutions, and running statistics like those after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build()
        for layer in net.modules():
            if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(layer.weight)
            elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
                assert layer.running_mean is not None and layer.running_var is not None
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.1)
        return net.eval()
