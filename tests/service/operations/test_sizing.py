"""The sums of docs/scale.md are what the code works out, with the units that the page says."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import pytest

from gaitkeeper.service.cli import main
from gaitkeeper.service.operations.sizing import Load, Units, size

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "scale.md").read_text()


def test_the_worked_example_is_what_comes_out() -> None:
    example = r"A worked example, (\d+) cameras that (\d+) people .* for (\d+) seconds each, ([\d,]+) templates"
    found = re.search(example, PAGE)
    assert found is not None
    cameras, people, seconds, templates = (float(text.replace(",", "")) for text in found.groups())
    needed = size(Load(cameras=int(cameras), people=people, seconds=seconds, templates=int(templates), peak=3))
    for what, figure in needed.rows():
        assert f"| {what} | {figure} |" in PAGE[found.end() :]


def test_the_units_are_those_of_the_page() -> None:
    units = Units()
    assert f"| {units.perception} core seconds" in PAGE
    assert f"| {units.embedding} core seconds" in PAGE
    assert f"| {units.search} core seconds a billion" in PAGE
    assert f"| {units.sequence / 1000:g} kB a second" in PAGE
    assert f"{units.busy} is the share" in PAGE and f"{units.clip / 1000:g} kB is a second" in PAGE
    assert units.search == pytest.approx(0.072 / (100_000 * 16 * 256) * 1e9, rel=0.01)  # docs/search.md


def test_more_of_anything_needs_more_of_what_it_touches() -> None:
    load = Load(cameras=10, people=360, seconds=4, templates=1_000_000, peak=2)
    base, units = size(load), Units(busy=0.5)
    assert base.walks == 2.0
    assert size(load, units).perception_cores == math.ceil(2 * 4 * units.perception / 0.5)
    assert base.gpus is None and size(load, Units(gpu_frames=100, busy=1)).gpus == math.ceil(2 * 4 * 30 / 100)
    more = size(load.model_copy(update={"templates": 4_000_000}))
    assert (more.search_bytes, more.store_bytes) == (4 * base.search_bytes, 4 * base.store_bytes)
    assert more.search_cores >= base.search_cores and more.perception_cores == base.perception_cores
    assert size(load, Units(precision=2)).search_bytes == base.search_bytes * 3 // 5


def test_the_command_says_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["gaitkeeper", "size", "--cameras", "40", "--people", "60", "--templates", "100000"]
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*asked, *more])
        with pytest.raises(SystemExit):
            main()
        out = capsys.readouterr().out
        if more:
            assert json.loads(out)["gpus"] is None
        else:
            assert "GPUs for perception: not measured" in out
