"""Fingerprints: embeddings are comparable only if network, weights, preprocessing and perception are equal."""

from __future__ import annotations

import hashlib
import re
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # replies contain fingerprints, and those who only read replies have no need of torch
    from gaitkeeper.models.base import GaitNetwork

PREPROCESSING = "1"
"""Version of ``gaitkeeper.pipelines.tensors``; increase it with every change of its values."""

_FIELD = re.compile(r"[A-Za-z0-9._/+@-]{1,100}")


@dataclass(frozen=True)
class Fingerprint:
    """The origin of an embedding. Embeddings of two different fingerprints are never compared.

    Device, precision and runtime are left out, because their results agree within a stated tolerance. ``str`` gives the
    stable form ``gei:none:1:blazepose-full/1`` that stores and replies contain; :meth:`parse` reads it back.

    Attributes:
        network: key of ``models.NETWORKS``.
        weights: the network's ``weights_id``.
        preprocessing: version of ``gaitkeeper.pipelines.tensors``.
        perception: backend and version that saw the walker, from the gait sequence.
    """

    network: str
    weights: str
    preprocessing: str
    perception: str

    def __post_init__(self) -> None:
        for f in fields(self):
            if not _FIELD.fullmatch(getattr(self, f.name)):
                raise ValueError(f"{getattr(self, f.name)!r} is not a valid {f.name} of a fingerprint.")

    def __str__(self) -> str:
        return ":".join(astuple(self))

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Parse the form that ``str`` gives.

        Raises:
            ValueError: not a fingerprint.
        """
        parts = text.split(":")
        if len(parts) != 4:
            raise ValueError(f"{text!r} is not a fingerprint: network:weights:preprocessing:perception expected.")
        return cls(*parts)

    @property
    def trained(self) -> bool:
        """False if the network's weights are random numbers."""
        return not self.weights.startswith("untrained")


def fingerprint_of(net: GaitNetwork, perception: str) -> Fingerprint:
    """The fingerprint of embeddings that ``net`` makes of sequences seen by ``perception``.

    Random weights without a seed are identified by their digest, so that two such networks never have equal
    fingerprints.
    """
    weights = net.weights_id
    if weights == "untrained":
        weights = f"untrained-{_digest(net)[:16]}"
    return Fingerprint(net.name, weights, PREPROCESSING, perception)


def _digest(net: GaitNetwork) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
