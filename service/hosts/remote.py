"""Runs an engine's heavy work on the replicas and searchers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from ray.actor import ActorHandle
from ray.serve.handle import DeploymentHandle
from torch import Tensor

from gaitkeeper.gallery.search.index import Index
from gaitkeeper.gallery.search.sharded import ShardedIndex
from gaitkeeper.gallery.types import Collection
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.decode import ClipInfo, Source
from gaitkeeper.pipelines.fingerprint import fingerprint_of
from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
from gaitkeeper.pipelines.sequence import Array, GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.service.errors import HostsUnavailable
from gaitkeeper.service.hosts.cluster import persistently, seconds_left
from gaitkeeper.service.hosts.searchers import RaySearchers

TRIED_WITHIN = 60.0
"""Time limit in seconds for a test of the models."""


class RemotePipeline(Pipeline):
    """A pipeline whose clips are processed by replicas. Live streams are processed in this process.

    Args:
        settings: settings of the decoder, for checks of a clip before it is sent to a replica.
        replicas: replicas of :class:`gaitkeeper.service.hosts.replicas.Perception`.
    """

    def __init__(self, settings: PipelineSettings, replicas: DeploymentHandle[Any]) -> None:
        super().__init__(settings)
        self._replicas = replicas
        self._streaming: Any = replicas.options(stream=True)

    def process(
        self,
        source: Source,
        on_progress: Callable[[float], None] | None = None,
        deadline: float | None = None,
        rotate: int = 0,
        info: ClipInfo | None = None,
    ) -> ClipResult:
        """As :meth:`gaitkeeper.pipelines.pipeline.Pipeline.process`. Repeated if a host is lost.

        Raises:
            HostsUnavailable: hosts were lost repeatedly.
        """
        clip = _bytes_of(source)
        tell = on_progress or (lambda _: None)
        return persistently(lambda: self._looked(clip, tell, deadline, rotate, info), deadline)

    def tried(self, picture: Array) -> str:
        """As :meth:`gaitkeeper.pipelines.pipeline.Pipeline.tried`, by one of the replicas."""
        name: str = persistently(lambda: self._replicas.tried.remote(picture).result(timeout_s=TRIED_WITHIN))
        return name

    def _looked(
        self,
        clip: bytes,
        tell: Callable[[float], None],
        deadline: float | None,
        rotate: int,
        info: ClipInfo | None,
    ) -> ClipResult:
        news = self._streaming.look.remote(clip, seconds_left(deadline), rotate, info)
        try:
            for (one,) in news:
                if isinstance(one, GaitkeeperError):
                    raise one
                if isinstance(one, ClipResult):
                    return one
                tell(one)
        finally:
            news.cancel()
        raise HostsUnavailable("A replica ended without a reply.")


class Remote:
    """The remote work of the engine in a cluster's front end; see
    :class:`gaitkeeper.service.recognition.remote_work.Elsewhere`.

    Args:
        settings: settings of the pipeline.
        perception, embedding: replicas of :mod:`gaitkeeper.service.hosts.replicas`.
        searchers: searchers from :func:`gaitkeeper.service.hosts.searchers.start_searchers`.
        patience: time limit in seconds for an embedding: that of a request, because on a busy machine a new replica
            may take minutes to start after a host was lost.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        perception: DeploymentHandle[Any],
        embedding: DeploymentHandle[Any],
        searchers: list[ActorHandle[Any]],
        patience: float,
    ) -> None:
        self.pipeline: Pipeline = RemotePipeline(settings, perception)
        self._embedding = embedding
        self._searchers = searchers
        self._patience = patience

    def index(self, collection: Collection) -> Index:
        """The index that searches a collection."""
        return ShardedIndex(RaySearchers(self._searchers, collection))

    def embed(self, seqs: Sequence[GaitSequence], net: GaitNetwork) -> Tensor:
        """As :func:`gaitkeeper.pipelines.embed.embed`, on a replica. Also raises HostsUnavailable,
        ClusterUnavailable."""
        if not seqs:
            return torch.empty(0, *net.out_shape)
        sent = list(seqs) if "heatmaps" in net.inputs else [seq.without_heatmaps() for seq in seqs]
        wanted = fingerprint_of(net, seqs[0].perception)
        found = persistently(lambda: self._embedding.embed.remote(wanted, sent).result(timeout_s=self._patience))
        if isinstance(found, GaitkeeperError):
            raise found
        return torch.from_numpy(found.copy())  # arrays in shared memory are read-only


def _bytes_of(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, (str, Path)):
        return Path(source).read_bytes()
    source.seek(0)
    return source.read()
