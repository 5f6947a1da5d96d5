"""Frames and sequences per second on one GPU, each stage beside its lower bound: ``python -m bench.gpu``.

Decoded 1080p frames lie in pinned memory, with one person in each. Each frame is copied to the device, processed by the
detector (boxes and a mask), tracked, cropped, and processed by the pose network (heatmaps). Each clip of 300 frames is
then embedded and searched for. Detector and pose networks have the real architectures with random weights
(``bench.gpu_nets``). The lower bound (floor) of a stage is the time of its arithmetic at the rate of a large matrix
product in the same precision, or of its bytes at the rate of a large copy, both measured in the same run.

Without a GPU, ``--small`` runs the same code on small networks and pictures, which only shows that it runs. Besides
torch and this repository it needs numpy, rich, httpx and safetensors. If the tracker's package is not installed,
tracking is left out, and the output says so. Decoding (NVDEC) and onnxruntime-gpu are not part of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.gpu_chain import Chain, choose, graphed, seconds
from bench.gpu_nets import HRNet, ViTPose, Yolo11Seg, fold
from bench.gpu_sustained import CLIP, NOT_MEASURED, inputs_of, sustained
from bench.report import write
from gaitkeeper import models
from gaitkeeper.gallery.search.partwise import PartwiseIndex
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.models.inference import Precision, embed

NETWORKS = ("gaitpart", "gaitbase", "gaitheat")
TARGETS = {"frames": 1500, "gaitpart": 2000, "gaitbase": 1000, "gaitheat": 200}
MODES: tuple[tuple[str, Precision, bool], ...] = (
    ("fp32", "fp32", False), ("tf32", "fp32", True), ("fp16", "fp16", True), ("bf16", "bf16", True)
)  # fmt: skip


def rates(device: torch.device, dtype: torch.dtype, small: bool) -> dict[str, float]:
    """Operations per second of a matrix product; bytes per second of copies on the device and from pinned memory."""
    n, size = (256, 2**22) if small else (8192, 2**31)
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    host = torch.zeros(size // 4, dtype=torch.uint8, pin_memory=device.type == "cuda")
    return {
        "flops": 2 * n**3 / seconds(lambda: a @ b, 10, device),
        "copy_bytes": 2 * size / seconds(lambda: target.copy_(source), 10, device),
        "upload_bytes": len(host) / seconds(lambda: target[: len(host)].copy_(host, non_blocking=True), 10, device),
    }


def flops_of(net: nn.Module, *tensors: Tensor) -> float:
    """Operations of one forward pass; a multiply-add counts as two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(*tensors)
    return float(counter.get_total_flops())


def stages(chain: Chain, host: Tensor, rate: dict[str, float], laps: int) -> list[dict[str, Any]]:
    """Milliseconds per frame of each stage alone, and its lower bound."""
    device, batch = chain.device, len(chain.pictures)
    full, small = chain.shrink()
    boxes, scores, coefficients, prototypes = chain.detect(small)
    which = torch.zeros(batch, dtype=torch.int64, device=device)
    crops = chain.crops(full)
    pixel = chain.dtype.itemsize

    def nbytes(*tensors: Tensor) -> float:
        return sum(t.numel() * t.element_size() for t in tensors) / rate["copy_bytes"]

    tasks: dict[str, tuple[Callable[[], Any], float, str]] = {
        "upload": (
            lambda: chain.pictures.copy_(host, non_blocking=True),
            host.numel() / rate["upload_bytes"],
            "bytes from the host",
        ),
        "shrink": (chain.shrink, (1 + pixel) * host.numel() / rate["copy_bytes"], "bytes"),
        "detect": (
            partial(chain.detect, small),
            flops_of(chain.detector, small[:1]) * batch / rate["flops"],
            "operations",
        ),
        "choose": (partial(choose, boxes, scores[..., 0]), nbytes(boxes, scores[..., 0]), "bytes"),
        "mask": (partial(chain.silhouettes, coefficients, prototypes, which), nbytes(prototypes), "bytes"),
        "crop": (partial(chain.crops, full), 2 * nbytes(crops), "bytes"),
        "heatmaps": (
            partial(chain.heatmaps, crops),
            flops_of(chain.pose, crops[:1]) * batch / rate["flops"],
            "operations",
        ),
        "all but upload": (chain, 0.0, ""),
    }
    rows = []
    for name, (task, floor, of) in tasks.items():
        run = task if name == "upload" else graphed(task, device)
        took = seconds(run, laps, device)
        row = {"stage": name, "ms_per_frame": 1000 * took / batch, "floor_of": of or None}
        row["floor_ms_per_frame"] = 1000 * floor / batch if floor else None
        rows.append({**row, "times_floor": took / floor if floor else None})
    return rows


def gait(name: str, batch: int, frames: int, device: torch.device, laps: int, compiles: bool) -> list[dict[str, Any]]:
    """Sequences per second of a gait network by mode, and the deviation of distances from float32."""
    net = models.build(name, seed=0).eval().to(device)
    walkers = moving(batch, frames, name == "gaitheat", device)
    x = inputs_of(walkers, net.inputs[0])
    rows: list[dict[str, Any]] = []
    exact: Tensor | None = None
    for mode, precision, tf32 in MODES if device.type == "cuda" else MODES[:1] + MODES[3:]:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        found = embed(net, (x,), precision=precision)
        distances = part_distances(found, found)
        exact = distances if exact is None else exact
        others = ~torch.eye(batch, dtype=torch.bool, device=device)
        error = float(((distances - exact).abs() / exact.clamp(min=1e-9))[others].max())
        eager = partial(embed, net, (x,), precision=precision)
        ways: dict[str, Callable[[], Any]] = {"eager": eager}
        if device.type == "cuda":
            ways["graph"] = graphed(eager, device)
        if compiles and mode == "fp16":
            compiled = cast(GaitNetwork, torch.compile(net, dynamic=False))
            ways["compile"] = partial(embed, compiled, (x,), precision=precision)
        for way, task in ways.items():
            took = seconds(task, laps, device)
            about = {"network": name, "mode": mode, "way": way, "batch": batch, "frames": frames}
            rows.append({**about, "sequences_per_s": batch / took, "distance_error": error})
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    return rows


def moving(batch: int, frames: int, heatmaps: bool, device: torch.device) -> Tensor:
    """Walkers with individual proportions: silhouettes uint8 (N, T, 64, 64), or heatmaps uint8 (N, T, 17, 64, 48)."""
    generator = torch.Generator().manual_seed(0)
    phase, wide, rate = torch.rand(3, batch, 1, 1, 1, generator=generator)
    swing = torch.sin(6.3 * phase + (0.15 + 0.1 * rate) * torch.arange(frames)[:, None, None])
    y, x = torch.arange(64.0)[:, None], torch.arange(64.0) - 31.5
    if not heatmaps:
        reach = (4 + 6 * wide) * swing * (y - 33).clamp(min=0) / 30
        shape = ((y < 34) & (x.abs() < 4 + 5 * wide)) | ((x - reach).abs() < 3) | ((x + reach).abs() < 3)
        return (shape.to(torch.uint8) * 255).to(device)
    joint = torch.arange(17.0)[:, None, None]
    column = 24 + (2 + 6 * wide[..., None]) * swing[..., None] * torch.cos(joint)
    spread = (torch.arange(48.0) - column) ** 2 + (y - 3.5 * joint - 3) ** 2
    return (255 * torch.exp(-spread / 8)).to(torch.uint8).to(device)


def searches(count: int, device: torch.device, laps: int) -> tuple[PartwiseIndex, dict[str, Any]]:
    """A gallery of that many templates on the device, and the time of a search relative to reading its codes once."""
    index, dims = PartwiseIndex(16, 128, device), 128
    for start in range(0, count, 10_000):
        some = torch.randn(min(10_000, count - start), 16, dims, generator=torch.Generator().manual_seed(start))
        names = [f"s{start + i}" for i in range(len(some))]
        index.add(names, names, some)
    probe = torch.randn(1, 16, dims).to(device)
    took = seconds(lambda: index.search(probe, 5), laps, device)
    return index, {"templates": count, "dims": dims, "ms": 1000 * took, "bytes": count * 16 * dims}


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    console = Console(width=120)
    table = Table(
        "stage", "ms a frame", "floor", "of", "× floor", title=f"{figures['device']}, batch {figures['batch']}"
    )
    for pose, rows in figures["stages"].items():
        for row in rows:
            floor, times = row["floor_ms_per_frame"], row["times_floor"]
            table.add_row(
                f"{row['stage']} ({pose})" if row["stage"] in ("heatmaps", "all but upload") else row["stage"],
                f"{row['ms_per_frame']:.4f}",
                f"{floor:.4f}" if floor else "",
                row["floor_of"] or "",
                f"{times:.1f}" if times else "",
            )
    console.print(table)
    table = Table("network", "mode", "way", "sequences/s", "distance error")
    for row in figures["networks"]:
        table.add_row(
            row["network"], row["mode"], row["way"], f"{row['sequences_per_s']:.0f}", f"{row['distance_error']:.2%}"
        )
    console.print(table)
    for pose, run in figures["sustained"].items():
        console.print(
            f"sustained with {pose}: {run['frames_per_s']:.0f} frames/s, {run['clips_per_s']:.2f} clips of ten seconds "
            f"a second; tracking {run['tracking']}"
        )
    console.print(figures["claims"])


def claims(figures: dict[str, Any]) -> dict[str, Any]:
    """Each target with its measurement, for the fastest mode whose distances stay within 1 % of float32."""
    measured = figures["measured"]
    fastest = max(run["frames_per_s"] for run in figures["sustained"].values())
    out = {"frames": {"target": TARGETS["frames"], "measured": fastest if measured else NOT_MEASURED}}
    for name in NETWORKS:
        good = [r for r in figures["networks"] if r["network"] == name and r["distance_error"] <= 0.01]
        best = max((r["sequences_per_s"] for r in good), default=0.0)
        out[name] = {"target": TARGETS[name], "measured": best if measured else NOT_MEASURED}
    return {**out, "nvdec": NOT_MEASURED, "onnxruntime-gpu": NOT_MEASURED}


def main() -> None:
    """Measure, print, write ``bench/results/gpu.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="small networks and pictures, to see that it runs")
    parser.add_argument("--detector", choices="nsm", default="m", help="scale of YOLO11-seg")
    parser.add_argument("--batch", type=int, default=60, help="frames")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the sustained run")
    parser.add_argument(
        "--compile", action="store_true", help="gait networks also by torch.compile, which takes minutes"
    )
    parser.add_argument("--templates", type=int, default=100_000)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not args.small:
        raise SystemExit(
            f"torch sees no GPU here, so nothing is measured ({NOT_MEASURED}); --small shows that it runs."
        )
    small, dtype = args.small, torch.float16 if device.type == "cuda" else torch.float32
    size, inner, batch, laps = ((180, 320), (96, 160), 2, 1) if small else ((1080, 1920), (384, 640), args.batch, 20)
    torch.backends.cudnn.benchmark = True
    rate = rates(device, dtype, small)
    sources = [torch.randint(0, 256, (batch, *size, 3), dtype=torch.uint8) for _ in range(2 if small else 8)]
    sources = [source.pin_memory() for source in sources] if device.type == "cuda" else sources
    poses: dict[str, Callable[[], nn.Module]] = {
        "hrnet-w32": partial(HRNet, 8 if small else 32),
        "vitpose-b": partial(ViTPose, *((48, 2, 3) if small else ())),
    }
    index, search = searches(1000 if small else args.templates, device, laps)
    network = models.build("gaitpart", seed=0, embed_dim=128).eval().to(device)
    figures: dict[str, Any] = {
        "measured": device.type == "cuda" and not small,
        "small": small,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "no GPU",
        "torch": torch.__version__,
        "precision": str(dtype).removeprefix("torch."),
        "batch": batch,
        "picture": size,
        "detector": f"yolo11{'n' if small else args.detector}-seg",
        "rates": rate,
        "search": {**search, "floor_ms": 1000 * search["bytes"] / rate["copy_bytes"]},
        "stages": {},
        "sustained": {},
    }
    with torch.inference_mode():
        for name, make in poses.items():
            detector, pose = fold(Yolo11Seg("n" if small else args.detector)), fold(make())
            for net in (detector, pose):
                net.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
            chains = [Chain(detector, pose, batch, size, inner) for _ in range(2)]
            figures["stages"][name] = stages(chains[0], sources[0], rate, laps)
            length = 0.5 if small else args.seconds
            figures["sustained"][name] = sustained(
                chains, sources, network, index, length, 3 * batch if small else CLIP
            )
    shape = (2, 3) if small else (64, 30)
    figures["networks"] = [row for name in NETWORKS for row in gait(name, *shape, device, laps, args.compile)]
    figures["claims"] = claims(figures)
    show(figures)
    write("gpu-small" if small else "gpu", figures)


if __name__ == "__main__":
    main()
