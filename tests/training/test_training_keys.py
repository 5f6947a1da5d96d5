"""docs/training-keys.md lists every key of a training file, and what it says of them is so."""

from __future__ import annotations

import dataclasses
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gaitkeeper.models import NETWORKS
from gaitkeeper.training.config import TrainingConfig, load_config
from gaitkeeper.training.errors import BadTrainingConfig

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "training-keys.md").read_text(encoding="utf-8")
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "training_keys.py"))
ROWS = [[cell.strip() for cell in row.split(" | ")] for row in re.findall(r"^\| (`.+) \|$", PAGE, re.M)]
KEYS = {row[0].strip("`"): row[1:] for row in ROWS if "." in row[0] or row[0] in ("`steps`", "`seed`")}
STEP = {"integer": 1.0, "number": 1e-3}


def test_the_page_is_up_to_date() -> None:
    assert SCRIPT["updated"](PAGE) == PAGE, "run: python scripts/training_keys.py"


def test_a_page_without_its_last_key_is_out_of_date() -> None:
    assert SCRIPT["updated"](PAGE[: PAGE.rindex("\n|") + 1]) == PAGE


def paths(content: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found |= {path for one in value for path in paths(one, f"{prefix}{name}.")}
        elif isinstance(value, dict) and prefix + name != "network.options":
            found |= paths(value, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def test_every_key_of_the_types_and_of_the_shipped_files_has_a_meaning() -> None:
    schema = TrainingConfig.model_json_schema()
    count = sum(len(table["properties"]) for table in schema["$defs"].values()) + len(("steps", "seed"))
    assert len(KEYS) == count
    assert all(len(row[-1]) > 8 and row[-1].endswith(".") for row in KEYS.values())
    for file in (ROOT / "training" / "configs").glob("*.toml"):
        assert paths(tomllib.loads(file.read_text(encoding="utf-8"))) <= KEYS.keys(), file.name


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"gei"}))
def test_every_option_of_a_network_has_a_meaning(name: str) -> None:
    part = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", part, re.M))
    assert listed.keys() == {field.name for field in dataclasses.fields(NETWORKS[name].Config)} - {"num_classes"}
    assert all(len(text) > 8 for text in listed.values()), listed


def beyond(kind: str, text: str) -> list[str]:
    """Values just outside of a range in words, as TOML."""
    bounds = re.fullmatch(
        r"(?:(?P<low>[\d.]+) or more|(?P<from>[\d.]+) to (?P<below>below )?(?P<high>[\d.]+)"
        r"|above (?P<above>[\d.]+)(?:, up to (?P<top>[\d.]+))?)",
        text,
    )
    assert bounds, text
    found = bounds.groupdict()
    step = STEP[kind.removeprefix("2 of: ")]
    lower, upper = found["low"] or found["from"], found["high"] or found["top"]
    values = [float(found["above"]) if lower is None else float(lower) - step]
    if upper is not None:
        values.append(float(upper) if found["below"] else float(upper) + step)
    texts = [str(int(value)) if kind.endswith("integer") else repr(value) for value in values]
    return [f"[{text}, {text}]" if kind.startswith("2 of") else text for text in texts]


RANGES = [(key, row[0], row[2]) for key, row in KEYS.items() if re.search(r"\d", row[2]) and "`" not in row[2]]


@pytest.mark.parametrize(("key", "kind", "text"), RANGES, ids=[key for key, _, _ in RANGES])
def test_a_value_outside_of_its_range_is_refused(key: str, kind: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "plain.toml"
    file.write_text(
        'steps = 10\nnetwork = { name = "gaitset" }\ndata = { format = "sequences", root = "walks" }\n'
        'batch = { people = 4, takes = 2 }\nlosses = [{ kind = "batch_all" }]\n'
    )
    path = key.replace("losses.", "losses.0.")
    last = key.rpartition(".")[2]
    for value in beyond(kind, text):
        with pytest.raises(BadTrainingConfig, match=rf"{last}\b.*(greater|less)"):
            load_config(file, [f"{path}={value}"])


def test_ranges_are_found() -> None:
    assert len(RANGES) > 40
