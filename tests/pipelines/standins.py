"""What mmpose imports of torchvision and never needs: the registry's torchvision may be a build that does not load."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any


class _Absent(types.ModuleType):
    __path__: tuple[str, ...] = ()
    __version__ = "0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in_for_torchvision() -> None:
    """Put something in the place of torchvision where it does not load."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.ops"):
            module = sys.modules[name] = _Absent(name)
            module.__spec__ = ModuleSpec(name, None)
