"""Errors of data sets. Each has a code."""

from __future__ import annotations

from models.errors import GaitkeeperError


class BadDataset(GaitkeeperError):
    """A data set does not exist at the given path, or does not have the layout of its reader."""

    code = "bad_dataset"


class UnsafePickle(BadDataset):
    """A pickle holds something other than numpy arrays, or cannot be read without running code."""

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
