"""Real bodies: Anny's parametric people in MakeHuman's clothes, moved by the project's motion model.

Only training uses this package and its extra ``bodies``; the service never loads it.
"""

from __future__ import annotations

from importlib.util import find_spec

from training.errors import BodiesMissing


def need_packages() -> None:
    """Raise early if the extra is not installed.

    Raises:
        BodiesMissing: the extra is not installed.
    """
    if any(find_spec(name) is None for name in ("anny", "numba")):
        raise BodiesMissing
