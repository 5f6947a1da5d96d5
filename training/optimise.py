"""The optimiser of a configuration, and its learning rate at every step."""

from __future__ import annotations

import math
from bisect import bisect_right

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from gaitkeeper.training.config import OptimiserTable


def make_optimiser(module: nn.Module, table: OptimiserTable) -> Optimizer:
    """An optimiser for all parameters, without weight decay for norms, biases and scalars."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": table.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if table.kind == "sgd":
        return SGD(groups, lr=table.rate, momentum=table.momentum)
    return (AdamW if table.kind == "adamw" else Adam)(groups, lr=table.rate)


def learning_rate(step: int, table: OptimiserTable, steps: int) -> float:
    """The learning rate of a step, 0 to ``steps`` − 1: a function of the step, so a resume needs no scheduler state."""
    if table.schedule == "one_cycle":
        return table.rate * _cycle(step, table, steps, (1 / 25, 1.0, 1 / 250_000))
    if step < table.warmup:
        return table.rate * (step + 1) / (table.warmup + 1)
    if table.schedule == "steps":
        return table.rate * table.gamma ** bisect_right(sorted(table.milestones), step)
    if table.schedule == "cosine":
        done = (step - table.warmup) / max(1, steps - table.warmup)
        return table.rate * (1 + math.cos(math.pi * done)) / 2
    return table.rate


def set_step(optimiser: Optimizer, step: int, table: OptimiserTable, steps: int) -> float:
    """Set the optimiser's learning rate, and in a cycle its momentum, for a step; returns the rate."""
    rate = learning_rate(step, table, steps)
    for group in optimiser.param_groups:
        group["lr"] = rate
        if table.schedule == "one_cycle" and "betas" in group:
            group["betas"] = (_cycle(step, table, steps, (0.95, 0.85, 0.95)), group["betas"][1])
    return rate


def _cycle(step: int, table: OptimiserTable, steps: int, values: tuple[float, float, float]) -> float:
    """Half a cosine from the first value to the second in the warm-up, then from the second to the third.

    Smith and Topin, "Super-Convergence", 2019, with the cosines of later practice.
    """
    if step < table.warmup:
        start, end, done = values[0], values[1], step / table.warmup
    else:
        start, end, done = values[1], values[2], (step - table.warmup) / max(1, steps - 1 - table.warmup)
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
