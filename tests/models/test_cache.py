"""Where weights are kept for users without a home, and with one that may not be written or looked into."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaitkeeper.models import cache, weights
from gaitkeeper.models.errors import WeightsMissing


def test_without_a_home_shipped_weights_are_there_and_others_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GAITKEEPER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.cache_folder() == Path("/var/cache/gaitkeeper")
    assert weights.locate("gaitpart").parent == weights.SHIPPED


def test_a_cache_that_cannot_be_written_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsMissing, match="are not on this machine"):
        weights.locate("blazepose-detector")
    with pytest.raises(WeightsMissing, match=r"cannot be written .* set GAITKEEPER_CACHE"):
        weights.pull(["blazepose-detector"])
