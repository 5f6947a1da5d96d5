"""Lua scripts of the Redis store, from the folder ``lua`` beside this file.

Redis runs each script atomically. A script reads its arguments into local variables by one line,
``local subject, entry = unpack(ARGV)``; the caller gives them by these names. A line ``-- include parts/log`` is
replaced by that file. The keys are described in ``lua/parts/keys.lua``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

_ARGUMENTS = re.compile(r"^local ([\w,\s]+) = unpack\(ARGV\)$", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include (\S+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """A script.

    Attributes:
        name: its path below ``lua``, without suffix, as in "subject/erase".
        source: Lua source with its includes, without comments.
        parameters: names of its arguments, in the order of ARGV.
    """

    name: str
    source: str = field(repr=False)
    parameters: tuple[str, ...]

    def values(self, arguments: Mapping[str, Any]) -> list[Any]:
        """The arguments in the order of ARGV. Raises TypeError if one is missing or unknown."""
        if arguments.keys() != set(self.parameters):
            raise TypeError(f"The script {self.name} takes {self.parameters}, not {tuple(arguments)}.")
        return [arguments[name] for name in self.parameters]


@cache
def load(name: str) -> Script:
    """Read a script by its name. Raises FileNotFoundError if there is none."""
    source = _COMMENT.sub("", _with_includes(name))  # the source travels with every call
    found = _ARGUMENTS.search(source)
    return Script(name, source, tuple(re.findall(r"\w+", found[1])) if found else ())


def _with_includes(name: str) -> str:
    text = files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda line: _with_includes(line[1]), text)
