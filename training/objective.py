"""The loss of a training: the terms of the configuration, summed over the network's branches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gaitkeeper.training import losses
from gaitkeeper.training.config import LossTable
from gaitkeeper.training.errors import BadTrainingConfig


class Objective:
    """Weighted sum of loss terms, each over every branch that it names.

    JointsGait: 0.9 · batch-hard triplet + 0.1 · ArcFace (eq. 8). GaitHeat: triplet + cross-entropy on each of its three
    branches (eq. 9). GaitPart, GaitSet and GSTSN: BA+ alone. GaitTAKE: the weighted triplet alone (eq. 11).
    """

    def __init__(self, tables: Sequence[LossTable]) -> None:
        self.tables = tuple(tables)

    def __call__(
        self, embeddings: dict[str, Tensor], logits: dict[str, Tensor], subjects: Tensor, views: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its unweighted terms by ``branch/kind``.

        Args:
            embeddings: by branch, (N, P, C).
            logits: by branch, (N, P, classes); empty for a network that trains without a classifier.
            subjects: (N,) int64, below the number of classes.
            views: (N,) int64.

        Raises:
            BadTrainingConfig: a term names a branch that the network does not have.
        """
        total, terms = subjects.new_zeros((), dtype=next(iter(embeddings.values())).dtype), {}
        for table in self.tables:
            source = logits if table.needs_logits else embeddings
            for branch in table.branches or tuple(source):
                if branch not in source:
                    raise BadTrainingConfig(
                        f"The loss {table.kind!r} names the branch {branch!r}; the network has "
                        f"{', '.join(source) or 'none with logits'}."
                    )
                term = _term(table, source[branch].float(), subjects, views)
                terms[f"{branch}/{table.kind}"] = term
                total = total + table.weight * term
        return total, terms


def _term(table: LossTable, x: Tensor, subjects: Tensor, views: Tensor) -> Tensor:
    margin = {} if table.margin is None else {"margin": table.margin}
    if table.kind == "batch_all":
        return losses.batch_all_triplet(x, subjects, **margin)
    if table.kind == "batch_hard":
        return losses.batch_hard_triplet(x, subjects, views, **margin)
    if table.kind == "weighted":
        return losses.weighted_triplet(x, subjects, **margin)
    if table.kind == "arcface":
        return losses.arcface(x, subjects, scale=table.scale, **margin)
    return losses.smoothed_cross_entropy(x, subjects, smoothing=table.smoothing, scale=table.scale)
