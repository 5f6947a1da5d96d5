"""Where an engine has its heavy work done, if not in its own process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from gallery.search.index import Index
from gallery.types import Collection
from models import GaitNetwork
from pipelines.pipeline import Pipeline
from pipelines.sequence import GaitSequence


class Elsewhere(Protocol):
    """Does what an engine would do itself; the answers are the same."""

    @property
    def pipeline(self) -> Pipeline:
        """What looks at clips; closed by the engine."""
        ...

    def index(self, collection: Collection) -> Index:
        """What searches a collection; closed with its gallery."""
        ...

    def embed(self, seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
        """As :func:`pipelines.embed.embed`."""
        ...
