"""Embeddings quantised to bytes: a quarter of the memory traffic, and a guaranteed lower bound of the distance.

Each part of an embedding is rounded to an integer multiple, −127 to 127, of its own scale: x = s·c + r. Codes are
multiplied as integers, so the distance of two rounded parts is exact up to the rounding of a few float32 operations. By
the triangle inequality, the distance of the embeddings differs from it by at most |r| of each side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Distance = TypeVar("Distance", float, npt.NDArray[np.float64])
Products = Callable[[Tensor, Tensor, Tensor], None]
"""Function that multiplies codes (Q, C) and (n, C) into int32 (Q, n)."""

LEVELS = 127
# Distances per step before they are summed over parts: the size of a core's cache, or enough to use a GPU fully.
ELEMENTS = {"cpu": 1 << 17, "cuda": 1 << 26}
ROWS = 256  # with fewer per step the calls cost too much
SMALLEST = 2.0**-126  # smallest normal float32 number
SHRINK = 1 - 2.0**-20  # of squared norms: more than the rounding of A + B − 2ab in float32 can add
FLOOR = 1e-36  # of squared distances, for the square root of zero is slow; its own root is within UNDERFLOW
UNDERFLOW = 1e-17  # more than all losses by float32 underflow


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of n embeddings, by parts.

    Attributes:
        codes: int8 (P, n, C), C padded with zeros to a multiple of 8.
        scales: float32 (P, n).
        norms: float32 (P, n), squared norms of the rounded parts, reduced so that rounding cannot raise a bound.
        residuals: float32 (n,), upper bound of the mean rounding error over parts.
    """

    codes: Tensor
    scales: Tensor
    norms: Tensor
    residuals: Tensor

    @classmethod
    def empty(cls, n: int, parts: int, dims: int, device: torch.device) -> Codes:
        """Allocate n embeddings. On a CPU memory is only used once it is written."""
        return cls(
            torch.empty(parts, n, -(-dims // 8) * 8, dtype=torch.int8, device=device),
            torch.empty(parts, n, device=device),
            torch.empty(parts, n, device=device),
            torch.empty(n, device=device),
        )

    def write(self, rows: slice | list[int], embeddings: Tensor) -> None:
        """Write finite float32 embeddings (n, P, C) to ``rows``."""
        exact = embeddings.double().transpose(0, 1)
        scales = (exact.abs().amax(dim=2) / LEVELS).float()
        scales[scales < SMALLEST] = 0  # too small to divide by: rounded to zero
        wide = scales.double()[:, :, None]
        codes = torch.where(wide > 0, exact / wide, 0.0).round_().clamp_(-LEVELS, LEVELS)
        residuals = (exact - wide * codes).norm(dim=2).mean(dim=0)
        self.codes[:, rows] = torch.nn.functional.pad(codes, (0, self.codes.shape[2] - codes.shape[2])).to(torch.int8)
        self.scales[:, rows] = scales
        self.norms[:, rows] = ((wide * codes).square().sum(dim=2) * SHRINK).float()
        self.residuals[rows] = (residuals * (1 + 2.0**-16)).float() + SMALLEST


class Bounds:
    """Lower bounds of the distances from probes to coded embeddings.

    Args:
        probes: finite float32 (Q, P, C).
    """

    def __init__(self, probes: Tensor) -> None:
        count, parts, dims = probes.shape
        self._device = probes.device
        self._probes = Codes.empty(count, parts, dims, probes.device)
        self._probes.write(slice(None), probes)
        self._factors = -2 * self._probes.scales[:, :, None]  # (P, Q, 1)
        self._norms = self._probes.norms[:, :, None]
        # A sum of P roots has an error of P roundings. The rest of the margin covers the scaling of the limits.
        self._margin = 1 + (parts + 16) * 2.0**-23
        self._multiply = _exact_products(probes.device.type)

    def below(self, codes: Codes, rows: int, out: Tensor) -> None:
        """Write scores for the first ``rows`` of ``codes`` into ``out``, float32 (Q, rows).

        A template with a score above :meth:`limit` of a distance is farther away than that distance.
        """
        parts, count = self._probes.scales.shape
        budget = ELEMENTS.get(self._device.type, ELEMENTS["cuda"])
        step = min(rows, max(ROWS, budget // count))
        group = max(1, min(parts, budget // (count * step)))
        kinds = (torch.int32, torch.float32)
        buffers = [torch.empty(group * count * step, dtype=kind, device=self._device) for kind in kinds]
        for start in range(0, rows, step):
            stop = min(rows, start + step)
            total = torch.zeros(count, stop - start, device=self._device)
            for first in range(0, parts, group):
                some = slice(first, min(parts, first + group))
                shape = (some.stop - first, count, stop - start)
                dots, squares = (buffer[: math.prod(shape)].view(shape) for buffer in buffers)
                for i in range(len(dots)):
                    self._multiply(self._probes.codes[first + i], codes.codes[first + i, start:stop], dots[i])
                # Use one buffer and no addcmul: with broadcasting it is several times slower than two separate
                # operations.
                squares.copy_(dots).mul_(self._factors[some]).mul_(codes.scales[some, None, start:stop])
                squares.add_(codes.norms[some, None, start:stop]).add_(self._norms[some])
                squares.clamp_(min=FLOOR).sqrt_()
                total.add_(squares.sum(dim=0) if len(dots) > 1 else squares[0])
            # Values too large for float32 give no bound.
            total.div_(parts).nan_to_num_(nan=0.0, posinf=0.0)
            torch.sub(total, codes.residuals[start:stop] * self._margin, out=out[:, start:stop])

    def limit(self, probe: int, distance: Distance) -> Distance:
        """The limit for a distance, or for float64 distances, of one probe: :meth:`below` gives at most this within the
        distance.
        """
        return (distance + float(self._probes.residuals[probe]) + UNDERFLOW) * self._margin


def _int8_products(probes: Tensor, codes: Tensor, out: Tensor) -> None:
    torch._int_mm(probes, codes.t(), out=out)


def _padded_products(probes: Tensor, codes: Tensor, out: Tensor) -> None:
    """Shape required by cuBLAS: more than 16 rows, and a multiple of 8 columns."""
    rows = torch.nn.functional.pad(codes, (0, 0, 0, max(0, 32 - len(codes))))
    columns = torch.nn.functional.pad(probes, (0, 0, 0, -len(probes) % 8))
    out.copy_(torch._int_mm(rows, columns.t())[: len(codes), : len(probes)].t())


def _float_products(probes: Tensor, codes: Tensor, out: Tensor) -> None:
    """Integers are exact in single precision up to 2²⁴, and in double precision up to 2⁵³."""
    dtype = torch.float32 if codes.shape[1] * LEVELS**2 < 2**24 else torch.float64
    out.copy_(probes.to(dtype) @ codes.to(dtype).t())


@cache
def _exact_products(device: str) -> Products:
    """The byte multiplication for a device: in integers if that is exact, because some processors saturate intermediate
    sums.
    """
    products = _int8_products if device == "cpu" else _padded_products
    signs = torch.ones(40, 264, dtype=torch.int8, device=device)
    signs[:, ::2] = -1
    signs[::3] = 1
    largest = LEVELS * signs
    expected, out = (torch.empty(3, 40, dtype=torch.int32, device=device) for _ in range(2))
    _float_products(largest[:3], largest, expected)
    try:
        products(largest[:3], largest, out)
    except RuntimeError:
        return _float_products
    return products if torch.equal(out, expected) else _float_products
