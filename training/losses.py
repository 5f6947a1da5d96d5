"""Losses of part-wise embeddings, all parts at once.

Embeddings are (N, P, C), logits (N, P, classes), ``subjects`` (N,) int64. The distance of two sequences in a part is
Euclidean; each part has triplets of its own, like separate heads (GaitSet section 3.5, GaitPart section 3.4).
pytorch-metric-learning has the same losses for one vector per sequence, and its ArcFace contains the classifier, which
belongs to the network here; the tests compare these losses with it, part by part.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances within each part, (N, P, C) -> (P, N, N).

    They are computed from differences, not from inner products, so that equal embeddings have distance 0 exactly, with
    gradient 0.
    """
    parts = embeddings.transpose(0, 1).contiguous()
    return torch.cdist(parts, parts, compute_mode="donot_use_mm_for_euclid_dist")


def batch_all_triplet(embeddings: Tensor, subjects: Tensor, margin: float = 0.2) -> Tensor:
    """BA+ triplet loss: the mean over the non-zero terms of a part, then over the parts.

    Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017, section 2: the terms are
    relu(margin + d(a, p) − d(a, n)) for every anchor a, every other sequence p of the same person, and every sequence n
    of another. A part without a non-zero term counts as 0.
    """
    distances = pairwise_distances(embeddings)
    same = subjects[:, None] == subjects
    anchor, positive = (same & ~_self(subjects)).nonzero(as_tuple=True)
    # (P, pairs, N): for P × K batches that is K/N of all N³ combinations.
    terms = F.relu(margin + distances[:, anchor, positive, None] - distances[:, anchor])
    terms = terms * ~same[anchor]
    counts = (terms > 0).sum(dim=(1, 2))
    return (terms.sum(dim=(1, 2)) / counts.clamp(min=1)).mean()


def batch_hard_triplet(
    embeddings: Tensor, subjects: Tensor, views: Tensor | None = None, margin: float = 0.2
) -> Tensor:
    """Batch-hard triplet loss: each anchor's farthest positive and nearest negative, mean over anchors and parts.

    JointsGait, section 3.3, eq. 6: positives are the same person in another view, negatives other people in the same
    view. An anchor without such a sequence in the batch uses any other sequence of the person, or any of other people;
    without ``views`` all anchors do. Anchors without any positive or negative are left out.

    Args:
        embeddings: (N, P, C).
        subjects: (N,).
        views: (N,) int64, or None.
        margin: m.
    """
    distances = pairwise_distances(embeddings)
    same = subjects[:, None] == subjects
    positive, negative = same & ~_self(subjects), ~same
    if views is not None:
        same_view = views[:, None] == views
        positive = _prefer(positive & ~same_view, positive)
        negative = _prefer(negative & same_view, negative)
    farthest = distances.masked_fill(~positive, -math.inf).amax(dim=2)
    nearest = distances.masked_fill(~negative, math.inf).amin(dim=2)
    return _mean_of(margin + farthest - nearest, positive.any(dim=1) & negative.any(dim=1))


def weighted_triplet(embeddings: Tensor, subjects: Tensor, margin: float = 0.2) -> Tensor:
    """Adaptively weighted triplet loss: relu(m + Σ w_p d(a, p) − Σ w_n d(a, n)), mean over anchors and parts.

    GaitTAKE, section 3.3, eq. 11. The paper gives no formula of the weights; these are those of Ristani and Tomasi,
    "Features for Multi-Target Multi-Camera Tracking and Re-Identification", CVPR 2018, eq. 5: w_p is the softmax of the
    distances to the positives, w_n that of the negated distances to the negatives, so that hard ones weigh most.
    Gradients pass through the weights. Anchors without a positive or without a negative are left out.
    """
    distances = pairwise_distances(embeddings)
    same = subjects[:, None] == subjects
    positive, negative = same & ~_self(subjects), ~same
    far = (_softmax(distances, positive) * distances).sum(dim=2)
    near = (_softmax(-distances, negative) * distances).sum(dim=2)
    return _mean_of(margin + far - near, positive.any(dim=1) & negative.any(dim=1))


def arcface(cosines: Tensor, subjects: Tensor, margin: float = 0.35, scale: float = 30.0) -> Tensor:
    """ArcFace: cross-entropy of scale · cos, with the margin added to the true class's angle, mean over parts.

    Deng et al., CVPR 2019, eq. 3; JointsGait, eq. 7, whose margin is 0.35 and which does not name the scale. Where the
    angle plus the margin would pass π, cos θ − m sin m continues the curve downwards, as in the authors' code.

    Args:
        cosines: (N, P, classes), in [−1, 1].
        subjects: (N,), below classes.
        margin: in radians.
        scale: factor of the logits.
    """
    true = subjects[:, None, None].expand(-1, cosines.shape[1], 1)
    cosine = cosines.gather(2, true)
    sine = (1 - cosine.square()).clamp(min=1e-7).sqrt()
    with_margin = cosine * math.cos(margin) - sine * math.sin(margin)
    with_margin = torch.where(cosine > -math.cos(margin), with_margin, cosine - margin * math.sin(margin))
    return smoothed_cross_entropy(cosines.scatter(2, true, with_margin), subjects, smoothing=0.0, scale=scale)


def smoothed_cross_entropy(logits: Tensor, subjects: Tensor, smoothing: float = 0.1, scale: float = 1.0) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al., CVPR 2016, section 7), mean over sequences and parts.

    Args:
        logits: (N, P, classes).
        subjects: (N,), below classes.
        smoothing: probability that is spread over all classes.
        scale: logits are multiplied by it; cosine classifiers need one, 16 in GaitBase's public code.
    """
    targets = subjects.repeat_interleave(logits.shape[1])
    return F.cross_entropy(logits.flatten(0, 1) * scale, targets, label_smoothing=smoothing)


def _self(subjects: Tensor) -> Tensor:
    return torch.eye(len(subjects), dtype=torch.bool, device=subjects.device)


def _prefer(strict: Tensor, loose: Tensor) -> Tensor:
    """Rows of the strict mask if they are not empty, else of the loose one."""
    return torch.where(strict.any(dim=1, keepdim=True), strict, loose)


def _softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the true entries of each row of ``mask`` (N, N); zeros elsewhere and in rows without any."""
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=2) * mask


def _mean_of(margins: Tensor, valid: Tensor) -> Tensor:
    """Mean over parts and valid anchors of relu(margins), (P, N) and (N,); 0 where no anchor is valid."""
    return F.relu(margins[:, valid]).sum() / max(1, len(margins) * int(valid.sum()))
