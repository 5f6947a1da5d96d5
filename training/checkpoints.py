"""The folder of a training: its atomically written checkpoints and its configuration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lightning_fabric import Fabric
from pydantic import ValidationError
from torch import nn
from torch.optim import Optimizer

from gaitkeeper import models
from gaitkeeper.models.base import GaitNetwork
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.errors import BadTrainingConfig

WEIGHTS, STATE, CONFIG = "weights.safetensors", "state.pt", "config.json"


def newest_checkpoint(run: Path) -> Path | None:
    """The folder of the highest step, or None."""
    return max(run.glob("step-*"), default=None)


def newest_step(run: Path) -> int:
    """Steps of the newest checkpoint, 0 without one."""
    newest = newest_checkpoint(run)
    return 0 if newest is None else int(newest.name.removeprefix("step-"))


def save_checkpoint(
    fabric: Fabric, run: Path, step: int, net: GaitNetwork, module: nn.Module, optimiser: Optimizer, *, keep: int
) -> None:
    """Write ``step-N/`` atomically, with the weights and the state for a resume."""
    partial = run / f"partial-{step:08d}"
    fabric.save(partial / STATE, {"module": module, "optimiser": optimiser, "step": step})
    if fabric.is_global_zero:
        models.save(net, partial / WEIGHTS)
        partial.replace(run / f"step-{step:08d}")
        for old in sorted(run.glob("step-*"))[:-keep]:
            shutil.rmtree(old)
    fabric.barrier()


def open_run(run: Path, config: TrainingConfig, *, fresh: bool) -> None:
    """Create the folder, or check that its configuration is the same, except for the ``run`` table.

    The number of steps may have increased: the learning-rate schedule then covers all of them, from here on.

    Raises:
        BadTrainingConfig: the configuration differs; ``fresh`` deletes the folder instead.
    """
    if fresh and run.exists():
        shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    for left in run.glob("partial-*"):
        shutil.rmtree(left)
    mine = config.model_dump(mode="json", exclude={"run"})
    if newest_checkpoint(run) is not None:
        # An option added since then had its default.
        try:
            then = TrainingConfig.model_validate_json((run / CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise BadTrainingConfig(f"{run} contains checkpoints, but no readable configuration.") from error
        theirs = then.model_dump(mode="json", exclude={"run"})
        longer = mine["steps"] > theirs["steps"]
        different = [key for key in mine if mine[key] != theirs[key] and not (key == "steps" and longer)]
        if different:
            raise BadTrainingConfig(
                f"{run} contains a training with another {', '.join(different)}; choose another folder, or use --fresh."
            )
    (run / CONFIG).write_text(json.dumps(mine, indent=1), encoding="utf-8")
