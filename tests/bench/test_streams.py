"""What the bench of several cameras sends."""

from __future__ import annotations

from bench.streams import GAP, repeated


def test_a_clip_is_repeated_with_a_gap_and_times_that_run_on() -> None:
    frames = [(1.0, b"a"), (2.0, b"b")]
    assert repeated(frames, 1.5) == [(0.0, b"a"), (1.0, b"b")]
    assert repeated(frames, 3.0) == [(0.0, b"a"), (1.0, b"b"), (1.0 + GAP, b"a"), (2.0 + GAP, b"b")]
