"""Errors of training, data sets and rendered people. Each has a code."""

from __future__ import annotations

from gaitkeeper.models.errors import GaitkeeperError


class BadTrainingConfig(GaitkeeperError):
    """A training configuration cannot be read, contradicts itself, or does not fit the data or the machine."""

    code = "bad_training_config"


class TrainingDiverged(GaitkeeperError):
    """A loss or a gradient is not a finite number any more; the message says which, when and at what learning rate."""

    code = "training_diverged"


class TrainingRunning(GaitkeeperError):
    """Another process trains in the same folder."""

    code = "training_running"


class TrainingTooLarge(GaitkeeperError):
    """A step of a training needs more memory than is free."""

    code = "training_too_large"


class TrainingUnmeasured(GaitkeeperError):
    """The process that measures a training ended before it could say anything."""

    code = "training_unmeasured"


class BadDataset(GaitkeeperError):
    """A data set does not exist at the given path, or does not have the layout of its reader."""

    code = "bad_dataset"


class UnsafePickle(BadDataset):
    """A pickle contains something other than numpy arrays, or cannot be read without running code."""

    code = "unsafe_pickle"


class UnknownFormat(BadDataset):
    """No data set format, partition or protocol has the requested name."""

    code = "unknown_format"


class InputMissing(BadDataset):
    """A network reads an input (silhouettes, joints, heatmaps) that the data set does not have."""

    code = "input_missing"


class BadEvaluation(BadDataset):
    """The requested evaluation cannot be run here."""

    code = "bad_evaluation"


class NoClearGait(BadDataset):
    """A walk has too few clean gait cycles."""

    code = "no_clear_gait"


class BodiesMissing(GaitkeeperError):
    """The body model is not installed."""

    code = "bodies_missing"

    def __init__(self, detail: str = "Bodies need the extra 'bodies': pip install 'gaitkeeper-id[bodies]'.") -> None:
        super().__init__(detail)


class BadAsset(GaitkeeperError):
    """A garment is missing, cannot be fetched, or does not match the manifest."""

    code = "bad_asset"
