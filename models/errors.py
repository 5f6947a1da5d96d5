"""The root of every error that Gaitkeeper raises on purpose, and the errors of networks and weights."""

from __future__ import annotations

from typing import Any, ClassVar


class GaitkeeperError(Exception):
    """Base of all errors: a stable ``code`` and a sentence for the user.

    ``service/problems.py`` maps each code to an HTTP status; the command line prints the sentence.

    Attributes:
        code: stable, snake_case, unique to the class.
        detail: one sentence for the caller.
        extra: further fields for the reply, JSON-serialisable.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class UnknownNetwork(GaitkeeperError):
    """No network has the requested name."""

    code = "unknown_network"


class WeightsMissing(GaitkeeperError):
    """A weights file is not on this machine, or could not be fetched."""

    code = "weights_missing"


class LicenceNotAccepted(GaitkeeperError):
    """Weights, or a package, are under a licence that was not accepted yet."""

    code = "licence_not_accepted"


class BadCheckpoint(GaitkeeperError):
    """A published checkpoint does not exist, or cannot be imported."""

    code = "bad_checkpoint"


class ExportUnavailable(GaitkeeperError):
    """The packages that write ONNX files are not installed."""

    code = "export_unavailable"


class ExportDiffers(GaitkeeperError):
    """The outputs of an exported network differ from those of its source."""

    code = "export_differs"


class WeightsCorrupt(GaitkeeperError):
    """A weights file exists but does not match the manifest (digest, format, names or shapes)."""

    code = "weights_corrupt"
