"""Errors of training. Each has a code."""

from __future__ import annotations

from models.errors import GaitkeeperError


class BadTrainingConfig(GaitkeeperError):
    """A training configuration cannot be read, contradicts itself, or does not fit the data or the machine."""

    code = "bad_training_config"


class TrainingDiverged(GaitkeeperError):
    """A loss or a gradient is not a finite number any more; the message says which, when and at what learning rate."""

    code = "training_diverged"


class TrainingRunning(GaitkeeperError):
    """Another process trains in the same folder."""

    code = "training_running"
