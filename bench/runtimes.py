"""Other CPU runtimes for the networks, beside the default one: ``python -m bench.runtimes``.

Each is compared with the plain network of ``bench.plain`` in the same laps, as in :mod:`bench.networks`:

* ``compiled``: ``torch.compile`` with frozen weights; needs a C++ compiler, and minutes at the first call.
* ``onnxruntime``: the exported ONNX file on onnxruntime's CPU provider.
* ``int8``: the same file with convolutions in eight bits, with a scale per channel of weights, and a scale per tensor
of
  features, calibrated on other walkers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.networks import (
    FRAMES,
    NETWORKS,
    race,
    relative_error,
    same_network,
    times_faster,
    walkers,
    without_gradients,
)
from bench.report import write
from gaitkeeper.models.export import export_onnx
from gaitkeeper.models.inference import embed

SEEN = 4  # walkers for the scales of features


class Walkers(CalibrationDataReader):  # type: ignore[misc]
    """Walkers other than the measured ones."""

    def __init__(self) -> None:
        self.left: Iterator[Tensor] = iter(walkers(SEEN, FRAMES, seed=1).split(1))

    def get_next(self) -> dict[str, Any] | None:
        """The next one, as ONNX inputs."""
        x = next(self.left, None)
        return None if x is None else feed(x)


def feed(x: Tensor) -> dict[str, Any]:
    """Silhouettes of equal lengths as inputs of an exported network."""
    return {"silhouettes": x.numpy(), "lengths": torch.full((len(x),), x.shape[1]).numpy()}


def session(path: Path, threads: int) -> Callable[[Tensor], Tensor]:
    """An exported network as a function."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    opened = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(opened.run(None, feed(x))[0])


def eight_bits(exact: Path) -> Path:
    """Write the exported network with its convolutions in eight bits."""
    ready, path = exact.with_name("ready.onnx"), exact.with_name("int8.onnx")
    quant_pre_process(str(exact), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready),
        str(path),
        Walkers(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return path


def measure(
    name: str, ways: list[str], folder: Path, threads: int, batches: list[int], laps: int
) -> list[dict[str, Any]]:
    """Figures of one network, a row per batch size."""
    theirs, ours = same_network(name, folder)
    run: dict[str, Callable[[Tensor], Tensor]] = {
        "plain": partial(without_gradients, theirs),
        "ours": lambda x: embed(ours, (x,), precision="fp32"),
    }
    if "compiled" in ways:
        torch._inductor.config.freezing = True
        compiled = torch.compile(ours, dynamic=False)
        assert isinstance(compiled, torch.nn.Module)
        run["compiled"] = partial(without_gradients, compiled)
    if {"onnxruntime", "int8"} & set(ways):
        export_onnx(ours, folder / "net.onnx")
        if "onnxruntime" in ways:
            run["onnxruntime"] = session(folder / "net.onnx", threads)
        if "int8" in ways:
            run["int8"] = session(eight_bits(folder / "net.onnx"), threads)
    rows = []
    for batch in batches:
        x = walkers(batch, FRAMES)
        exact = run["plain"](x)
        errors = {way: relative_error(function(x), exact) for way, function in run.items()}
        seconds = race({way: partial(function, x) for way, function in run.items()}, laps)
        rows.append(
            {
                "network": name,
                "batch": batch,
                "ms": {way: 1000 * median(values) for way, values in seconds.items()},
                "times_faster": {way: times_faster(seconds, "plain", way) for way in run},
                "relative_error": errors,
            }
        )
    return rows


def main() -> None:
    """Measure, print, write ``bench/results/runtimes.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    known = ("compiled", "onnxruntime", "int8")
    parser.add_argument("--ways", nargs="+", choices=known, default=known)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--laps", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    for network in args.networks:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(network, args.ways, Path(folder), args.threads, args.batches, args.laps)
    table = Table("network", "N", *("ours", *args.ways), title="times faster than plain fp32 (relative error)")
    for row in rows:
        cells = (f"{row['times_faster'][way]:.2f} ({row['relative_error'][way]:.1%})" for way in ("ours", *args.ways))
        table.add_row(row["network"], str(row["batch"]), *cells)
    Console().print(table)
    write("runtimes", {"threads": args.threads, "frames": FRAMES, "laps": args.laps, "rows": rows})


if __name__ == "__main__":
    main()
