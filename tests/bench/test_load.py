"""Small forms of the load and soak benches: that they measure, and that their bounds hold."""

from __future__ import annotations

from pathlib import Path

from bench import load, soak


def test_many_large_and_slow_uploads_are_answered_within_bounds(tmp_path: Path) -> None:
    found = load.measure(tmp_path, clients=4, clip_bytes=3 * 10**6, large_bytes=16 * 2**20, asked=1, uploads=4)
    assert found["crowd"]["passed"], found["crowd"]
    assert found["large"]["passed"], found["large"]
    assert found["slow"]["passed"], found["slow"]
    assert sum(found["crowd"]["answers"].values()) == 4 and found["slow"]["clients"] > 4


def test_the_soak_says_how_memory_grows(tmp_path: Path) -> None:
    found = soak.measure(tmp_path, count=20, seconds=120)
    assert 20 <= found["identifications"] <= found["asked_for"]
    assert found["last_mb"] - found["settled_mb"] < 64
