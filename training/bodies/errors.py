"""Errors of rendering real bodies. Each has a code."""

from __future__ import annotations

from importlib.util import find_spec

from models.errors import GaitkeeperError


class BodiesMissing(GaitkeeperError):
    """The body model is not installed."""

    code = "bodies_missing"

    def __init__(self, detail: str = "Bodies need the extra 'bodies': pip install 'gaitkeeper-id[bodies]'.") -> None:
        super().__init__(detail)


def need_packages() -> None:
    """Raise early if the extra is not installed.

    Raises:
        BodiesMissing: the extra is not installed.
    """
    if any(find_spec(name) is None for name in ("anny", "numba")):
        raise BodiesMissing


class BadAsset(GaitkeeperError):
    """A garment is missing, cannot be fetched, or does not match the manifest."""

    code = "bad_asset"
