"""Cameras' recordings: exposure, grey, noise, blur and compression do what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gaitkeeper.training.bodies.recording import Recording, draw_recording

CLEAR = Recording(blur=0.0, noise=0.0)


@pytest.fixture(scope="module")
def lights() -> list[np.ndarray]:
    """A red square that moves over a grey ramp, in linear light."""
    ramp = np.tile(np.linspace(0.05, 0.6, 96, dtype=np.float32)[None, :, None], (64, 1, 3))
    found = []
    for i in range(6):
        picture = ramp.copy()
        picture[20:44, 10 + 6 * i : 34 + 6 * i] = (0.7, 0.1, 0.1)
        found.append(picture)
    return found


def made(recording: Recording, lights: list[np.ndarray], seed: int = 0) -> np.ndarray:
    pictures = np.stack(list(recording.frames(lights, seed)))
    assert pictures.dtype == np.uint8 and pictures.shape == (6, 64, 96, 3)
    return pictures.astype(float)


def test_exposure_contrast_and_grey(lights: list[np.ndarray]) -> None:
    clear = made(CLEAR, lights)
    assert clear[0, 30, 20] == pytest.approx([0.7 ** (1 / 2.2) * 255, *[0.1 ** (1 / 2.2) * 255] * 2], abs=1)
    assert made(replace(CLEAR, exposure=0.5), lights).mean() < 0.8 * clear.mean()
    flat = made(replace(CLEAR, contrast=0.5, middle=100), lights)
    assert flat.std() == pytest.approx(clear.std() / 2, rel=0.02)
    grey = made(replace(CLEAR, grey=True), lights)
    assert (np.ptp(grey, axis=3) == 0).all() and np.ptp(clear, axis=3).max() > 100


def test_noise_and_blur(lights: list[np.ndarray]) -> None:
    clear, noisy = made(CLEAR, lights), made(replace(CLEAR, noise=5.0), lights)
    assert (noisy - clear).std() == pytest.approx(5, rel=0.1)
    assert np.array_equal(noisy, made(replace(CLEAR, noise=5.0), lights))
    assert not np.array_equal(noisy, made(replace(CLEAR, noise=5.0), lights, seed=1))
    soft = made(replace(CLEAR, blur=1.5), lights)
    assert np.abs(np.diff(soft, axis=2)).max() < 0.6 * np.abs(np.diff(clear, axis=2)).max()


@pytest.mark.parametrize(("codec", "good", "bad"), [("libx264", 20, 45), ("mpeg4", 2, 24)])
def test_compression_loses_more_at_worse_quality(lights: list[np.ndarray], codec: str, good: int, bad: int) -> None:
    clear = made(CLEAR, lights)
    little, much = (
        np.abs(made(replace(CLEAR, codec=codec, quality=quality), lights) - clear).mean() for quality in (good, bad)
    )
    assert 0 < little < 0.6 * much
    assert much < 25  # the order of the frames is kept: the square is where it was


def test_small_pictures_are_grey_more_often() -> None:
    def share(small: bool) -> float:
        rng = np.random.default_rng(0)
        return float(np.mean([draw_recording(rng, small, 15).grey for _ in range(200)]))

    assert share(True) > 0.45 > 0.3 > share(False) > 0.1
    assert draw_recording(np.random.default_rng(1), True, 15) == draw_recording(np.random.default_rng(1), True, 15)
