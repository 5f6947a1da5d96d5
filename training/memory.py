"""What memory a training step needs, and a refusal with advice where there is less."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.errors import TrainingTooLarge
from gaitkeeper.training.free_memory import free_memory
from gaitkeeper.training.objective import Objective

GB = 1e9


@dataclass(frozen=True)
class Need:
    """Memory of a training step in bytes, beyond that of the process with its network.

    Attributes:
        optimiser: gradients and the optimiser's state.
        batch: the input tensors.
        network: what the forward pass keeps for the backward pass, and what that computes from it.
        losses: the same of the losses.
    """

    optimiser: int
    batch: int
    network: int
    losses: int

    @property
    def total(self) -> int:
        """The sum, in bytes."""
        return self.optimiser + self.batch + self.network + self.losses


def needed(config: TrainingConfig, net: GaitNetwork, *, half: bool, ranks: int = 1) -> Need:
    """Estimate the memory of a step of one process, from a forward pass of two and one of three sequences.

    Where possible, the tensors of these passes have shapes but no memory, so that they cost no time.

    Args:
        config: the configuration.
        net: its network, with a classifier if a loss needs one; on any device, unchanged.
        half: True if the forward pass runs in bfloat16.
        ranks: number of processes that share the batch.
    """
    table = config.batch
    sequences = table.people * table.takes // (ranks * config.run.accumulate)
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    states = 2 if config.optimiser.kind != "sgd" else 1 if config.optimiser.momentum else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            if half:  # autocast does not know tensors without memory
                raise NotImplementedError
            passes = _passes(net, table.frames, "meta")
        except (NotImplementedError, RuntimeError):  # nor do operations whose shapes depend on values
            with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
                passes = _passes(net, table.frames, "cpu")
        (two, _), (three, largest) = passes.kept
        losses = _of_losses(config, passes.widths, sequences * ranks)
    each = three - two
    return Need(
        optimiser=(1 + states) * weights,
        # Pictures are bytes first, then floats, which augmentations copy.
        batch=2 * passes.input_bytes * table.people * table.takes // ranks,
        network=max(0, two - 2 * each) + each * sequences + 2 * largest * sequences // 3,
        losses=losses,
    )


def free_on(device: torch.device) -> int | None:
    """Bytes that are free on a device; None if the system does not say."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free_memory()


def check_memory(config: TrainingConfig, net: GaitNetwork, device: torch.device, *, half: bool, ranks: int = 1) -> None:
    """Refuse a training that needs more memory than there is.

    Args:
        config: the configuration.
        net: its network.
        device: where it will be trained.
        half: True if the forward pass runs in bfloat16.
        ranks: number of processes that share the batch.

    Raises:
        TrainingTooLarge: a step needs more; the sentence says what to lower.
    """
    free = free_on(device)
    if free is None:
        return
    need = needed(config, net, half=half, ranks=ranks)
    if need.total > free:
        raise TrainingTooLarge(advice(config, need, free, half=half), needed_bytes=need.total, free_bytes=free)


def advice(config: TrainingConfig, need: Need, free: int, *, half: bool) -> str:
    """A sentence that says how much is missing, and which keys to lower."""
    shrinking = need.batch + need.network + need.losses
    fixed = need.total - shrinking
    keys = "batch.people, batch.takes or batch.frames"
    ways = [f"lower {keys}" if shrinking else "choose a smaller network"]
    people, passes = config.batch.people, config.run.accumulate
    for count in range(passes + 1, people // 2 + 1):
        if people % count == 0 and fixed + need.batch + (need.network + need.losses) * passes / count <= free:
            ways.append(f"set run.accumulate = {count} (passes of {people // count} people)")
            break
    if not half:
        ways.append('set run.precision = "bf16"')
    return (
        f"A step of {people} people × {config.batch.takes} takes × {config.batch.frames} frames needs some "
        f"{need.total / GB:.1f} GB, and {free / GB:.1f} GB are free. To make it fit, {', or '.join(ways)}; "
        "or go on with --anyway."
    )


@dataclass(frozen=True)
class _Passes:
    """Forward passes of two and of three sequences.

    Attributes:
        kept: of each, what :func:`_kept` says.
        input_bytes: of a sequence.
        widths: parts and width of the embeddings and of the logits, by branch.
    """

    kept: tuple[tuple[int, int], tuple[int, int]]
    input_bytes: int
    widths: tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]


def _passes(net: GaitNetwork, frames: int, device: str) -> _Passes:
    net = copy.deepcopy(net).to(device).train()  # a pass in training mode changes running statistics
    whole = tuple(torch.rand(3, frames, *shape, device=device) for shape in net.frame_shapes)
    condensed = net.condense(*whole)
    tensors = whole if condensed is None else (condensed,)
    weights = {_id_of(p) for p in net.parameters()}
    two, three = (_kept(partial(_flat, net, tuple(x[:n] for x in tensors)), weights) for n in (2, 3))
    with torch.no_grad():
        out = net.training_outputs(*(x[:2] for x in tensors))
    embeddings, logits = (
        {name: (x.shape[1], x.shape[2]) for name, x in branches.items()}
        for branches in (out.embeddings, out.logits or {})
    )
    return _Passes((two, three), sum(4 * x[0].numel() for x in tensors), (embeddings, logits))


def _id_of(tensor: Tensor) -> int:
    """What tensors that share memory have in common, also if they have none."""
    address: int = tensor.untyped_storage()._cdata
    return address


def _flat(net: GaitNetwork, tensors: tuple[Tensor, ...]) -> Tensor:
    out = net.training_outputs(*tensors)
    return torch.cat([x.flatten() for x in (*out.embeddings.values(), *(out.logits or {}).values())])


def _of_losses(
    config: TrainingConfig, widths: tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]], sequences: int
) -> int:
    """Of random outputs with one part instead of all: every part costs the same."""
    parts = max(count for branches in widths for count, _ in branches.values())
    embeddings, logits = (
        {name: torch.rand(sequences, 1, width, requires_grad=True) for name, (_, width) in branches.items()}
        for branches in widths
    )
    subjects = torch.arange(sequences) // config.batch.takes
    views = torch.arange(sequences) % 2
    objective = Objective(config.losses)
    kept, largest = _kept(lambda: objective(embeddings, logits, subjects, views)[0], set())
    return parts * (kept + 2 * largest)


def _kept(run: Callable[[], Tensor], without: set[int]) -> tuple[int, int]:
    """Bytes that autograd keeps of a computation for its backward pass, and the largest tensor's of them.

    Args:
        run: the computation; its result holds what is kept.
        without: storages that are not counted, by :func:`_id_of`.
    """
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if _id_of(tensor) not in without:
            seen[_id_of(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    sizes = list(seen.values())
    del result  # until here, so that no storage takes the place of another
    return sum(sizes), max(sizes, default=0)
