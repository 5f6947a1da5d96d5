"""Interface for running an engine's heavy work outside its own process."""

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
    """Does the heavy work of an engine, with the same results as the engine itself."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that processes clips. The engine closes it."""
        ...

    def index(self, collection: Collection) -> Index:
        """The index that searches a collection. Its gallery closes it."""
        ...

    def embed(self, seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
        """As :func:`pipelines.embed.embed`."""
        ...
