"""Rate, stability and gait cycles, on walks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from gaitkeeper.pipelines.quality import GRID, gait_cycles, mask_stability, periodogram, rate


def walk(seconds: float, stride: float, *, view: str, amplitude: float = 0.2, noise: float = 0.005, hz: float = 30):
    """Joints and silhouettes of a person 200 pixels high whose feet swing at ``stride`` Hz."""
    t = np.arange(0, seconds, 1 / hz)
    phase = 2 * np.pi * stride * t
    joints = np.zeros((len(t), 17, 3), np.float32)
    joints[..., 2] = 1
    axis = 0 if view == "side" else 1
    for (left, right), share in (((15, 16), 1.0), ((13, 14), 0.5)):
        joints[:, left, axis] = 100 * share * amplitude * np.sin(phase)
        joints[:, right, axis] = -joints[:, left, axis]
        if view == "front":
            joints[:, left, 0], joints[:, right, 0] = 15, -15
    silhouettes = np.zeros((len(t), 64, 64), np.uint8)
    half = 4 + np.abs(joints[:, 15, 0] - joints[:, 16, 0]) * 64 / 200 / 2
    silhouettes[:, 40:] = 255 * (np.abs(np.arange(64) - 31.5) < half[:, None, None])
    joints[..., :2] += np.random.default_rng(0).normal(0, 200 * noise, joints[..., :2].shape)
    return joints, silhouettes, np.full(len(t), 200.0), t


@pytest.mark.parametrize(("view", "amplitude"), [("side", 0.2), ("front", 0.1)])
@pytest.mark.parametrize(("seconds", "stride"), [(2, 0.9), (4, 1.1), (8, 0.8)])
def test_cycles_of_a_walk(view, amplitude, seconds, stride):
    cycles = gait_cycles(*walk(seconds, stride, view=view, amplitude=amplitude))
    assert cycles == pytest.approx(seconds * stride, rel=0.12)


def test_swapped_legs_do_not_double_the_cycles():
    joints, silhouettes, heights, t = walk(6, 0.95, view="side")
    swap = joints[:, 15, 0] < joints[:, 16, 0]
    joints[swap] = joints[swap][:, [*range(13), 14, 13, 16, 15]]
    assert gait_cycles(joints, silhouettes, heights, t) == pytest.approx(5.7, rel=0.12)


def test_legs_swapped_at_random():
    """As small people far away are seen: left and right are guesses, frame by frame."""
    joints, silhouettes, heights, t = walk(5, 0.9, view="side")
    swap = np.random.default_rng(3).random(len(t)) < 0.5
    joints[swap] = joints[swap][:, [*range(13), 14, 13, 16, 15]]
    assert gait_cycles(joints, silhouettes, heights, t) == pytest.approx(4.5, rel=0.12)


def test_fidgeting_is_not_walking():
    joints, silhouettes, heights, t = walk(6, 0.9, view="side", amplitude=0.0, noise=0.04)
    assert gait_cycles(joints, silhouettes, heights, t) == 0


def test_who_stands_has_no_cycles():
    assert gait_cycles(*walk(6, 0.9, view="side", amplitude=0.0)) == 0


def test_gaps_and_jitter_in_time():
    joints, silhouettes, heights, t = walk(6, 0.9, view="side")
    keep = np.sort(np.random.default_rng(1).choice(len(t), 120, replace=False))
    assert gait_cycles(joints[keep], silhouettes[keep], heights[keep], t[keep]) == pytest.approx(5.4, rel=0.12)


def test_too_short_to_tell():
    assert gait_cycles(*walk(0.3, 0.9, view="side")) == 0
    assert gait_cycles(np.zeros((0, 17, 3)), np.zeros((0, 64, 64)), np.zeros(0), np.zeros(0)) == 0


def test_rate_is_the_median():
    assert rate(np.array([0, 0.04, 0.08, 0.5, 0.54])) == pytest.approx(25)
    assert rate(np.array([1.0])) == 0


def test_stability():
    assert mask_stability(np.array([1.0, 1.0, 1.0])) == 1
    assert mask_stability(np.array([1.0, 0.9, 0.81, 0.729])) == pytest.approx(0.9)
    assert mask_stability(np.array([1.0, 5.0, 1.0, 5.0])) == pytest.approx(0, abs=0.3)
    assert mask_stability(np.array([1.0])) == 0


@pytest.mark.parametrize(("length", "nfft"), [(31, 2048), (90, 2048), (91, 2049), (3000, 3000), (3001, 3001)])
def test_the_periodogram_is_scipys(length, nfft):
    signal = np.random.default_rng(0).normal(size=length).cumsum()
    expected = scipy.signal.periodogram(scipy.signal.detrend(signal), GRID, window="hann", nfft=nfft)[1]
    assert periodogram(signal, nfft) == pytest.approx(expected, rel=1e-9)
