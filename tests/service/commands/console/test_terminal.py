"""The consoles that commands print to."""

from __future__ import annotations

import pytest

from gaitkeeper.service.commands.console.terminal import PIPE_WIDTH, _Console


def test_the_width_is_what_columns_says_when_printing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    console = _Console()
    assert console.width == 80
    monkeypatch.setenv("COLUMNS", "200")
    assert console.width == 200
    monkeypatch.delenv("COLUMNS")
    assert console.width == PIPE_WIDTH  # pytest captures the output, so it is no terminal
