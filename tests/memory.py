"""How much memory a process of the tests takes; Linux alone tells."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

MOST = 3 * 2**29
"""Bytes that one test may take: a small machine runs two processes of tests, each of which holds some GB already."""

SELF = Path("/proc/self")


def peak() -> int:
    """Most bytes that this process has had in memory since :func:`forget_peak`; 0 where nothing tells."""
    with suppress(OSError):
        for line in (SELF / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> None:
    """Count from what there is now."""
    with suppress(OSError):
        (SELF / "clear_refs").write_text("5")


def release() -> None:
    """Give back what nothing uses any more: the allocator keeps what tests before took and freed."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
