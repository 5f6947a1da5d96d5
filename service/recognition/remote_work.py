"""Interface for running an engine's heavy work outside its own process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from gaitkeeper.gallery.search.index import Index
from gaitkeeper.gallery.types import Collection
from gaitkeeper.models import GaitNetwork
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence


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
        """As :func:`gaitkeeper.pipelines.embed.embed`."""
        ...
