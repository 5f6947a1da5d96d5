"""What can be wrong with a clip or a gait sequence. Each has a code that the service and the command line show."""

from __future__ import annotations

from typing import Self

from models.errors import GaitkeeperError


class ClipError(GaitkeeperError):
    """The clip that was given cannot be used; the sender can mend it."""

    code = "bad_clip"


class EmptyUpload(ClipError):
    """No bytes at all."""

    code = "empty_upload"


class UnsupportedMedia(ClipError):
    """Not a container or codec that is decoded here."""

    code = "unsupported_media"


class Undecodable(ClipError):
    """A supported container whose content cannot be decoded."""

    code = "undecodable"


class NoVideo(ClipError):
    """A media file without a video stream."""

    code = "no_video"


class TooShort(ClipError):
    """People were seen, but none for long enough to tell a gait."""

    code = "too_short"


class NoPerson(ClipError):
    """Nobody was found walking in the clip."""

    code = "no_person"


class MultiplePeople(ClipError):
    """More than one walker where one was needed and none was chosen."""

    code = "multiple_people"


class CutOff(ClipError):
    """The walker is cut off by the picture's edge all the way."""

    code = "cut_off"


class NotUpright(ClipError):
    """The clip's people do not stand on their feet: the camera hung otherwise."""

    code = "not_upright"

    @classmethod
    def turned(cls, turn: int | None, upright: float | None = None) -> Self:
        """By how many degrees clockwise to turn the clip, where that is known; the share of frames that are upright."""
        advice = "turn the camera or the clip" if turn is None else f"send the clip with rotate={turn}"
        return cls(
            f"The clip's people do not stand upright in the picture: {advice}, so that heads are up and feet down.",
            rotate=turn,
            **({} if upright is None else {"upright": upright}),
        )


class TrackNotFound(ClipError):
    """A track was chosen that the clip does not have."""

    code = "track_not_found"


class TooLarge(ClipError):
    """The clip exceeds a limit on bytes, pixels, frames or duration."""

    code = "too_large"


class DeadlineExceeded(GaitkeeperError):
    """The work was not done in the time that a request may take."""

    code = "deadline"


class SandboxUnavailable(GaitkeeperError):
    """Clips cannot be decoded in a locked-up process here, and the settings ask for that."""

    code = "sandbox_unavailable"


class NvdecUnavailable(GaitkeeperError):
    """Clips are to be decoded by a GPU's decoder that is not there, or that cannot be used here."""

    code = "nvdec_unavailable"


class DeviceUnavailable(GaitkeeperError):
    """Networks are to run on a device that is not there, or that a library here cannot use."""

    code = "device_unavailable"


class BadSequence(GaitkeeperError):
    """A stored gait sequence cannot be read, or lacks what a network needs."""

    code = "bad_sequence"


class HeatmapsMissing(BadSequence):
    """A network reads heatmaps and the sequence was kept without them."""

    code = "heatmaps_missing"
