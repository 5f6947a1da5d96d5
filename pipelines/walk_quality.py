"""The quality of a gait sequence, as a record. It is part of replies, so this module imports no numpy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """Quality of a sequence.

    Attributes:
        frames: usable frames, those in the sequence.
        skipped: frames of the tracklet left out on purpose, by reason ("cut_off", "overlap", "poor_mask", "low_score",
            "enough"), and repeated frames ("repeated").
        mean_joint_score: mean joint score over the sequence, in [0, 1].
        mask_stability: 1 − the median relative change of the mask area between neighbouring frames, in [0, 1].
        cut_off_share: share of the tracklet's frames that the picture's edge cuts, in [0, 1].
        gait_cycles: estimated number of gait cycles (two steps each), at least 0.
        rate_hz: median frame rate of the sequence, in hertz, without repeated frames.
        low_rate: True if the rate is too low to recognise a gait; see :data:`gaitkeeper.pipelines.quality.MIN_RATE`.
        missed: frames of the clip within the tracklet that do not show the person.
        upright: share of the frames whose head is over the hips and these over the ankles, in [0, 1].
        turn: degrees clockwise, 90, 180 or 270, by which the clip must be turned for its people to be upright; None
            if they are, or if it is not known.
        likeness_changed: True if the appearance changes so much that the sequence may show two people.
    """

    frames: int
    skipped: dict[str, int]
    mean_joint_score: float
    mask_stability: float
    cut_off_share: float
    gait_cycles: float
    rate_hz: float
    low_rate: bool
    missed: int = 0
    upright: float = 1.0
    turn: int | None = None
    likeness_changed: bool = False
