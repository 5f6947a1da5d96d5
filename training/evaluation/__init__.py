"""Evaluate how well a network identifies people, with standard protocols: ``evaluate(net, dataset, protocol)``."""

from __future__ import annotations

from gaitkeeper.training.evaluation.embedding import Embedded, embed_dataset
from gaitkeeper.training.evaluation.evaluate import evaluate, evaluate_embedded
from gaitkeeper.training.evaluation.protocols import PROTOCOLS, Protocol, find_protocol
from gaitkeeper.training.evaluation.results import Evaluation

__all__ = [
    "PROTOCOLS",
    "Embedded",
    "Evaluation",
    "Protocol",
    "embed_dataset",
    "evaluate",
    "evaluate_embedded",
    "find_protocol",
]
