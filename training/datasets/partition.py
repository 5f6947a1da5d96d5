"""Partitions into training and test people: the published divisions of the data sets, as files beside this one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gaitkeeper.training.datasets.sample import Dataset
from gaitkeeper.training.errors import BadDataset, UnknownFormat

FOLDER = Path(__file__).parent / "partitions"
REST = "rest"


@dataclass(frozen=True)
class People:
    """A selection of people, by name and by pattern (``*train``)."""

    names: frozenset[str]
    patterns: tuple[str, ...] = ()

    def __contains__(self, subject: object) -> bool:
        return subject in self.names or any(fnmatchcase(str(subject), pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class Partition:
    """A division of people into named parts: "train", "test", and others.

    Attributes:
        name: name of the file.
        source: publication of the division.
        parts: the people of each part; None for "rest", all people who are in no other part.
        probes: keys of the probe samples (``Sample.key``), if the partition lists them one by one.
    """

    name: str
    source: str
    parts: dict[str, People | None]
    probes: frozenset[str] | None = None

    def of(self, dataset: Dataset, part: str) -> Dataset:
        """The samples of a part's people.

        Raises:
            UnknownFormat: the partition has no such part.
            BadDataset: the data set has no one of the part's people.
        """
        if part not in self.parts:
            raise UnknownFormat(f"The partition {self.name!r} has {', '.join(self.parts)}, not {part!r}.")
        people = self.parts[part]
        others = [p for p in self.parts.values() if p is not None]
        chosen = dataset.where(
            lambda s: not any(s.subject in p for p in others) if people is None else s.subject in people
        )
        if not len(chosen):
            raise BadDataset(f"No person of part {part!r} of the partition {self.name!r} is in {dataset.name!r}.")
        return chosen


def load_partition(name: str | Path) -> Partition:
    """Load a shipped partition by name, or one of your own from a ``.toml`` or ``.json`` path.

    A TOML file has ``source`` and a table ``[parts]`` of lists of people: a name, a range ``"001-074"`` (both ends
    included, zeros kept), ``"00001-10305:2"`` for every second one, or a pattern with ``*``; ``"rest"`` alone means
    all other people. A JSON file has the form of academic toolkits: ``TRAIN_SET``, ``TEST_SET``, optional
    ``PROBE_SET``.

    Raises:
        UnknownFormat: there is no partition of that name.
        BadDataset: the file is not a partition, or has one person in two parts.
    """
    path = Path(name)
    if path.suffix not in (".toml", ".json"):
        path = FOLDER / f"{name}.toml"
        if not path.is_file():
            raise UnknownFormat(f"There is no partition {str(name)!r}; known are {', '.join(partitions())}.")
    try:
        text = path.read_text(encoding="utf-8")
        partition = _from_toolkit(path, json.loads(text)) if path.suffix == ".json" else _from_toml(path, text)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadDataset(f"The partition file {path} cannot be used: {error}.") from error
    listed = [person for people in partition.parts.values() if people is not None for person in people.names]
    if len(listed) > len(set(listed)):
        raise BadDataset(f"The partition file {path} has one person in two parts.")
    return partition


def partitions() -> list[str]:
    """Names of the shipped partitions."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _from_toml(path: Path, text: str) -> Partition:
    content = tomllib.loads(text)
    parts = {part: None if people == REST else _people(people) for part, people in content["parts"].items()}
    return Partition(path.stem, str(content["source"]), parts)


def _from_toolkit(path: Path, content: dict[str, Any]) -> Partition:
    parts: dict[str, People | None] = {
        "train": People(frozenset(content["TRAIN_SET"])),
        "test": People(frozenset(content["TEST_SET"])),
    }
    return Partition(path.stem, path.name, parts, frozenset(content["PROBE_SET"]) if "PROBE_SET" in content else None)


def _people(entries: Iterable[str]) -> People:
    if isinstance(entries, str):
        raise ValueError(f"a list of people or {REST!r} expected, got {entries!r}")
    entries = list(entries)
    patterns = tuple(entry for entry in entries if "*" in entry)
    return People(frozenset(_expand(entry for entry in entries if "*" not in entry)), patterns)


def _expand(entries: Iterable[str]) -> Iterator[str]:
    for entry in entries:
        first, dash, end = entry.partition("-")
        last, _, step = end.partition(":")
        if dash and first.isdigit() and last.isdigit():
            for number in range(int(first), int(last) + 1, int(step or 1)):
                yield f"{number:0{len(first)}d}"
        else:
            yield entry
