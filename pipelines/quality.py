"""Quality measures of a gait sequence: frame rate, mask stability, gait cycles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MIN_RATE = 8.0
"""Frame rate in hertz below which no one is identified; measured, see docs/accuracy.md."""
RESAMPLE_BELOW = 20.0
"""Frame rate in hertz below which sequences are resampled, because steps look different from those in training."""
RATE_OVER, GAP = 4, 2.5
GRID = 30.0
STRIDES = np.arange(0.55, 1.5, 0.01)
WALKING = 0.025
PERIODIC = 0.2
LEGS = slice(40, 64)
KNEES, ANKLES = (13, 14), (15, 16)


def rate(timestamps: Array) -> float:
    """Median frame rate in hertz, over runs of four steps without a gap; 0 for fewer than two frames."""
    steps = np.diff(timestamps)
    if not len(steps):
        return 0.0
    usual = float(np.median(steps))
    if len(steps) >= RATE_OVER:  # unevenly spaced frames, such as 20 Hz on ticks of 30 Hz, need an average over steps
        runs = np.lib.stride_tricks.sliding_window_view(steps, RATE_OVER)
        runs = runs[runs.max(1) <= GAP * usual]
        usual = float(np.median(runs.mean(1))) if len(runs) else usual
    return 1 / usual


def frames_needed(frames: int, hertz: float) -> int:
    """Number of frames at a low rate that last as long as ``frames`` at 30 Hz; from 20 Hz on it is ``frames``.

    Args:
        frames: number of frames at 30 Hz.
        hertz: frame rate of the sequence.
    """
    return frames if hertz >= RESAMPLE_BELOW else max(2, math.ceil(frames * hertz / GRID))


def mask_stability(areas: Array) -> float:
    """1 − the median relative change of the mask's area (as a share of the squared height) between frames."""
    if len(areas) < 2:
        return 0.0
    change = np.abs(np.diff(areas)) / np.maximum(areas[:-1], 1e-9)
    return float(np.clip(1 - np.median(change), 0, 1))


def gait_cycles(joints: Array, silhouettes: Array, heights: Array, timestamps: Array) -> float:
    """Estimated number of gait cycles, two steps each; 0 for a person who stands.

    The vectors between the two ankles and between the two knees swing at the stride frequency whatever the view
    (sideways for a camera at the side, up and down for one in front). The width of the silhouette's legs swings at
    twice that, even if the person is small and the pose network confuses the legs. The stride frequency is the one at
    which both together have the largest share of their power. A person walks if the swing is large enough and, in one
    of the two signals, periodic.

    Args:
        joints: float32 (T, 17, 3), COCO-17 in pixels.
        silhouettes: uint8 (T, 64, 64), normalised.
        heights: (T,), the person's height in pixels.
        timestamps: (T,) seconds.
    """
    duration = float(timestamps[-1] - timestamps[0]) if len(timestamps) else 0.0
    if duration < 0.5:
        return 0.0
    ticks = np.arange(timestamps[0], timestamps[-1], 1 / GRID)
    nfft = max(2048, len(ticks))

    def power(signal: Array) -> Array:
        return periodogram(np.interp(ticks, timestamps, signal), nfft)

    scale = heights[:, None]
    ankles = (joints[:, ANKLES[0], :2] - joints[:, ANKLES[1], :2]) / scale
    knees = (joints[:, KNEES[0], :2] - joints[:, KNEES[1], :2]) / scale
    swing = sum((power(signal) for signal in (*ankles.T, *knees.T)), np.zeros(nfft // 2 + 1))
    spread = power((silhouettes[:, LEGS] > 0).any(1).sum(1) / silhouettes.shape[2])
    frequencies = np.fft.rfftfreq(nfft, 1 / GRID)
    swing[frequencies < 0.2], spread[frequencies < 0.4] = 0, 0  # approaching or receding, not stepping
    swings, spreads = swing.sum() + 1e-12, spread.sum() + 1e-12

    share = np.interp(STRIDES, frequencies, swing / swings) + np.interp(2 * STRIDES, frequencies, spread / spreads)
    stride = float(STRIDES[share.argmax()])
    reach = 1.5 / duration
    at_stride = swing[np.abs(frequencies - stride) < reach].sum()
    at_step = spread[np.abs(frequencies - 2 * stride) < reach].sum()
    large = np.sqrt((at_stride + at_step) * frequencies[1]) > WALKING
    periodic = at_stride > PERIODIC * swings or at_step > 1.5 * PERIODIC * spreads
    return duration * stride if large and periodic else 0.0


def periodogram(signal: Array, nfft: int) -> Array:
    """One-sided spectral density (nfft // 2 + 1,) of a signal on the grid, without its trend, in a Hann window.

    The same as ``scipy.signal.periodogram`` of ``detrend(signal)``, whose import would take a second of the start.

    Args:
        signal: (n,), sampled at ``GRID`` hertz.
        nfft: length of the transform, at least n.
    """
    ticks = np.arange(len(signal))
    even = signal - np.polynomial.Polynomial.fit(ticks, signal, 1)(ticks)
    window = np.hanning(len(signal) + 1)[:-1]
    density = np.abs(np.fft.rfft(even * window, nfft)) ** 2 / (GRID * (window**2).sum())
    density[1 : (nfft + 1) // 2] *= 2
    return np.asarray(density)
