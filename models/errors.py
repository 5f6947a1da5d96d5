"""The root of every error that Gaitkeeper raises on purpose, and the errors of networks and weights."""

from __future__ import annotations

from typing import Any, ClassVar


class GaitkeeperError(Exception):
    """An error with a stable ``code`` and a sentence that helps.

    ``service/problems.py`` maps each code to an HTTP status; the command line prints the sentence.

    Attributes:
        code: stable, snake_case, unique to the class.
        detail: one sentence for the person who called.
        extra: further fields for the reply, JSON-serialisable.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class UnknownNetwork(GaitkeeperError):
    """A network was asked for by a name that is in no registry."""

    code = "unknown_network"


class WeightsMissing(GaitkeeperError):
    """A weights file is not on this machine, or could not be fetched."""

    code = "weights_missing"


class LicenceNotAccepted(GaitkeeperError):
    """Weights, or a package, are under a licence that must be accepted first, and nobody has."""

    code = "licence_not_accepted"


class BadCheckpoint(GaitkeeperError):
    """A checkpoint that someone published is not there, or cannot be imported."""

    code = "bad_checkpoint"


class ExportUnavailable(GaitkeeperError):
    """The packages that write ONNX files are not installed."""

    code = "export_unavailable"


class ExportDiffers(GaitkeeperError):
    """An exported network does not answer as the one that it was made of."""

    code = "export_differs"


class WeightsCorrupt(GaitkeeperError):
    """A weights file is there but is not what the manifest says (digest, format, names or shapes)."""

    code = "weights_corrupt"
