"""Bootstrap intervals over people, because the walks of one person are not independent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.training.evaluation.results import Estimate

Array = npt.NDArray[Any]

INTERVAL = (2.5, 97.5)


def people_weights(people: int, replicates: int, seed: int) -> Array:
    """Number of times that each person is drawn, int64 (replicates, people); every row sums to ``people``."""
    return np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=replicates)


def estimate(value: float, weights: Array, statistic: Callable[[Array], float]) -> Estimate:
    """A figure with its percentile interval.

    Args:
        value: the figure for all people.
        weights: (R, S), from :func:`people_weights`.
        statistic: the figure for weights (S,), nan if they leave nothing to measure.
    """
    drawn = np.array([statistic(row) for row in weights], np.float64)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(drawn, INTERVAL)
    return Estimate(value, float(low), float(high))
