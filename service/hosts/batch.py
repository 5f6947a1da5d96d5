"""Batches on Ray Data: each process of a cluster handles one clip at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.batch.archive import Item
from gaitkeeper.service.batch.lines import Line, Order
from gaitkeeper.service.batch.run import Executor
from gaitkeeper.service.batch.worker import Worker
from gaitkeeper.service.errors import ClusterUnavailable, HostsUnavailable
from gaitkeeper.service.hosts.cluster import joined
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings, load_settings

PIECES = 20_000
"""Maximum number of pieces of an archive. The pieces of a lost host are repeated."""
RETRIES = 5
"""Attempts for a piece whose process ended or whose host was lost."""


@cache
def _worker(order: str) -> Worker:
    """The worker for an order's clips in this process. Models and gallery are loaded for the first clip."""
    return Worker(Engine(load_settings()), Order.model_validate_json(order))


def do_clips(clips: dict[str, Any], order: str) -> dict[str, list[str]]:
    """The result lines of some clips as JSON, or the error of this host, which is not caused by a clip."""
    try:
        worker = _worker(order)
    except GaitkeeperError as error:
        return {"line": [""], "wrong": [error.detail]}
    lines = [worker(Item.model_validate_json(text)) for text in clips["item"]]
    return {"line": [line.model_dump_json() for line in lines], "wrong": [""] * len(lines)}


def on_ray(address: str, settings: Settings, workers: int | None) -> Executor:
    """Processes the clips on a cluster.

    Ray repeats the work of a lost host on another host. A clip may thus be processed twice, which is harmless: the
    store detects a repeated enrolment by its clip, and each clip returns one line.

    Args:
        address: as for :func:`gaitkeeper.service.hosts.cluster.joined`.
        settings: settings of this process. Every other process reads those of its host.
        workers: maximum number of clips at a time; by default as many as the resources allow.

    Raises:
        ClusterUnavailable: as there; or a host's archive, store or weights differ from those of this host.
        HostsUnavailable: the processes for a clip were lost repeatedly.
    """

    def do(order: Order, items: list[Item]) -> Iterator[Line]:
        if not items:
            return
        with joined(address, settings) as ray:
            from ray.exceptions import RayError

            reserved = settings.ray.perception.reserved(settings.pipeline.device)
            there = ray.cluster_resources()
            if any(there.get(name, 0) < reserved[field] for name, field in (("CPU", "num_cpus"), ("GPU", "num_gpus"))):
                raise ClusterUnavailable(f"No host of the cluster has the resources of one worker: {reserved}.")
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            clips = ray.data.from_items(
                [{"item": item.model_dump_json()} for item in items], override_num_blocks=min(len(items), PIECES)
            )
            done = clips.map_batches(
                do_clips,
                batch_size=1,
                fn_kwargs={"order": order.model_dump_json()},
                concurrency=workers,
                max_retries=RETRIES,
                max_calls=0,  # so that a process keeps its models for the next clip
                **reserved,
            )
            try:
                for row in done.iter_rows():
                    if row["wrong"]:
                        raise ClusterUnavailable(row["wrong"])
                    yield Line.model_validate_json(row["line"])
            except RayError as error:
                raise HostsUnavailable(
                    f"The process of a clip was lost {RETRIES} times: {type(error).__name__}."
                ) from error

    return do
