"""Errors of clips and gait sequences. Each has a code that the service and the command line show."""

from __future__ import annotations

from typing import Self

from gaitkeeper.models.errors import GaitkeeperError


class ClipError(GaitkeeperError):
    """The clip cannot be used; the sender can fix this."""

    code = "bad_clip"


class EmptyUpload(ClipError):
    """No bytes at all."""

    code = "empty_upload"


class UnsupportedMedia(ClipError):
    """A container or codec that is not supported."""

    code = "unsupported_media"


class Undecodable(ClipError):
    """A supported container whose content cannot be decoded."""

    code = "undecodable"


class NoVideo(ClipError):
    """A media file without a video stream."""

    code = "no_video"


class TooShort(ClipError):
    """People were seen, but no one long enough to recognise a gait."""

    code = "too_short"


class NoPerson(ClipError):
    """The clip shows no walking person."""

    code = "no_person"


class MultiplePeople(ClipError):
    """The clip has several walkers, one is needed, and no choice was made."""

    code = "multiple_people"


class CutOff(ClipError):
    """The picture's edge cuts the walker in all frames."""

    code = "cut_off"


class NotUpright(ClipError):
    """The clip's people are not upright: the camera was rotated."""

    code = "not_upright"

    @classmethod
    def turned(cls, turn: int | None, upright: float | None = None) -> Self:
        """Degrees clockwise by which to turn the clip, if known; the share of frames that are upright."""
        advice = "turn the camera or the clip" if turn is None else f"send the clip with rotate={turn}"
        return cls(
            f"The clip's people do not stand upright in the picture: {advice}, so that heads are up and feet down.",
            rotate=turn,
            **({} if upright is None else {"upright": upright}),
        )


class TrackNotFound(ClipError):
    """The chosen track is not in the clip."""

    code = "track_not_found"


class TooLarge(ClipError):
    """The clip exceeds a limit on bytes, pixels, frames or duration."""

    code = "too_large"


class DeadlineExceeded(GaitkeeperError):
    """The work was not finished before the deadline of the request."""

    code = "deadline"


class SandboxUnavailable(GaitkeeperError):
    """Clips cannot be decoded in a sandboxed process here, and the settings require that."""

    code = "sandbox_unavailable"


class NvdecUnavailable(GaitkeeperError):
    """The settings require a GPU decoder that does not exist or cannot be used here."""

    code = "nvdec_unavailable"


class DeviceUnavailable(GaitkeeperError):
    """The requested device does not exist, or a library cannot use it."""

    code = "device_unavailable"


class BadSequence(GaitkeeperError):
    """A stored gait sequence cannot be read, or lacks what a network needs."""

    code = "bad_sequence"


class HeatmapsMissing(BadSequence):
    """A network reads heatmaps and the sequence was kept without them."""

    code = "heatmaps_missing"
