"""The commands that documents give for figures."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([HOME / "README.md", *(HOME / "docs").glob("*.md"), *(HOME / "weights").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_bench_that_a_document_names_is_there(document: Path) -> None:
    named = set(re.findall(r"\bbench\.(?!html|json|md)[a-z_]+\b", document.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if find_spec(name) is None] == []
