"""What can be missing before real bodies can be rendered. Each error has a code, as everywhere."""

from __future__ import annotations

from importlib.util import find_spec

from models.errors import GaitkeeperError


class BodiesMissing(GaitkeeperError):
    """The body model is not installed."""

    code = "bodies_missing"

    def __init__(self, detail: str = "Bodies need the extra 'bodies': pip install 'gaitkeeper-id[bodies]'.") -> None:
        super().__init__(detail)


def need_packages() -> None:
    """Say so early if the extra is not installed.

    Raises:
        BodiesMissing: it is not.
    """
    if any(find_spec(name) is None for name in ("anny", "numba")):
        raise BodiesMissing


class BadAsset(GaitkeeperError):
    """A garment is not where it was said to be, cannot be fetched, or is not what the manifest says."""

    code = "bad_asset"
