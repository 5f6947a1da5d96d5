"""The bench that tells real from rendered: sure where they differ, at a loss where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from bench import realism


def _people(rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
    """Six people of twelve frames: bars of about a width, somewhere near the middle."""
    found = {}
    for person in range(6):
        frames = np.zeros((12, 64, 64), np.uint8)
        for frame in frames:
            start = 20 + int(rng.integers(8))
            frame[:, start : start + width + int(rng.integers(3))] = 255
        found[f"p{person}"] = frames
    return found


def test_bars_of_other_widths_are_told_apart_and_equal_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realism, "_STEPS", 60)
    monkeypatch.setattr(realism, "_BATCH", 16)
    torch_threads = realism.torch.get_num_threads()
    realism.torch.set_num_threads(1)
    try:
        rng = np.random.default_rng(0)
        real = [_people(rng, 8), _people(rng, 8)]
        assert np.mean(realism.told_apart(real, _people(rng, 20))) > 95
        assert 35 < np.mean(realism.told_apart(real, _people(rng, 8))) < 65
    finally:
        realism.torch.set_num_threads(torch_threads)
