"""A batch on Ray Data: a cluster's processes do one clip at a time each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from models.errors import GaitkeeperError
from service.batch.archive import Item
from service.batch.lines import Line, Order
from service.batch.run import Executor
from service.batch.worker import Worker
from service.errors import ClusterUnavailable, HostsUnavailable
from service.hosts.cluster import joined
from service.recognition.engine import Engine
from service.settings import Settings, load_settings

PIECES = 20_000
"""Most pieces that an archive is cut into; what a lost host was doing is done again by the piece."""
RETRIES = 5
"""Of a piece whose process ended or whose host was lost."""


@cache
def _worker(order: str) -> Worker:
    """What does an order's clips in this process: models and gallery are loaded for the first of them."""
    return Worker(Engine(load_settings()), Order.model_validate_json(order))


def do_clips(clips: dict[str, Any], order: str) -> dict[str, list[str]]:
    """JSON of the lines of some clips, or what is wrong with this host, which is no clip's fault."""
    try:
        worker = _worker(order)
    except GaitkeeperError as error:
        return {"line": [""], "wrong": [error.detail]}
    lines = [worker(Item.model_validate_json(text)) for text in clips["item"]]
    return {"line": [line.model_dump_json() for line in lines], "wrong": [""] * len(lines)}


def on_ray(address: str, settings: Settings, workers: int | None) -> Executor:
    """Does the clips on a cluster.

    Ray does again, on another host, whatever was being done on one that is gone. That a clip may so be done twice
    changes nothing: the store knows an enrolment by its clip, and of each clip one line comes back.

    Args:
        address: as of :func:`service.hosts.cluster.joined`.
        settings: of this process; every other reads those of its host.
        workers: how many clips at a time, at most; as many as there are resources for where none is given.

    Raises:
        ClusterUnavailable: as there; or a host's archive, store or weights are not those of this one.
        HostsUnavailable: what did a clip was lost again and again.
    """

    def do(order: Order, items: list[Item]) -> Iterator[Line]:
        if not items:
            return
        with joined(address, settings) as ray:
            from ray.exceptions import RayError

            reserved = settings.ray.perception.reserved(settings.pipeline.device)
            there = ray.cluster_resources()
            if any(there.get(name, 0) < reserved[field] for name, field in (("CPU", "num_cpus"), ("GPU", "num_gpus"))):
                raise ClusterUnavailable(f"No host of the cluster has what one worker reserves: {reserved}.")
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
                max_calls=0,  # a process keeps its models for the next clip
                **reserved,
            )
            try:
                for row in done.iter_rows():
                    if row["wrong"]:
                        raise ClusterUnavailable(row["wrong"])
                    yield Line.model_validate_json(row["line"])
            except RayError as error:
                raise HostsUnavailable(f"What did a clip was lost {RETRIES} times: {type(error).__name__}.") from error

    return do
