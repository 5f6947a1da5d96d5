"""Writes the tables of docs/training-keys.md from the types that read a training file: python scripts/training_keys.py

Types, defaults and ranges come from the JSON schema of the types, meanings from the ``Attributes`` of their docstrings.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from gaitkeeper.models import NETWORKS
from gaitkeeper.training.config import TrainingConfig
from gaitkeeper.training.datasets import READERS, partitions

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training-keys.md"
START = "## The file\n"
HEAD = "| Key | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n"
OF_A_NETWORK = "| Option | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n"
CHOICES = {
    "network.name": ("One of", sorted(NETWORKS.keys() - {"gei"})),  # the gait energy image has no weights to train
    "data.format": ("One of", sorted(READERS)),
    "data.partition": ("Names are", sorted(partitions())),
}
"""Values of a text that its type does not list, and how the sentence that lists them begins."""

Schema = dict[str, Any]


def updated(page: str) -> str:
    """The page with the current tables, which are its last part."""
    schema = TrainingConfig.model_json_schema()
    top = {name: one for name, one in schema["properties"].items() if not _table(one)}
    tables = {name: _table(one) for name, one in schema["properties"].items() if _table(one)}
    parts = [START, "\n", HEAD, *_rows(top, schema, meanings(TrainingConfig.__doc__)), "\n"]
    for name, reference in tables.items():
        table = schema["$defs"][reference]
        doc = table["description"]
        about = _markdown(doc.partition("\n\n")[0].replace("\n", " "))
        title = f"[[{name}]]" if name == "losses" else f"[{name}]"
        rows = _rows(table["properties"], table, meanings(doc), prefix=f"{name}.")
        parts += [f"## `{title}`\n\n{about}\n\n", HEAD, *rows, "\n"]
    parts.append("## `network.options`\n\nThe defaults are those of the paper. `num_classes` is set automatically.\n")
    for name in CHOICES["network.name"][1]:
        config = NETWORKS[name].Config
        options = TypeAdapter(config).json_schema()["properties"]
        options.pop("num_classes", None)
        parts += [f"\n### {name}\n\n", OF_A_NETWORK, *_rows(options, {}, meanings(config.__doc__))]
    return page[: page.index(START)] + "".join(parts)


def meanings(doc: str | None) -> dict[str, str]:
    """The texts of a docstring's ``Attributes`` by name; ``a, b: text`` is the text of both."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in inspect.cleandoc(doc or "").partition("Attributes:\n")[2].splitlines():
        start = re.match(r" {4}(\w+(?:, \w+)*): (.+)", line)
        if start:
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        elif line.startswith(" " * 8):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            break
    return {name: text[:1].upper() + text[1:] for name, text in found.items()}


def _table(schema: Schema) -> str | None:
    """The name of the type of a table, or of the tables of a list; None for a plain key."""
    reference = schema.get("$ref") or schema.get("items", {}).get("$ref")
    return reference.rpartition("/")[2] if reference else None


def _rows(keys: Schema, table: Schema, texts: dict[str, str], prefix: str = "") -> Iterator[str]:
    required = table.get("required", [])
    for name, schema in keys.items():
        key = prefix + name
        text = texts[name]
        if key in CHOICES:
            start, values = CHOICES[key]
            text = f"{text} {start} {', '.join(values)}."
        default = "required" if name in required else _value(schema.get("default"))
        cells = (f"`{key}`", kind(schema), default, limits(schema) or "", _markdown(text))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _value(value: Any) -> str:
    return "–" if value is None else f"`{json.dumps(value)}`"


def _markdown(text: str) -> str:
    """A docstring's text without the roles and double backticks of reStructuredText."""
    return re.sub(r":\w+:(?=`)", "", text).replace("``", "`")


def kind(schema: Schema) -> str:
    """The type of a value in words."""
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return "text"
    if schema.get("type") == "array":
        items = schema.get("prefixItems")
        inner = kind(items[0] if items else schema.get("items", {}))
        return f"{len(items)} of: {inner}" if items else f"list: {inner}"
    names = {"integer": "integer", "number": "number", "boolean": "true or false", "object": "table"}
    return names.get(str(schema.get("type")), "path" if schema.get("format") == "path" else "text")


def limits(schema: Schema) -> str | None:
    """The values that are allowed, in words; None if the type says it all. Of a list, those of each item."""
    for one in schema.get("anyOf", []):
        if found := limits(one):
            return found
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("prefixItems")
        return limits(items[0] if items else schema.get("items", {}))
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lower = f"above {above}" if above is not None else None if low is None else f"{low} or more"
    if high is None and below is None:
        return lower
    upper = f"up to {high}" if below is None else f"below {below}"
    if low is not None:
        return f"{low} to {high}" if below is None else f"{low} to below {below}"
    return upper if above is None else f"above {above}, {upper}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
