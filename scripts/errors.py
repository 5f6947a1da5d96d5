"""Writes the table in docs/errors.md from the error classes and service/problems.py: python scripts/errors.py"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from gaitkeeper.service.problems import PROBLEMS, classes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
HEAD = "| Code | Status | Meaning | Python class |\n|---|---|---|---|\n"


def updated(page: str) -> str:
    """The page with the current table, which is its last part."""
    for package in ("models", "pipelines", "gallery", "training", "service"):
        import_module(f"gaitkeeper.{package}.errors")
    rows, kinds = [], classes()
    for code, problem in PROBLEMS.items():
        kind = kinds[code]
        name = f"{kind.__module__}.{kind.__name__}"
        rows.append(f"| `{code}` | {problem.status or '–'} | {problem.title} | `{name}` |\n")
    return page[: page.index(HEAD[:8])] + HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
