"""The optimiser of a configuration, and its learning rate at every step."""

from __future__ import annotations

import math
from bisect import bisect_right

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from training.config import OptimiserTable


def make_optimiser(module: nn.Module, table: OptimiserTable) -> Optimizer:
    """Over all parameters, those with one dimension or none (norms, biases, scalars) without weight decay."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": table.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if table.kind == "sgd":
        return SGD(groups, lr=table.rate, momentum=table.momentum)
    return (AdamW if table.kind == "adamw" else Adam)(groups, lr=table.rate)


def learning_rate(step: int, table: OptimiserTable, steps: int) -> float:
    """Of a step, 0 to ``steps`` − 1: a function of the step alone, so a resumed training needs no scheduler's state."""
    if step < table.warmup:
        return table.rate * (step + 1) / (table.warmup + 1)
    if table.schedule == "steps":
        return table.rate * table.gamma ** bisect_right(sorted(table.milestones), step)
    if table.schedule == "cosine":
        done = (step - table.warmup) / max(1, steps - table.warmup)
        return table.rate * (1 + math.cos(math.pi * done)) / 2
    return table.rate
