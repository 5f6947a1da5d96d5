"""Exact search measured against reading memory and against faiss: ``python -m bench.search``.

Embeddings are independent normal numbers, one template per subject: all distances are then similar, which is the
hardest case for bounds that rule templates out. The laps of compared tasks are interleaved and the median of each is
taken, so that ratios are stable even if other programs run for a while. ``--cpu-time`` counts processor seconds on one
thread instead, for shared machines.

The whole answer of a gallery is measured, too, with plain distances and with units.

``--growth`` measures 1 k to 1 M templates in float16 instead (about 13 GB of memory for the last, half of that with
``--dims 128``) and plots them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.answers import PLAIN, UNITS, answering
from bench.report import RESULTS, write
from gaitkeeper.gallery.search.codes import ELEMENTS, Codes, _exact_products
from gaitkeeper.gallery.search.partwise import PartwiseIndex

PARTS, DIMS = 16, 256
TOP_K = 10
BATCH = 64
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def embeddings(count: int, seed: int, dims: int = DIMS) -> Tensor:
    """Standard normal numbers, float32 (count, P, C)."""
    return torch.randn(count, PARTS, dims, generator=torch.Generator().manual_seed(seed))


def grow(index: PartwiseIndex, size: int) -> None:
    """Add templates, one per subject, up to that number."""
    while len(index) < size:
        start = len(index)
        some = embeddings(min(10_000, size - start), start + 1, index.shape[1])
        names = [f"s{start + i:07}" for i in range(len(some))]
        index.add(names, names, some)


def laps(
    tasks: dict[str, Callable[[], object]], count: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each task over interleaved laps, after an uncounted warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for lap in range(count + 1):
        for name, task in tasks.items():
            start = clock()
            task()
            if lap:
                taken[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def floor(index: PartwiseIndex) -> dict[str, Callable[[], object]]:
    """A task that reads all stored embeddings and their codes once."""
    # Summed as float32, whatever the type: this is torch's fastest way to read memory.
    stored = [block.values.view(-1).view(torch.float32) for block in index._blocks]
    codes = [block.codes.codes.view(-1).view(torch.float32) for block in index._blocks]
    return {
        "read_embeddings": lambda: [tensor.sum() for tensor in stored],
        "read_codes": lambda: [tensor.sum() for tensor in codes],
    }


def batch_floor(index: PartwiseIndex, probes: Tensor) -> dict[str, Callable[[], object]]:
    """The minimum work of a batch: every product of codes, and a square root of each, in the blocks of a search.

    The steps between them are not measured: turning products into distances, and adding these.
    """
    multiply, wanted = _exact_products("cpu"), Codes.empty(len(probes), PARTS, DIMS, probes.device)
    wanted.write(slice(None), probes)
    step = ELEMENTS["cpu"] // len(probes)
    dots, squares = torch.empty(len(probes), step, dtype=torch.int32), torch.rand(len(probes), step)

    def products() -> None:
        for number, block in enumerate(index._blocks):
            rows = min(index._size, len(index) - number * index._size)
            for start in range(0, rows, step):
                stop = min(rows, start + step)
                out = dots.view(-1)[: len(probes) * (stop - start)].view(len(probes), -1)
                for part in range(PARTS):
                    multiply(wanted.codes[part], block.codes.codes[part, start:stop], out)

    def roots() -> None:
        for _ in range(-(-PARTS * len(index) // step)):
            squares.sqrt_()

    return {"batch_products": products, "batch_roots": roots}


def compare(templates: int, count: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Single and batched search of float32 templates beside the lower bound and faiss's flat L2 index."""
    import faiss

    index = PartwiseIndex(PARTS, DIMS)
    grow(index, templates)
    flat = faiss.IndexFlatL2(PARTS * DIMS)
    for start in range(0, templates, 10_000):
        flat.add(embeddings(min(10_000, templates - start), start + 1).flatten(1).numpy())
    faiss.omp_set_num_threads(torch.get_num_threads())
    probes = embeddings(BATCH, 0)
    rows = probes.flatten(1).numpy()
    times = laps(
        {
            **floor(index),
            "single": lambda: index.search(probes[:1], TOP_K),
            "faiss": lambda: flat.search(rows[:1], TOP_K),
            "batch": lambda: index.search(probes, TOP_K),
            **batch_floor(index, probes),
        },
        count,
        clock,
    )
    return {
        "templates": templates,
        "seconds": times,
        "single_over_floor": times["single"] / times["read_embeddings"],
        "single_over_faiss": times["single"] / times["faiss"],
        "batch_speedup": BATCH * times["single"] / times["batch"],
        "batch_speedup_of_its_floor": BATCH * times["single"] / (times["batch_products"] + times["batch_roots"]),
        "targets": {"single_over_floor": 3.0, "single_over_faiss": 1.1, "batch_speedup": 10.0},
    }


def units(templates: int, count: int, clock: Callable[[], float]) -> dict[str, Any]:
    """The time of a gallery's answer in units, relative to plain distances."""
    with answering(templates, BATCH, TOP_K, embeddings) as tasks:
        assert tasks[f"one, {UNITS}"]()[0].threshold.basis == "collection"
        times = laps(dict(tasks), count, clock)
    kinds = dict.fromkeys(name.rpartition(", ")[0] for name in times)
    return {
        "seconds": times,
        "units_over_plain": {kind: times[f"{kind}, {UNITS}"] / times[f"{kind}, {PLAIN}"] for kind in kinds},
        "target": 1.2,
    }


def growth(sizes: list[int], dims: int, count: int, clock: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Seconds of one probe and of a batch at each size, in float16, with one growing index."""
    index = PartwiseIndex(PARTS, dims, precision="float16")
    probes = embeddings(BATCH, 0, dims)
    for size in sizes:
        began = time.perf_counter()
        grow(index, size)
        added = time.perf_counter() - began
        tasks = {**floor(index), "single": lambda: index.search(probes[:1], TOP_K)}
        tasks["batch"] = lambda: index.search(probes, TOP_K)
        times = laps(tasks, count if size < 300_000 else max(2, count // 3), clock)
        yield {"templates": size, "adding": added, **times}


def plot(table: list[dict[str, float]], dims: int, unit: str, path: Path) -> None:
    """Plot the results of :func:`growth`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    sizes = [row["templates"] for row in table]
    for name, label in (
        ("single", "one probe"),
        ("batch", f"{BATCH} probes"),
        ("read_embeddings", "reading the embeddings once"),
    ):
        axes.loglog(sizes, [1e3 * row[name] for row in table], "o-", label=label)
    axes.set(xlabel=f"templates, {PARTS} × {dims}, float16", ylabel=unit)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Measure, print, and write ``bench/results/search.json`` or ``search-growth.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--laps", type=int, default=9)
    parser.add_argument("--growth", action="store_true", help="measure how search grows with the gallery")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="largest gallery of --growth")
    parser.add_argument("--dims", type=int, default=DIMS, help="numbers in a part, for --growth")
    parser.add_argument("--plot", type=Path, default=RESULTS / "search-growth.png")
    parser.add_argument("--cpu-time", action="store_true", help="count the processor's seconds, on one thread")
    args = parser.parse_args()
    if args.cpu_time:
        args.threads = 1
    clock = time.thread_time if args.cpu_time else time.perf_counter
    torch.set_num_threads(args.threads)
    if args.growth:
        sizes = sorted({size for size in SIZES if size < args.largest} | {args.largest})
        unit = "processor's milliseconds, one thread" if args.cpu_time else f"milliseconds, {args.threads} thread(s)"
        table = []
        for row in growth(sizes, args.dims, args.laps, clock):
            table.append(row)
            print("  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
            plot(table, args.dims, unit, args.plot)  # after every size, because the last ones take long
        write("search-growth", {"threads": args.threads, "parts": PARTS, "dims": args.dims, "growth": table})
        return
    figures = compare(args.templates, args.laps, clock)
    for name, value in figures["seconds"].items():
        print(f"{name:16} {1e3 * value:8.1f} ms")
    for name, bar in figures["targets"].items():
        print(f"{name:18} {figures[name]:6.2f}  (bar: {bar:g})")
    print(f"a batch that took no more than its products and roots: {figures['batch_speedup_of_its_floor']:.2f}")
    answers = units(args.templates, args.laps, clock)
    for name, value in answers["seconds"].items():
        print(f"identify {name:30} {1e3 * value:8.1f} ms")
    for name, value in answers["units_over_plain"].items():
        print(f"in units over plain, {name:18} {value:6.2f}  (bar: {answers['target']:g})")
    write("search", {"threads": args.threads, **figures, "answers": answers})


if __name__ == "__main__":
    main()
