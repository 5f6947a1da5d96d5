"""What can be wrong with a data set on disk. Each error has a code, as everywhere."""

from __future__ import annotations

from models.errors import GaitkeeperError


class BadDataset(GaitkeeperError):
    """A data set is not where it was said to be, or not in the layout of its reader."""

    code = "bad_dataset"


class UnsafePickle(BadDataset):
    """A pickle holds something other than numpy arrays, or cannot be read without running code."""

    code = "unsafe_pickle"


class UnknownFormat(BadDataset):
    """A data set format, partition or protocol was asked for by a name that is in no registry."""

    code = "unknown_format"


class InputMissing(BadDataset):
    """A network reads an input (silhouettes, joints, heatmaps) that the data set does not have."""

    code = "input_missing"


class BadEvaluation(BadDataset):
    """An evaluation was asked for that cannot be run here."""

    code = "bad_evaluation"
