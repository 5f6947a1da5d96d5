"""The README's Python does what it says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_runs(
    clip: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.S)
    shutil.copy(clip("ann-1"), tmp_path / "walk.mp4")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "subject='alice'" in capsys.readouterr().out
    assert (tmp_path / "gallery.db").is_file()


def test_every_page_and_folder_it_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", text):
        assert (ROOT / target).is_file(), target
    for folder in re.findall(r"^\| `(\w+)/`", text, re.M):
        assert (ROOT / folder).is_dir(), folder
    for module in re.findall(r"`python -m (bench\.\w+)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module
