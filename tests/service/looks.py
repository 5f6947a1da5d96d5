"""How often perception runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gaitkeeper.pipelines.pipeline import Pipeline

Looks = Callable[[], int]


def counted_looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """A function that gives the number of clips that were processed since this call."""
    runs: list[object] = []
    real = Pipeline.process

    def counted(self: Pipeline, *args: object, **kwargs: object) -> object:
        runs.append(args)
        return real(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "process", counted)
    return lambda: len(runs)
