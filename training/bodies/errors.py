"""What can be missing before real bodies can be rendered. Each error has a code, as everywhere."""

from __future__ import annotations

from models.errors import GaitkeeperError


class BodiesMissing(GaitkeeperError):
    """The body model is not installed."""

    code = "bodies_missing"

    def __init__(self, detail: str = "Bodies need the extra 'bodies': pip install 'gaitkeeper[bodies]'.") -> None:
        super().__init__(detail)


class BadAsset(GaitkeeperError):
    """A garment is not where it was said to be, cannot be fetched, or is not what the manifest says."""

    code = "bad_asset"
