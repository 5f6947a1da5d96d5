"""The packages of the extra ``bodies``."""

from __future__ import annotations

from importlib.util import find_spec

from gaitkeeper.training.errors import BodiesMissing


def need_packages() -> None:
    """Raise early if the extra is not installed.

    Raises:
        BodiesMissing: the extra is not installed.
    """
    if any(find_spec(name) is None for name in ("anny", "numba")):
        raise BodiesMissing
