"""Verdicts from ranked distances: match, unknown, or inconclusive with a reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gaitkeeper.gallery.decision.calibration import Calibration
from gaitkeeper.gallery.decision.units import Unit
from gaitkeeper.gallery.errors import BadFmr, BadFpir, LikenessChanged, PoorQuality
from gaitkeeper.gallery.search.partwise import Hit
from gaitkeeper.gallery.types import (
    Candidate,
    MatchThreshold,
    Outlier,
    OutlierReason,
    Reason,
    Resemblance,
    Threshold,
    Verdict,
)
from gaitkeeper.pipelines.errors import NotUpright, TooShort
from gaitkeeper.pipelines.posture import MIN_UPRIGHT
from gaitkeeper.pipelines.quality import MIN_RATE, frames_needed
from gaitkeeper.pipelines.sequence import GaitSequence


@dataclass(frozen=True)
class QualityGates:
    """Quality limits of a sequence.

    Attributes:
        min_frames: minimum of usable frames at 30 Hz, for enrolment and for a verdict; about one step. At a lower frame
            rate, the number with the same duration, see :func:`gaitkeeper.pipelines.quality.frames_needed`.
        min_joint_score: minimum mean joint score, for both.
        min_mask_stability: minimum of 1 − the median relative change of the mask's area between frames, for both.
        min_upright: minimum fraction of frames in which the walker is upright, for both.
    """

    min_frames: int = 15
    min_joint_score: float = 0.3
    min_mask_stability: float = 0.5
    min_upright: float = MIN_UPRIGHT

    def check_enrolment(self, seq: GaitSequence, min_rate_hz: float = MIN_RATE) -> None:
        """Reject a sequence that is not good enough for a template. A bad template would spoil later searches.

        Args:
            seq: the walker.
            min_rate_hz: lowest frame rate for which the network is calibrated.

        Raises:
            TooShort: there are too few frames.
            NotUpright: the walker does not stand upright in the picture.
            LikenessChanged: the sequence may show two people.
            PoorQuality: the quality of masks or joints, or the frame rate, is too low; ``reasons`` lists which.
        """
        self._check_person(seq)
        if self.too_short(seq):
            needed = frames_needed(self.min_frames, seq.quality.rate_hz)
            raise TooShort(
                f"The walker is seen in {len(seq)} usable frames; {needed} are needed to enrol.",
                frames=len(seq),
                needed=needed,
            )
        quality = seq.quality
        reasons = {
            "joints": f"a mean joint score of {quality.mean_joint_score:.2f}, at least {self.min_joint_score:g} needed"
            if quality.mean_joint_score < self.min_joint_score
            else None,
            "masks": f"a mask stability of {quality.mask_stability:.2f}, at least {self.min_mask_stability:g} needed"
            if quality.mask_stability < self.min_mask_stability
            else None,
            "rate": f"{quality.rate_hz:.0f} frames a second, at least {min_rate_hz:g} needed"
            if quality.rate_hz < min_rate_hz
            else None,
        }
        if found := {name: text for name, text in reasons.items() if text is not None}:
            raise PoorQuality(
                f"The walker's quality is too low for enrolment: {'; '.join(found.values())}.", reasons=list(found)
            )

    def too_short(self, seq: GaitSequence) -> bool:
        """True if there are too few frames for a verdict."""
        return len(seq) < frames_needed(self.min_frames, seq.quality.rate_hz)

    def _check_person(self, seq: GaitSequence) -> None:
        match self.amiss(seq):
            case Reason.NOT_UPRIGHT:
                raise NotUpright.turned(seq.quality.turn, seq.quality.upright)
            case Reason.LIKENESS_CHANGED:
                raise LikenessChanged(
                    "The track may show two people: the appearance changes during it. Send a clip, or a part of one,"
                    " that shows one person walking.",
                    reasons=["likeness"],
                )

    def amiss(self, seq: GaitSequence) -> Reason | None:
        """Why a sequence does not show one upright person; None if it does. Independent of its quality."""
        if seq.quality.upright < self.min_upright:
            return Reason.NOT_UPRIGHT
        return Reason.LIKENESS_CHANGED if seq.quality.likeness_changed else None

    def poor(self, seq: GaitSequence) -> bool:
        """True if masks or joints are too poor for a verdict. Cut-off frames are not part of the sequence."""
        return (
            seq.quality.mean_joint_score < self.min_joint_score or seq.quality.mask_stability < self.min_mask_stability
        )


def check_fpir(fpir: float) -> None:
    """Raise BadFpir unless it is a rate in (0, 1)."""
    if not 0 < fpir < 1:
        raise BadFpir(f"A false-positive identification rate lies between 0 and 1; {fpir:g} does not.")


def check_fmr(fmr: float) -> None:
    """Raise BadFmr unless it is a rate in (0, 1)."""
    if not 0 < fmr < 1:
        raise BadFmr(f"A false match rate lies between 0 and 1; {fmr:g} does not.")


def candidates_of(
    hits: Sequence[Hit], calibration: Calibration | None, unit: Unit | None = None
) -> tuple[Candidate, ...]:
    """Ranked candidates, nearest first. They have a confidence if there is a calibration.

    Args:
        hits: nearest subject first.
        calibration: of the probe's fingerprint, or None.
        unit: unit of the probe and the nearest template. It is used for all candidates, so that confidence falls with
            rank.
    """
    return tuple(
        Candidate(
            subject=hit.subject,
            rank=rank,
            distance=hit.distance,
            confidence=None if calibration is None else calibration.confidence_of(hit.distance, unit),
            template=hit.template,
        )
        for rank, hit in enumerate(hits, start=1)
    )


def threshold_of(
    fpir: float,
    gallery_size: int,
    calibration: Calibration | None,
    *,
    subjects: int = 0,
    unit: Unit | None = None,
) -> Threshold:
    """The threshold at a rate and a gallery size. It has no value without a calibration.

    Args:
        fpir: the rate.
        gallery_size: number of searched templates.
        calibration: of the probe's fingerprint, or None.
        subjects, unit: as of :meth:`Calibration.threshold`.

    Raises:
        BadFpir: the rate is not calibrated.
    """
    if calibration is None:
        return Threshold(value=None, fpir=fpir, gallery_size=gallery_size, source=None, extrapolated=False)
    return calibration.threshold(fpir, gallery_size, subjects=subjects, unit=unit)


def match_threshold_of(fmr: float, calibration: Calibration | None, unit: Unit | None = None) -> MatchThreshold:
    """The threshold of one-to-one comparison. It has no value without a calibration.

    Raises:
        BadFmr: the rate is not calibrated.
    """
    if calibration is None:
        return MatchThreshold(value=None, fmr=fmr, source=None)
    return calibration.match_threshold(fmr, unit)


def decide(
    seq: GaitSequence,
    hits: Sequence[Hit],
    threshold: Threshold,
    calibration: Calibration | None,
    gates: QualityGates,
) -> tuple[Verdict, Reason | None]:
    """The verdict on a probe. If it is inconclusive, also the first reason that applies.

    Args:
        seq: the probe.
        hits: nearest subject first.
        threshold: from :func:`threshold_of`. The nearest subject matches up to this distance.
        calibration: of the probe's fingerprint, or None.
        gates: quality limits of the probe.
    """
    if threshold.gallery_size == 0:
        return Verdict.INCONCLUSIVE, Reason.EMPTY_GALLERY
    return compare(seq, hits[0].distance if hits else None, threshold.value, calibration, gates)


def compare(
    seq: GaitSequence,
    distance: float | None,
    threshold: float | None,
    calibration: Calibration | None,
    gates: QualityGates,
) -> tuple[Verdict, Reason | None]:
    """As :func:`decide`, for the distance to one subject; None if the sequence is too short to have one."""
    reason = Reason.TOO_SHORT if distance is None else unfit(seq, calibration, gates)
    if reason is None and threshold is None:
        reason = Reason.UNCALIBRATED
    if reason is not None or distance is None or threshold is None:
        return Verdict.INCONCLUSIVE, reason
    return (Verdict.MATCH if distance <= threshold else Verdict.UNKNOWN), None


def unfit(seq: GaitSequence, calibration: Calibration | None, gates: QualityGates) -> Reason | None:
    """Why a sequence cannot identify anyone, whatever it is compared with; None if it can.

    Args:
        seq: the walker.
        calibration: of the fingerprint, or None.
        gates: quality limits of the walker.
    """
    if gates.too_short(seq):
        return Reason.TOO_SHORT
    if seq.quality.rate_hz < (MIN_RATE if calibration is None else calibration.min_rate_hz):
        return Reason.LOW_RATE
    return gates.amiss(seq) or (Reason.POOR_QUALITY if gates.poor(seq) else None)


def resemblance(hit: Hit | None, threshold: Threshold | None) -> Resemblance | None:
    """The nearest other subject, if a walker who is to be enrolled matches it.

    Args:
        hit: the nearest subject other than the one to enrol; None if there is no other.
        threshold: threshold at the strictest calibrated rate; None without a calibration. Then nothing counts as near.
    """
    if hit is None or threshold is None or threshold.value is None or hit.distance > threshold.value:
        return None
    return Resemblance(
        subject=hit.subject,
        template=hit.template,
        distance=hit.distance,
        threshold=threshold,
        detail=f"This walker matches {hit.subject!r}, at a distance of {hit.distance:.3g} up to {threshold.value:.3g}.",
    )


def outliers(
    templates: Sequence[str], among: Tensor, others: Sequence[Hit | None], threshold: float | None
) -> list[Outlier]:
    """Templates of one subject that are nearer to another subject, or far from all its other templates.

    "Far" means farther than ``threshold``. Without a threshold, at least four templates are needed, and far is farther
    than the median of the nearest distances by more than three times their scaled median absolute deviation (Hampel's
    identifier) and by more than a quarter of the median.

    Args:
        templates: ids of n templates.
        among: part-wise distances between them, float (n, n).
        others: for each template, the nearest template of any other subject.
        threshold: distance up to which two walks count as the same person's, if known.
    """
    if len(templates) < 2:
        return []
    nearest = (among + torch.diag(torch.full((len(templates),), math.inf))).amin(dim=1).double()
    far = math.inf if threshold is None else threshold
    if threshold is None and len(templates) >= 4:
        median = float(nearest.median())
        spread = 1.4826 * float((nearest - median).abs().median())
        far = max(median + 3 * spread, 1.25 * median)
    found = []
    for template, own, other in zip(templates, nearest.tolist(), others, strict=True):
        nearer = other is not None and other.distance < own
        if nearer or own > far:
            found.append(
                Outlier(
                    template=template,
                    reason=OutlierReason.NEARER_TO_OTHER if nearer else OutlierReason.FAR_FROM_OWN,
                    own_distance=own,
                    other_subject=None if other is None else other.subject,
                    other_distance=None if other is None else other.distance,
                )
            )
    return found
