"""What keeps the tests small sees what is large."""

from __future__ import annotations

import memory
import pytest


@pytest.mark.skipif(not memory.peak(), reason="nothing tells how much memory a process has")
def test_a_peak_is_seen_and_forgotten_and_what_is_free_is_given_back() -> None:
    memory.forget_peak()
    before = memory.peak()
    block = bytearray(b"x") * 200_000_000
    del block
    assert memory.peak() > before + 150_000_000
    memory.release()
    memory.forget_peak()
    assert memory.peak() < before + 50_000_000
