"""Run the chain continuously: from frames in pinned memory to search results."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from bench.gpu_chain import Chain, graphed
from gaitkeeper.gallery.search.partwise import PartwiseIndex
from gaitkeeper.models import GaitNetwork
from gaitkeeper.models.inference import Precision, embed
from gaitkeeper.pipelines.track import Tracker

CLIP = 300  # frames of ten seconds
NOT_MEASURED = "not measured"


Track = Callable[[Tensor], object]


def tracker() -> Track | None:
    """A function that tracks one person by boxes, as the service does; None if the package is not installed."""
    try:
        import supervision  # noqa: F401

        tracked = Tracker(30.0)
    except ImportError:
        return None
    frames = count()
    # A fixed high score: the scores of random weights mean nothing.
    return lambda box: tracked.update([SimpleNamespace(box=box.numpy(), score=0.9)], next(frames) / 30)  # type: ignore[list-item]


def inputs_of(walkers: Tensor, kind: str) -> Tensor:
    """Uint8 silhouettes (N, T, 64, 64) or heatmaps (N, T, 17, 64, 48) as a network takes them."""
    if kind == "silhouettes":
        walkers = walkers[:, :, None, :, 10:54]
    return walkers.float() / 255


class _Slots:
    """Double buffering: one batch is copied to the device while the other is processed."""

    def __init__(self, chains: list[Chain], sources: list[Tensor]) -> None:
        self._chains, self._sources = chains, sources
        self._gpu = chains[0].device.type == "cuda"
        self._runs = [graphed(chain, chain.device) for chain in chains]
        self._upload = torch.cuda.Stream() if self._gpu else None
        self._copied, self._done = ([torch.cuda.Event() if self._gpu else None for _ in chains] for _ in range(2))

    def send(self, i: int) -> None:
        """Start copying batch ``i``, once the previous batch in its buffer was processed."""
        slot = i % 2
        stream: AbstractContextManager[Any] = torch.cuda.stream(self._upload) if self._gpu else nullcontext()
        with stream:
            if self._upload and (done := self._done[slot]):
                self._upload.wait_event(done)
            self._chains[slot].pictures.copy_(self._sources[i % len(self._sources)], non_blocking=True)
            if copied := self._copied[slot]:
                copied.record(self._upload)

    def work(self, i: int) -> tuple[Tensor, Tensor, Tensor, Any]:
        """Start processing batch ``i``: boxes (being copied to the host), silhouettes, heatmaps, end event."""
        slot = i % 2
        if copied := self._copied[slot]:
            torch.cuda.current_stream().wait_event(copied)
        found, best, silhouettes, maps, joints = self._runs[slot]()
        silhouettes, maps = silhouettes.clone(), maps.clone()  # the batch after the next overwrites them
        boxes = self._chains[slot].people.to("cpu", non_blocking=True)
        for other in (found, best, joints):
            other.to("cpu", non_blocking=True)
        if done := self._done[slot]:
            done.record()
        return boxes, silhouettes, maps, done


def sustained(
    chains: list[Chain], sources: list[Tensor], network: GaitNetwork, index: PartwiseIndex, length: float, frames: int
) -> dict[str, Any]:
    """Frames per second over at least ``length`` seconds, from pinned memory to the search result of each clip.

    While the device processes one batch, the next is copied to it, and the boxes of the previous one are tracked here.

    Args:
        chains: two equal chains.
        sources: batches in pinned memory, used in turn.
        network: a network that reads silhouettes.
        index: a gallery with embeddings of its shape.
        length: seconds.
        frames: frames per clip.
    """
    precision: Precision = "fp16" if chains[0].device.type == "cuda" else "fp32"
    slots, batch = _Slots(chains, sources), len(sources[0])
    track, is_tracked = tracker(), tracker() is not None
    clip: list[Tensor] = []
    spent = dict.fromkeys(("tracking", "network and search"), 0.0)
    before: tuple[Track | None, Tensor, Any] | None = None
    slots.send(0)
    began, i, clips = time.perf_counter(), 0, 0
    while time.perf_counter() - began < length or i < 4:
        boxes, silhouettes, _, done = slots.work(i)
        slots.send(i + 1)
        clip.append(silhouettes)
        if before is not None:
            _follow(*before, spent)
        before = track, boxes, done
        i += 1
        if len(clip) * batch >= frames:
            lap = time.perf_counter()
            walker = inputs_of(torch.cat(clip)[None], "silhouettes")
            probe = embed(network, (walker,), precision=precision)
            index.search(probe, 5)
            spent["network and search"] += time.perf_counter() - lap
            clip, clips, track = [], clips + 1, tracker()
    if before is not None:
        _follow(*before, spent)
    took = time.perf_counter() - began
    return {
        "frames_per_s": i * batch / took,
        "clips_per_s": i * batch / took / CLIP,
        "seconds": took,
        "clips_searched": clips,
        "tracking": "measured" if is_tracked else NOT_MEASURED,
        "host_ms_per_frame": {name: 1000 * value / i / batch for name, value in spent.items()},
    }


def _follow(track: Track | None, boxes: Tensor, done: Any, spent: dict[str, float]) -> None:
    """Track a batch whose boxes have arrived."""
    if done is not None:
        done.synchronize()
    start = time.perf_counter()
    if track is not None:
        for box in boxes:
            track(box)
    spent["tracking"] += time.perf_counter() - start
