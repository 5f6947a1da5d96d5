"""From ranked distances to an answer: match, unknown, or inconclusive and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gallery.calibration import Calibration
from gallery.errors import BadFpir
from gallery.search import Hit
from gallery.types import Candidate, Reason, Threshold, Verdict
from pipelines.errors import TooShort
from pipelines.sequence import GaitSequence


@dataclass(frozen=True)
class QualityGates:
    """What a sequence must have to be told by.

    Attributes:
        min_frames: usable frames, for enrolment and for a verdict; 15 are half a second at 30 Hz, about one step.
        min_joint_score: mean joint score, for a verdict.
        min_mask_stability: 1 − the median relative change of the mask's area between frames, for a verdict.
    """

    min_frames: int = 15
    min_joint_score: float = 0.3
    min_mask_stability: float = 0.5

    def check_enrolment(self, seq: GaitSequence) -> None:
        """Refuse what cannot become a template.

        Raises:
            TooShort: fewer frames than ``min_frames``.
        """
        if len(seq) < self.min_frames:
            raise TooShort(
                f"The walker is seen in {len(seq)} usable frames; {self.min_frames} are needed to enrol.",
                frames=len(seq),
                needed=self.min_frames,
            )

    def poor(self, seq: GaitSequence) -> bool:
        """True where masks or joints are too poor for a verdict. Frames cut off are not in the sequence at all."""
        return (
            seq.quality.mean_joint_score < self.min_joint_score or seq.quality.mask_stability < self.min_mask_stability
        )


def check_fpir(fpir: float) -> None:
    """Raise BadFpir unless it is a rate in (0, 1)."""
    if not 0 < fpir < 1:
        raise BadFpir(f"A false-positive identification rate lies between 0 and 1; {fpir:g} does not.")


def candidates_of(hits: Sequence[Hit], calibration: Calibration | None) -> tuple[Candidate, ...]:
    """Ranked candidates, nearest first; with a confidence where there is a calibration."""
    return tuple(
        Candidate(
            subject=hit.subject,
            rank=rank,
            distance=hit.distance,
            confidence=None if calibration is None else calibration.confidence.at(hit.distance),
            template=hit.template,
        )
        for rank, hit in enumerate(hits, start=1)
    )


def threshold_of(fpir: float, gallery_size: int, calibration: Calibration | None) -> Threshold:
    """The threshold for a rate at a number of templates; without a value where there is no calibration.

    Raises:
        BadFpir: the rate is none of the calibrated ones.
    """
    if calibration is None:
        return Threshold(value=None, fpir=fpir, gallery_size=gallery_size, source=None, extrapolated=False)
    return calibration.threshold(fpir, gallery_size)


def decide(
    seq: GaitSequence,
    hits: Sequence[Hit],
    threshold: Threshold,
    calibration: Calibration | None,
    gates: QualityGates,
) -> tuple[Verdict, Reason | None]:
    """The verdict on a probe, and the first reason that holds where it is inconclusive.

    Args:
        seq: the probe.
        hits: nearest subject first.
        threshold: of :func:`threshold_of`; the nearest subject matches up to it.
        calibration: of the probe's fingerprint, or None.
        gates: what the probe must have.
    """
    reason: Reason | None = None
    min_rate = 20.0 if calibration is None else calibration.min_rate_hz
    if threshold.gallery_size == 0:
        reason = Reason.EMPTY_GALLERY
    elif len(seq) < gates.min_frames:
        reason = Reason.TOO_SHORT
    elif seq.quality.low_rate and seq.quality.rate_hz < min_rate:
        reason = Reason.LOW_RATE
    elif gates.poor(seq):
        reason = Reason.POOR_QUALITY
    elif threshold.value is None:
        reason = Reason.UNCALIBRATED
    elif hits[0].distance <= threshold.value:
        return Verdict.MATCH, None
    else:
        return Verdict.UNKNOWN, None
    return Verdict.INCONCLUSIVE, reason
