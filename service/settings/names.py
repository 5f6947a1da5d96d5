"""Names of the settings' variables, and suggestions for misspelt ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from pydantic import BaseModel

from gaitkeeper.service.settings.cameras import SECRET_PREFIX

PREFIX = "GAITKEEPER_"
OTHERS = frozenset(
    f"{PREFIX}{name}"
    for name in (
        # Read outside the settings.
        *("ACCEPT_LICENSES", "API_KEY", "ASSETS", "CACHE", "CONFIG", "DEBUG", "SERVER"),
        # Used by the compose file.
        *("DETECTOR", "GRAFANA_PORT", "MEMORY", "PICTURES", "POSE", "REDIS_MEMORY", "TLS_ADDRESS", "TLS_PORT"),
        # Used by the tests.
        *("CRASH_POINTS", "FUZZ_CLIPS", "FUZZ_EXAMPLES", "IMAGE", "TEST_DATA", "TEST_SIZES"),
    )
)


def names_of(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """The variables that set a model's fields. Nested fields use two underscores."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names_of(field.annotation, f"{prefix}{name.upper()}__")


def strange(model: type[BaseModel], environment: Mapping[str, str] = os.environ) -> list[str]:
    """A warning for each variable with the prefix of the settings that is not a setting."""
    known = {*names_of(model), *OTHERS}
    found = sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX) and not name.startswith(SECRET_PREFIX) and name.upper() not in known
    )
    return [f"{name} is no setting and is passed over{meant(name.upper(), sorted(known))}" for name in found]


def meant(name: str, known: list[str]) -> str:
    """The end of the warning: the most similar name, if there is one."""
    plain = {one.removeprefix(PREFIX): one for one in known}  # ignore the common prefix
    near = get_close_matches(name.removeprefix(PREFIX), plain, n=1)
    return f": did you mean {plain[near[0]]}?" if near else "."
