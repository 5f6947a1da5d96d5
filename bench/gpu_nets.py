"""Detector and pose networks for the GPU bench: the published architectures in plain torch, with random weights.

YOLO11-seg after Ultralytics' ``yolo11-seg.yaml``, HRNet-W32 after Sun et al., CVPR 2019, and ViTPose-B with the simple
decoder after Xu et al., NeurIPS 2022, both as mmpose configures them for 256 × 192 crops. Their packages are
not imported, so that the bench only needs torch. The tests compare the numbers of parameters with the published ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv(
    c1: int, c2: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: nn.Module | None = None
) -> nn.Module:
    """A convolution without bias, its batch norm, and an activation if given."""
    layers = [nn.Conv2d(c1, c2, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c2)]
    return nn.Sequential(*layers, *([act] if act else []))


def fold(net: nn.Module) -> nn.Module:
    """The same network in eval mode with batch norms folded into convolutions."""
    net.eval()
    for module in list(net.modules()):
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                layer, norm = module[i], module[i + 1]
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return net


def silu(c1: int, c2: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    """YOLO's convolution."""
    return conv(c1, c2, kernel, stride, groups, nn.SiLU(inplace=True))


class Bottleneck(nn.Module):
    """Two 3 × 3 convolutions with a skip connection."""

    def __init__(self, c: int, hidden: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = silu(c, hidden, 3), silu(hidden, c, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.cv2(self.cv1(x))
        return out


class C3k(nn.Module):
    """A cross-stage block of two bottlenecks."""

    def __init__(self, c: int) -> None:
        super().__init__()
        half = c // 2
        self.cv1, self.cv2, self.cv3 = silu(c, half), silu(c, half), silu(2 * half, c)
        self.m = nn.Sequential(Bottleneck(half, half), Bottleneck(half, half))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))
        return out


class C3k2(nn.Module):
    """Split, then consecutive blocks; all outputs are concatenated."""

    def __init__(self, c1: int, c2: int, count: int, deep: bool, share: float = 0.5) -> None:
        super().__init__()
        self.c = int(c2 * share)
        self.cv1, self.cv2 = silu(c1, 2 * self.c), silu((2 + count) * self.c, c2)
        self.m = nn.ModuleList(C3k(self.c) if deep else Bottleneck(self.c, self.c // 2) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        out: Tensor = self.cv2(torch.cat(parts, 1))
        return out


class SPPF(nn.Module):
    """Pools of growing size, concatenated."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = silu(c, c // 2), silu(2 * c, c)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        out: Tensor = self.cv2(torch.cat(parts, 1))
        return out


class Attention(nn.Module):
    """Self-attention over positions, with keys half as wide as values, and a positional encoding."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.heads = max(1, c // 64)
        self.value, self.key = c // self.heads, c // self.heads // 2
        self.qkv = conv(c, c + 2 * self.key * self.heads)
        self.proj, self.pe = conv(c, c), conv(c, c, 3, groups=c)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(x).reshape(b, self.heads, 2 * self.key + self.value, h * w)
        q, k, v = qkv.transpose(2, 3).split((self.key, self.key, self.value), 3)
        out = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, c, h, w)
        mixed: Tensor = self.proj(out + self.pe(v.transpose(2, 3).reshape(b, c, h, w)))
        return mixed


class C2PSA(nn.Module):
    """Half of the channels pass through attention and a feed-forward block, ``count`` times."""

    def __init__(self, c: int, count: int) -> None:
        super().__init__()
        half = c // 2
        self.cv1, self.cv2 = silu(c, c), silu(c, c)
        self.attention = nn.ModuleList(Attention(half) for _ in range(count))
        self.ffn = nn.ModuleList(nn.Sequential(silu(half, c), conv(c, half)) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.cv1(x).chunk(2, 1)
        for attention, ffn in zip(self.attention, self.ffn, strict=True):
            b = b + attention(b)
            b = b + ffn(b)
        out: Tensor = self.cv2(torch.cat((a, b), 1))
        return out


SCALES = {"n": (0.5, 0.25, 1024), "s": (0.5, 0.5, 1024), "m": (0.5, 1.0, 512)}
BINS, MASKS = 16, 32


class Yolo11Seg(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1], sides multiples of 32 -> boxes, scores, mask coefficients and prototypes.

    Args:
        scale: "n", "s" or "m".
        classes: number of classes.
    """

    def __init__(self, scale: str = "m", classes: int = 80) -> None:
        super().__init__()
        depth, width, most = SCALES[scale]
        c = {n: int(min(n, most) * width) for n in (64, 128, 256, 512, 1024)}
        n, deep = max(1, round(2 * depth)), scale == "m"
        self.stem = nn.Sequential(
            silu(3, c[64], 3, 2), silu(c[64], c[128], 3, 2), C3k2(c[128], c[256], n, deep, 0.25),
            silu(c[256], c[256], 3, 2), C3k2(c[256], c[512], n, deep, 0.25),
        )  # fmt: skip
        self.p4 = nn.Sequential(silu(c[512], c[512], 3, 2), C3k2(c[512], c[512], n, True))
        self.p5 = nn.Sequential(
            silu(c[512], c[1024], 3, 2), C3k2(c[1024], c[1024], n, True), SPPF(c[1024]), C2PSA(c[1024], n)
        )
        self.up4, self.up3 = C3k2(c[1024] + c[512], c[512], n, deep), C3k2(2 * c[512], c[256], n, deep)
        self.down4, self.out4 = silu(c[256], c[256], 3, 2), C3k2(c[256] + c[512], c[512], n, deep)
        self.down5, self.out5 = silu(c[512], c[512], 3, 2), C3k2(c[512] + c[1024], c[1024], n, True)
        widths = (c[256], c[512], c[1024])
        c2, c3, c4 = max(16, widths[0] // 4, 64), max(widths[0], min(classes, 100)), max(widths[0] // 4, MASKS)
        self.boxes = nn.ModuleList(_head(w, c2, 4 * BINS) for w in widths)
        self.scores = nn.ModuleList(
            nn.Sequential(
                silu(w, w, 3, groups=w),
                silu(w, c3),
                silu(c3, c3, 3, groups=c3),
                silu(c3, c3),
                nn.Conv2d(c3, classes, 1),
            )
            for w in widths
        )
        self.coefficients = nn.ModuleList(_head(w, c4, MASKS) for w in widths)
        self.prototypes = nn.Sequential(
            silu(widths[0], c[256], 3),
            nn.ConvTranspose2d(c[256], c[256], 2, 2),
            silu(c[256], c[256], 3),
            silu(c[256], MASKS),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes (B, A, 4) in pixels, scores (B, A, classes), coefficients (B, A, 32), prototypes (B, 32, H/4, W/4)."""
        p3 = self.stem(x)
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.up4(torch.cat((F.interpolate(p5, scale_factor=2.0), p4), 1))
        n3 = self.up3(torch.cat((F.interpolate(n4, scale_factor=2.0), p3), 1))
        n4 = self.out4(torch.cat((self.down4(n3), n4), 1))
        n5 = self.out5(torch.cat((self.down5(n4), p5), 1))
        levels = (n3, n4, n5)
        scores = torch.cat([head(f).flatten(2) for head, f in zip(self.scores, levels, strict=True)], 2)
        masks = torch.cat([head(f).flatten(2) for head, f in zip(self.coefficients, levels, strict=True)], 2)
        boxes = torch.cat(
            [_boxes(head(f), x.shape[3] / f.shape[3]) for head, f in zip(self.boxes, levels, strict=True)], 1
        )
        return boxes, scores.transpose(1, 2).sigmoid(), masks.transpose(1, 2), self.prototypes(n3)


def _head(c: int, hidden: int, out: int) -> nn.Module:
    return nn.Sequential(silu(c, hidden, 3), silu(hidden, hidden, 3), nn.Conv2d(hidden, out, 1))


def _boxes(x: Tensor, stride: float) -> Tensor:
    """Distances to the four sides as distributions over bins (B, 4·16, h, w) -> x1, y1, x2, y2 (B, h·w, 4)."""
    b, _, h, w = x.shape
    bins = torch.arange(BINS, device=x.device, dtype=x.dtype)
    sides = (x.view(b, 4, BINS, h * w).softmax(2) * bins[:, None]).sum(2)  # (B, 4, h·w)
    grid = torch.stack(
        torch.meshgrid(torch.arange(w, device=x.device), torch.arange(h, device=x.device), indexing="xy")
    )
    centres = (grid.flatten(1) + 0.5).to(x.dtype)
    return (torch.cat((centres - sides[:, :2], centres + sides[:, 2:]), 1) * stride).transpose(1, 2)


class Residual(nn.Module):
    """The block of He et al.: two 3 × 3 convolutions, or with ``wide`` a bottleneck with four times the channels."""

    def __init__(self, c1: int, c2: int, wide: bool = False) -> None:
        super().__init__()
        relu, out = nn.ReLU(inplace=True), 4 * c2 if wide else c2
        plan = ((c1, c2, 1), (c2, c2, 3), (c2, out, 1)) if wide else ((c1, c2, 3), (c2, c2, 3))
        self.body = nn.Sequential(
            *(conv(*layer, act=relu if i < len(plan) - 1 else None) for i, layer in enumerate(plan))
        )
        self.short = conv(c1, out) if c1 != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.short(x))


class Exchange(nn.Module):
    """A module of HRNet: four blocks per branch, then each branch gets the sum of all; the last has one output."""

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(Residual(c, c) for _ in range(4))) for c in widths)
        self.fuse = nn.ModuleList(
            nn.ModuleList(self._way(widths, j, i) for j in range(len(widths))) for i in range(outputs)
        )

    @staticmethod
    def _way(widths: list[int], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source > target:
            scale = float(2 ** (source - target))
            return nn.Sequential(conv(widths[source], widths[target]), nn.Upsample(scale_factor=scale))
        steps = target - source
        downs = [conv(widths[source], widths[source], 3, 2, act=nn.ReLU(inplace=True)) for _ in range(steps - 1)]
        return nn.Sequential(*downs, conv(widths[source], widths[target], 3, 2))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        out = []
        for ways in self.fuse:
            assert isinstance(ways, nn.ModuleList)
            out.append(F.relu(torch.stack([way(x) for way, x in zip(ways, xs, strict=True)]).sum(0)))
        return out


class HRNet(nn.Module):
    """Crops (B, 3, 256, 192) -> heatmaps (B, 17, 64, 48).

    Args:
        width: channels of the finest branch; 32 in HRNet-W32.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        relu, c = nn.ReLU(inplace=True), [width * 2**i for i in range(4)]
        self.stem = nn.Sequential(
            conv(3, 64, 3, 2, act=relu), conv(64, 64, 3, 2, act=relu), Residual(64, 64, wide=True),
            *(Residual(256, 64, wide=True) for _ in range(3)),
        )  # fmt: skip
        self.first = nn.ModuleList([conv(256, c[0], 3, act=relu), conv(256, c[1], 3, 2, act=relu)])
        self.next = nn.ModuleList(conv(c[i], c[i + 1], 3, 2, act=relu) for i in (1, 2))
        outputs = ((2,), (3, 3, 3, 3), (4, 4, 1))
        self.stages = nn.ModuleList(nn.Sequential(*(Exchange(c[: some[0]], n) for n in some)) for some in outputs)
        self.last = nn.Conv2d(c[0], 17, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Heatmaps, a quarter of the crop's sides."""
        x = self.stem(x)
        xs = self.stages[0]([layer(x) for layer in self.first])
        for stage, layer in zip(self.stages[1:], self.next, strict=True):
            xs = stage([*xs, layer(xs[-1])])
        out: Tensor = self.last(xs[0])
        return out


class ViTBlock(nn.Module):
    """Attention and a feed-forward block, with a norm before each."""

    def __init__(self, c: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(c, 1e-6), nn.LayerNorm(c, 1e-6)
        self.qkv, self.proj = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.mlp = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViTPose(nn.Module):
    """Crops (B, 3, 256, 192) -> heatmaps (B, 17, 64, 48).

    Args:
        width, layers, heads: sizes of the transformer; 768, 12 and 12 in ViTPose-B.
    """

    def __init__(self, width: int = 768, layers: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16, 2)
        self.places = nn.Parameter(torch.zeros(1, 16 * 12, width))
        self.blocks = nn.Sequential(*(ViTBlock(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, 1e-6)
        self.last = nn.Conv2d(width, 17, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Heatmaps, a quarter of the crop's sides."""
        x = self.patches(x)
        b, c, h, w = x.shape
        x = self.norm(self.blocks(x.flatten(2).transpose(1, 2) + self.places))
        x = F.interpolate(x.transpose(1, 2).reshape(b, c, h, w), scale_factor=4.0, mode="bilinear", align_corners=False)
        out: Tensor = self.last(F.relu(x))
        return out
