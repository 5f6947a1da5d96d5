"""Replicas of the Ray Serve deployments: they process clips and embed gait sequences."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from ray import serve

from gaitkeeper.gallery.networks import network_of
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.decode import ClipInfo
from gaitkeeper.pipelines.device import require_device
from gaitkeeper.pipelines.embed import embed
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
from gaitkeeper.pipelines.sequence import Array, GaitSequence
from gaitkeeper.service.errors import ClusterUnavailable
from gaitkeeper.service.hosts.own_address import keep_to_own_address
from gaitkeeper.service.settings import load_settings

TICK = 0.5
"""Seconds between progress reports to the caller that waits for a clip."""
OVERLAP = 16
"""Maximum number of concurrent batches of clips, so that a full batch does not block the next."""

F = TypeVar("F", bound=Callable[..., Any])

Embedded = npt.NDArray[np.float32] | GaitkeeperError


def _batched(at_once: int) -> Callable[[F], F]:
    """``serve.batch`` with a type for methods: callers pass one item of each list, and get one back."""
    return cast(Callable[[F], F], serve.batch(max_concurrent_batches=at_once))


class Perception:
    """Processes clips. Those of a batch run in parallel, each decoded in the sandbox of this host.

    Args:
        batch: maximum number of clips per batch.
        wait: seconds that the first one waits for others.
    """

    def __init__(self, batch: int, wait: float) -> None:
        keep_to_own_address()
        settings = load_settings().pipeline
        require_device(settings.device)
        self._pipeline = Pipeline(settings)
        self._threads = ThreadPoolExecutor(batch * OVERLAP)
        self._look.set_max_batch_size(batch)  # type: ignore[attr-defined]
        self._look.set_batch_wait_timeout_s(wait)  # type: ignore[attr-defined]

    async def tried(self, picture: Array) -> str:
        """As :meth:`gaitkeeper.pipelines.pipeline.Pipeline.tried`."""
        return await asyncio.to_thread(self._pipeline.tried, picture)

    async def look(
        self, clip: bytes, seconds: float | None, rotate: int = 0, info: ClipInfo | None = None
    ) -> AsyncIterator[tuple[Any]]:
        """Iterate over the progress of a clip, in [0, 1], and finally its result.

        Args:
            clip: bytes of the clip.
            seconds: time limit; None for no limit.
            rotate, info: as for :meth:`gaitkeeper.pipelines.pipeline.Pipeline.process`.

        Returns:
            Tuples with one item: progress values, and finally a ClipResult or an error.
        """
        async for news in self._look(clip, seconds, rotate, info):  # type: ignore[arg-type]  # one of each list
            yield news  # type: ignore[misc]

    @_batched(OVERLAP)
    async def _look(
        self, clips: list[bytes], seconds: list[float | None], rotates: list[int], infos: list[ClipInfo | None]
    ) -> AsyncIterator[list[Any]]:
        """As :meth:`look`, for several clips. Each is reported as soon as it is done, independently of the others."""
        loop = asyncio.get_running_loop()
        shares = [0.0] * len(clips)

        def one(i: int) -> ClipResult | GaitkeeperError:
            limit = seconds[i]
            deadline = None if limit is None else time.monotonic() + limit
            try:
                return self._pipeline.process(
                    clips[i], lambda share: shares.__setitem__(i, share), deadline, rotates[i], infos[i]
                )
            except GaitkeeperError as error:
                return error

        looks = [loop.run_in_executor(self._threads, one, i) for i in range(len(clips))]
        told = [False] * len(clips)
        while not all(told):
            running = [look for look, over in zip(looks, told, strict=True) if not over]
            await asyncio.wait(running, timeout=TICK, return_when=asyncio.FIRST_COMPLETED)
            news: list[Any] = []
            for i, look in enumerate(looks):
                if told[i]:
                    news.append(StopIteration)
                elif look.done():
                    told[i] = True
                    news.append((look.result(),))
                else:
                    news.append((shares[i],))
            yield news


class Embedding:
    """Embeds gait sequences in batches.

    Args:
        batch: maximum number of calls per batch.
        wait: seconds that the first one waits for others.
    """

    def __init__(self, batch: int, wait: float) -> None:
        keep_to_own_address()
        settings = load_settings()
        self._device = require_device(settings.pipeline.device)
        self._known = () if settings.network is None else (settings.network,)
        self._networks: dict[tuple[str, str], GaitNetwork] = {}
        self.embed.set_max_batch_size(batch)  # type: ignore[attr-defined]
        self.embed.set_batch_wait_timeout_s(wait)  # type: ignore[attr-defined]

    @_batched(1)
    async def embed(self, prints: list[Fingerprint], calls: list[list[GaitSequence]]) -> list[Embedded]:
        """The embeddings (N, P, C) of each call's sequences by the network of its fingerprint, or an error."""
        return await asyncio.to_thread(self._embedded, prints, calls)

    def _embedded(self, prints: Sequence[Fingerprint], calls: Sequence[list[GaitSequence]]) -> list[Embedded]:
        out: dict[int, Embedded] = {}
        for wanted in dict.fromkeys(prints):
            some = [i for i, own in enumerate(prints) if own == wanted]
            try:
                network = self._network(wanted)
                found = embed([seq for i in some for seq in calls[i]], network).numpy()
                parts = np.split(found, np.cumsum([len(calls[i]) for i in some])[:-1])
                out.update(zip(some, parts, strict=True))
            except GaitkeeperError as error:
                if len(some) == 1:
                    out[some[0]] = error
                else:  # one call's sequences must not affect those of others
                    out.update({i: self._embedded([wanted], [calls[i]])[0] for i in some})
        return [out[i] for i in range(len(calls))]

    def _network(self, wanted: Fingerprint) -> GaitNetwork:
        key = wanted.network, wanted.weights
        if key not in self._networks:
            found = network_of(wanted, self._known)
            if (found.name, found.weights_id) != key:
                raise ClusterUnavailable(f"A host has no weights {wanted.weights} of the network {wanted.network!r}.")
            self._networks[key] = found.to(self._device)
        return self._networks[key]
