"""How often drawn strangers get a name: the bench of it, on a pack of twelve people."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import open_set
from gaitkeeper.training.datasets import open_dataset
from gaitkeeper.training.walkers.pack import render_set
from gaitkeeper.training.walkers.sets import Size


def test_strangers_are_searched_in_units_and_by_plain_distance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tmp_path / "xl.npz"
    render_set("walkers-xl", Path("none"), pack, size=Size(people=12, takes=0, frames=16))
    monkeypatch.chdir(tmp_path)
    walks = open_dataset("walkers", pack)
    some = open_set.chosen(walks, 20)
    assert sum("enrol" in sample.take for sample in some) == 24 and len(some) == 64
    assert open_set.chosen(walks, None) is walks
    argv = ["open_set", str(pack), "--network", "gaittemplate", "--keep", "kept"]
    for _ in range(2):  # the second time by the embeddings that were kept
        monkeypatch.setattr(sys, "argv", argv)
        open_set.main()
        rows = json.loads(Path("bench/results/open_set.json").read_text())["rows"]
        of = {(row["network"], row["from"], row["people"], row["basis"]): row for row in rows}
        for network in ("gaittemplate", "gei"):
            for people in (3, 6):
                own = of[network, "own", people, "plain"]
                assert own["fpir"] <= open_set.RATE and own["templates"] == 4 * people
                assert own["fpir_low"] <= own["fpir"] <= own["fpir_high"]
        assert of["gaittemplate", "shipped", 3, "collection"]["limit"] > 0
        assert ("gei", "shipped", 3, "collection") not in of, "nothing ships that says what its distances mean"
    assert len(list(Path("kept").iterdir())) == 2
