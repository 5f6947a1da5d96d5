"""Speed of the networks against straightforward implementations: ``python -m bench.networks``.

The plain networks are those of ``bench.plain``, eager, float32. Ours are those of ``models``, with the same weights,
imported like a published checkpoint. T = 30 frames, 2 threads, batches of 1 and 8, float32 and bfloat16. Every lap runs
all variants one after the other in rotating order, and only times of the same lap are compared: a figure is the median
of the ratios of the laps, which other load on the machine hardly changes. ``--quick`` takes fewer laps, batches of 1
only, and a smaller training step. ``--cpu-time`` counts the processor time of one thread, for shared machines.
``--compile`` adds ours with ``torch.compile``, float32; it needs a C++ compiler, and takes minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from bench import plain
from bench.report import write
from gaitkeeper import models
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.distance import part_distances
from gaitkeeper.models.importers import import_checkpoint
from gaitkeeper.models.inference import Precision, bf16_in_hardware, embed
from gaitkeeper.training.losses import batch_all_triplet

THREADS, FRAMES = 2, 30
NETWORKS = ("gaitset", "gaitpart", "gaitgl", "gaitbase")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
Clock = Callable[[], float]
TARGET = 3.0  # required speed-up in the default mode
TRAINING_TARGET = 2.0
PUBLIC_MS = {
    "gaitset": {1: 63, 8: 530},
    "gaitpart": {1: 54, 8: 570},
    "gaitgl": {1: 200, 8: 890},
    "gaitbase": {1: 260, 8: 3000},
}
"""Milliseconds of public implementations, by batch size, on a quiet machine of this kind."""


def walkers(n: int, frames: int, seed: int = 0) -> Tensor:
    """Silhouettes (N, T, 1, 64, 44), 0 or 1: a head, a trunk and two swinging legs, with individual proportions."""
    generator = torch.Generator().manual_seed(seed)
    width, stride, phase, rate = torch.rand(4, n, 1, 1, 1, generator=generator)
    y, x = torch.arange(64.0)[:, None], torch.arange(44.0) - 21.5
    swing = torch.sin(phase * 6.3 + (0.18 + 0.06 * rate) * torch.arange(frames)[:, None, None])  # (N, T, 1, 1)
    head = (y - 6) ** 2 + x**2 < 30
    trunk = (y > 11) & (y < 34) & (x.abs() < 5 + 4 * width)
    reach = (5 + 5 * stride) * swing * (y - 33).clamp(min=0) / 30
    legs = (y >= 33) & (((x - reach).abs() < 3 + width) | ((x + reach).abs() < 3 + width))
    return (head | trunk | legs).float()[:, :, None]


def same_network(name: str, folder: Path) -> tuple[nn.Module, GaitNetwork]:
    """The plain network and ours, with the same random weights, in eval mode."""
    theirs = plain.make(name)
    torch.save(theirs.state_dict(), folder / "in.pt")
    import_checkpoint(name, "opengait", folder / "in.pt", folder / "out.safetensors")
    return theirs, models.load(folder / "out.safetensors")


def without_gradients(net: nn.Module, x: Tensor) -> Tensor:
    """The plain forward."""
    with torch.inference_mode():
        out: Tensor = net(x)
        return out


def race(
    variants: Mapping[str, Callable[[], object]], laps: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each variant in each lap, after a warm-up; the order rotates by one from lap to lap."""
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for lap in range(-1, laps):
        turn = lap % len(names)
        for name in names[turn:] + names[:turn]:
            start = clock()
            variants[name]()
            if lap >= 0:
                seconds[name].append(clock() - start)
    return seconds


def times_faster(seconds: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the laps of the seconds of ``slow`` over those of ``fast``."""
    return median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The largest ‖found − exact‖ / ‖exact‖ of a sequence's whole embedding."""
    return float(((found - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)).max())


def inference(
    name: str, folder: Path, batches: Sequence[int], laps: int, clock: Clock, compiles: bool = False
) -> list[dict[str, Any]]:
    """Figures of one network, a row per batch size."""
    theirs, ours = same_network(name, folder)
    rows = []
    for batch in batches:
        x = walkers(batch, FRAMES)
        variants: dict[str, Callable[[], Tensor]] = {
            "plain": partial(without_gradients, theirs, x),
            "fp32": partial(embed, ours, (x,), precision="fp32"),
            "bf16": partial(embed, ours, (x,), precision="bf16"),
        }
        began = time.perf_counter()
        if compiles:
            variants["compiled"] = partial(without_gradients, cast(nn.Module, torch.compile(ours, dynamic=False)), x)
            variants["compiled"]()
        compiling = time.perf_counter() - began
        exact, fp32, bf16, *others = (variant() for variant in variants.values())
        if max(relative_error(found, exact) for found in (fp32, *others)) > 1e-4:
            raise SystemExit(f"{name}: the two networks do not agree, so that their times mean nothing.")
        seconds = race(variants, laps, clock)
        rows.append(
            {
                "network": name,
                "batch": batch,
                "ms": {variant: 1000 * median(values) for variant, values in seconds.items()},
                **{f"{fast}_times_faster": times_faster(seconds, "plain", fast) for fast in list(variants)[1:]},
                "compile_s": compiling if compiles else None,
                "bf16_relative_error": relative_error(bf16, exact),
                "fp32_relative_error": relative_error(fp32, exact),
                "public_ms": PUBLIC_MS[name].get(batch),
            }
        )
    return rows


def training_step(people: int, takes: int, folder: Path, laps: int, clock: Clock) -> dict[str, Any]:
    """One step of GaitPart (forward, batch-all triplet, backward, Adam), plain, ours, and ours in bfloat16."""
    theirs, ours = same_network("gaitpart", folder)
    x, subjects = walkers(people * takes, FRAMES), torch.arange(people).repeat_interleave(takes)

    def step(net: nn.Module, half: bool = False) -> Callable[[], None]:
        net.train()
        optimizer = torch.optim.Adam(net.parameters(), 1e-4)

        def run() -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                embeddings = net(x)
            batch_all_triplet(embeddings.float(), subjects).backward()
            optimizer.step()

        return run

    _, another = same_network("gaitpart", folder)
    seconds = race({"plain": step(theirs), "fp32": step(ours), "bf16": step(another, half=True)}, laps, clock)
    return {
        "network": "gaitpart",
        "people": people,
        "takes": takes,
        "ms": {variant: 1000 * median(values) for variant, values in seconds.items()},
        "fp32_times_faster": times_faster(seconds, "plain", "fp32"),
        "bf16_times_faster": times_faster(seconds, "plain", "bf16"),
        "target": TRAINING_TARGET,
    }


def gstsn_over_gaitset(batches: Sequence[int], laps: int, clock: Clock) -> list[dict[str, Any]]:
    """GSTSN's time as a share of GaitSet's, both of ``models``, in the default precision."""
    nets = {name: models.build(name, seed=0) for name in ("gstsn", "gaitset")}
    rows = []
    for batch in batches:
        x = walkers(batch, FRAMES)
        seconds = race({name: partial(embed, net, (x,)) for name, net in nets.items()}, laps, clock)
        rows.append({"batch": batch, "ratio": times_faster(seconds, "gstsn", "gaitset")})
    return rows


def distance_errors(people: int) -> dict[str, float]:
    """The largest relative change of a distance between two walkers in half precision, with the shipped GaitPart."""
    net, x = models.load("gaitpart"), walkers(people, FRAMES)
    embeddings = {precision: embed(net, (x,), precision=precision) for precision in PRECISIONS}
    exact, *halves = (part_distances(e, e) for e in embeddings.values())
    others = ~torch.eye(people, dtype=torch.bool)
    return {
        precision: float(((found - exact).abs() / exact.clamp(min=1e-9))[others].max())
        for precision, found in zip(PRECISIONS[1:], halves, strict=True)
    }


def show(figures: dict[str, Any]) -> None:
    """Print the figures as tables."""
    variants = list(figures["inference"][0]["ms"])
    table = Table("network", "N", *variants, *(f"{variant} ×" for variant in variants[1:]), "error", "public")
    for row in figures["inference"]:
        table.add_row(
            *(str(row[key]) for key in ("network", "batch")),
            *(f"{row['ms'][variant]:.0f}" for variant in variants),
            *(f"{row[f'{variant}_times_faster']:.2f}" for variant in variants[1:]),
            f"{row['bf16_relative_error']:.2%}",
            str(row["public_ms"] or ""),
        )
    console = Console()
    console.print("Milliseconds of a batch of N, times faster than plain, and the relative error of bf16 embeddings:")
    console.print(table)
    step = figures["training_step"]
    ms = ", ".join(f"{variant} {value:.0f} ms" for variant, value in step["ms"].items())
    console.print(
        f"GaitPart, a training step of {step['people']} × {step['takes']} sequences: {ms}; "
        f"fp32 {step['fp32_times_faster']:.2f} and bf16 {step['bf16_times_faster']:.2f} times faster"
    )
    for row in figures["gstsn_over_gaitset"]:
        console.print(f"GSTSN takes {row['ratio']:.2f} of GaitSet's time, batch {row['batch']}")
    errors = ", ".join(f"{precision} {error:.2%}" for precision, error in figures["distance_errors"].items())
    console.print(f"Half precision moves distances between walkers, under the shipped GaitPart, by up to {errors}")
    console.print(f"default precision here: {figures['default_precision']}")


def main() -> None:
    """Measure, print, write ``bench/results/networks.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 laps, batches of 1, a training step of 2 × 2")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--laps", type=int, help="11 by default, 3 if quick")
    parser.add_argument("--compile", action="store_true", help="also by torch.compile")
    parser.add_argument("--cpu-time", action="store_true", help="processor's time of one thread")
    args = parser.parse_args()
    threads, clock = (1, time.process_time) if args.cpu_time else (THREADS, time.perf_counter)
    torch.set_num_threads(threads)
    laps, size, batches = (3, 2, (1,)) if args.quick else (11, 4, (1, 8))
    laps = args.laps or laps
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            row
            for network in track(args.networks, "networks", console=Console(stderr=True), transient=True)
            for row in inference(network, folder, batches, laps, clock, args.compile)
        ]
        figures = {
            "quick": args.quick,
            "threads": threads,
            "cpu_time": args.cpu_time,
            "frames": FRAMES,
            "laps": laps,
            "default_precision": "bf16" if bf16_in_hardware(torch.device("cpu")) else "fp32",
            "target": TARGET,
            "inference": rows,
            "distance_errors": distance_errors(8 if args.quick else 24),
            "training_step": training_step(size, size, folder, laps, clock),
            "gstsn_over_gaitset": gstsn_over_gaitset(batches, laps, clock),
        }
    show(figures)
    write("networks", figures)


if __name__ == "__main__":
    main()
