"""Logs of a training."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class Log:
    """Writes TensorBoard events, and the same numbers line by line to ``log.jsonl``; only the first process writes."""

    def __init__(self, run: Path | None, first: int) -> None:
        self.off = run is None
        if run is not None:
            self.events = SummaryWriter(str(run), purge_step=first)
            self.lines = (run / "log.jsonl").open("a", encoding="utf-8")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.off:
            self.events.close()
            self.lines.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Log numbers after a step."""
        if self.off:
            return
        for name, value in values.items():
            self.events.add_scalar(name, value, step)
        self.lines.write(json.dumps({"step": step, **values}) + "\n")
        self.lines.flush()
