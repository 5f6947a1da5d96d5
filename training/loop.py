"""The complete training loop: one process or many, from the first step or from a checkpoint.

All random choices of a step (walks, frames, augmentations, dropout) are functions of the seed, the step and the
process. So a checkpoint consists of the weights, the optimiser state and the step number. A training that was killed
resumes from its last checkpoint; on a CPU the result is identical bit for bit.

Several processes: ``torchrun --nproc-per-node 8 -m gaitkeeper train CONFIG``. The people of a batch are divided among
the processes, and the embeddings are gathered, so that the losses see the whole batch as in one process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.models.checkpoint import tuples
from gaitkeeper.models.inference import bf16_in_hardware
from gaitkeeper.training.batches import Batch, Batches, training_walks
from gaitkeeper.training.checkpoints import STATE, WEIGHTS, newest_checkpoint, newest_step, open_run, save_checkpoint
from gaitkeeper.training.claims import claim
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.datasets import Dataset
from gaitkeeper.training.errors import BadTrainingConfig, TrainingDiverged
from gaitkeeper.training.log import Log
from gaitkeeper.training.memory import check_memory
from gaitkeeper.training.objective import Objective
from gaitkeeper.training.optimise import make_optimiser, set_step


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        weights: file for ``models.load``.
        step: number of steps, including those before a resume.
        loss: loss of the last step; None if no step was left.
        seconds: duration of this run.
    """

    weights: Path
    step: int
    loss: float | None
    seconds: float


class Trainable(nn.Module):
    """Wraps a network: its training outputs become two plain dicts, which distributed wrappers can pass through."""

    def __init__(self, net: GaitNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, *tensors: Tensor, lengths: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Embeddings and logits by branch."""
        out = self.net.training_outputs(*tensors, lengths=lengths)
        return out.embeddings, out.logits or {}


def train(
    config: TrainingConfig,
    run: Path,
    *,
    fresh: bool = False,
    anyway: bool = False,
    walks: Dataset | None = None,
    on_step: Callable[[int], None] | None = None,
) -> TrainingResult:
    """Train, or resume from the last checkpoint in ``run``.

    Args:
        config: the configuration.
        run: folder for checkpoints, TensorBoard events and ``log.jsonl``; created if missing.
        fresh: delete the contents of ``run`` instead of resuming.
        anyway: train even if a step seems to need more memory than is free.
        walks: data to train on instead of the configuration's.
        on_step: called with the number of finished steps, after each.

    Raises:
        BadTrainingConfig: the configuration does not fit the network, the data, the machine, or the checkpoints.
        BadDataset: the walks cannot be read.
        TrainingDiverged: a loss or a gradient became infinite or NaN.
        TrainingRunning: another process trains in ``run``.
        TrainingTooLarge: a step needs more memory than is free, and ``anyway`` is False.
    """
    first_process = int(os.environ.get("RANK", 0)) == 0
    with claim(run) if first_process else nullcontext():
        return _train(config, run, fresh, anyway, training_walks(config) if walks is None else walks, on_step)


def _train(
    config: TrainingConfig,
    run: Path,
    fresh: bool,
    anyway: bool,
    walks: Dataset,
    on_step: Callable[[int], None] | None,
) -> TrainingResult:
    began = time.monotonic()
    fabric = make_fabric(config)
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    net = make_network(config, len(walks.subjects))
    if not anyway and (fresh or newest_step(run) < config.steps):
        check_memory(config, net, fabric.device, half=runs_in_half(config, fabric.device), ranks=fabric.world_size)
    if fabric.is_global_zero:
        open_run(run, config, fresh=fresh)
    fabric.barrier()
    newest = newest_checkpoint(run)
    if newest is None and config.network.weights is not None:
        start_from(config.network.weights, net)
    trainable: nn.Module = Trainable(net)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        trainable = nn.SyncBatchNorm.convert_sync_batchnorm(trainable)  # type: ignore[no-untyped-call]
    module, optimiser = fabric.setup(trainable, make_optimiser(trainable, config.optimiser))
    first = 0
    if newest is not None:
        state = {"module": module, "optimiser": optimiser}
        first = fabric.load(newest / STATE, state, weights_only=True)["step"]
    objective = Objective(config.losses)
    batches = Batches(config, walks, net, rank=fabric.global_rank, ranks=fabric.world_size)
    loader = DataLoader(batches, batch_size=None, sampler=range(first, config.steps), num_workers=config.run.workers)
    module.train()
    loss: float | None = None
    with Log(run if fabric.is_global_zero else None, first) as log, _progress(disable=log.off) as bar:
        task = bar.add_task("loss –", total=config.steps, completed=first)
        told, told_at = first, time.monotonic()
        for step, batch in enumerate(loader, start=first):
            torch.manual_seed(int(np.random.default_rng((config.seed, step, fabric.global_rank, 2)).integers(2**63)))
            rate = set_step(optimiser, step, config.optimiser, config.steps)
            terms: dict[str, float] = {}
            passes = config.run.accumulate
            for number, part in enumerate(_parts(batch.map(lambda x: x.to(fabric.device)), passes), start=1):
                with fabric.no_backward_sync(module, enabled=number < passes):
                    embeddings, logits = module(*part.tensors, lengths=part.lengths)
                    gathered = _gather(fabric, embeddings, logits, part)
                    total, named = objective(*gathered)
                    terms = {k: terms.get(k, 0.0) + v.item() / passes for k, v in {"loss": total, **named}.items()}
                    _check_finite(terms, step, rate)
                    fabric.backward(total * (fabric.world_size / passes))
            norm = nn.utils.clip_grad_norm_(module.parameters(), config.optimiser.clip_norm or float("inf"))
            if not norm.isfinite():
                raise TrainingDiverged(_blame_gradient(net, step, rate), step=step)
            optimiser.step()
            optimiser.zero_grad()
            loss, made = terms["loss"], step + 1
            bar.update(task, completed=made, description=f"loss {loss:.3f}")
            if made % config.run.log_every == 0 or made == config.steps:
                pace = (time.monotonic() - told_at) / (made - told)
                told, told_at = made, time.monotonic()
                values = {"learning_rate": rate, "gradient_norm": norm.item(), "seconds_per_step": pace}
                log.write(made, {**terms, **values})
            if made % config.run.checkpoint_every == 0 or made == config.steps:
                save_checkpoint(fabric, run, made, net, module, optimiser, keep=config.run.keep)
            if on_step is not None:
                on_step(made)
    newest = newest_checkpoint(run)
    assert newest is not None
    return TrainingResult(newest / WEIGHTS, config.steps, loss, time.monotonic() - began)


def make_fabric(config: TrainingConfig) -> Fabric:
    """Device, precision, and the processes that ``torchrun`` started, one device each.

    Raises:
        BadTrainingConfig: a GPU is required and there is none.
    """
    cuda = torch.cuda.is_available()
    if config.run.device == "cuda" and not cuda:
        raise BadTrainingConfig("run.device is cuda, but torch finds no GPU.")
    device = "cuda" if cuda and config.run.device != "cpu" else "cpu"
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    world = int(os.environ.get("WORLD_SIZE", local))
    half = runs_in_half(config, torch.device(device))
    fabric = Fabric(
        accelerator=device,
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if half else "32-true",
    )
    fabric.launch()
    return fabric


def runs_in_half(config: TrainingConfig, device: torch.device) -> bool:
    """True if the forward pass runs in bfloat16."""
    return config.run.precision == "bf16" or (config.run.precision == "auto" and bf16_in_hardware(device))


def make_network(config: TrainingConfig, people: int) -> GaitNetwork:
    """The configuration's network with seeded weights, and a classifier for that many people if a loss needs one.

    Raises:
        UnknownNetwork: no network has that name.
        BadTrainingConfig: its ``Config`` has no such options, or it has nothing to train.
    """
    options = {name: tuples(value) for name, value in config.network.options.items()}
    if any(loss.needs_logits for loss in config.losses):
        options["num_classes"] = people
    try:
        net = models.build(config.network.name, seed=config.seed, **options)
    except (TypeError, ValueError, KeyError) as error:
        raise BadTrainingConfig(
            f"The network {config.network.name!r} cannot be built with these options: {error}."
        ) from error
    if not any(True for _ in net.parameters()):
        raise BadTrainingConfig(f"The network {config.network.name!r} has no weights to train.")
    return net


def start_from(path: Path, net: GaitNetwork) -> None:
    """Load the weights of a file into a network; its classifier is unchanged, because files do not contain one.

    Raises:
        WeightsMissing, WeightsCorrupt: the file does not exist, or cannot be read.
        BadTrainingConfig: the file belongs to another network or to other sizes.
    """
    before = models.load(path)
    _, mine = net.without_classifier()
    state = before.state_dict()
    if before.name != net.name or {k: t.shape for k, t in state.items()} != {k: t.shape for k, t in mine.items()}:
        raise BadTrainingConfig(
            f"{path} contains {before.name} of other sizes than this {net.name}, or another network."
        )
    net.load_state_dict(state, strict=False)


def _progress(*, disable: bool) -> Progress:
    """Log to stderr; stdout is for results."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=disable)


def _parts(batch: Batch, passes: int) -> Iterable[Batch]:
    """Split the batch into that many parts with whole people."""
    size = len(batch.subjects) // passes
    for start in range(0, len(batch.subjects), size):
        cut = slice(start, start + size)
        yield batch.map(lambda x, cut=cut: x[cut])  # type: ignore[misc]


Gathered = tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]


def _gather(fabric: Fabric, embeddings: dict[str, Tensor], logits: dict[str, Tensor], batch: Batch) -> Gathered:
    """Gather the inputs of the objective from all processes. Each process has the gradients of its own part, and their
    sum is the gradient of the loss. DDP takes the mean, so the loss is multiplied by the number of processes.
    """
    if fabric.world_size == 1:
        return embeddings, logits, batch.subjects, batch.views

    def all_of(x: Tensor) -> Tensor:
        every = fabric.all_gather(x.detach())
        assert isinstance(every, Tensor)
        return torch.cat([x if rank == fabric.global_rank else other for rank, other in enumerate(every)])

    embeddings, logits = ({name: all_of(x) for name, x in group.items()} for group in (embeddings, logits))
    return embeddings, logits, all_of(batch.subjects), all_of(batch.views)


def _check_finite(terms: dict[str, float], step: int, rate: float) -> None:
    bad = [name for name, value in terms.items() if not np.isfinite(value) and name != "loss"]
    if bad or not np.isfinite(terms["loss"]):
        raise TrainingDiverged(
            f"At step {step} the loss is not finite: {', '.join(bad) or 'the sum'}; the learning rate is {rate:g}.",
            step=step,
        )


def _blame_gradient(net: GaitNetwork, step: int, rate: float) -> str:
    bad = [name for name, p in net.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    where = f"of {bad[0]} and {len(bad) - 1} more" if bad else "all together"
    return f"At step {step} the gradients {where} are not finite; the learning rate is {rate:g}."
