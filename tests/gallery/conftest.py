"""Synthetic gait sequences, and the stores that every contract test runs against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from redis_servers import DURABLE, RedisServer

from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewTemplate, Store
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality

FINGERPRINT = Fingerprint("gaitpart", "0123456789abcdef", "1", "blazepose-full/1")


def walker(person: int, walk: int = 0, *, frames: int = 30, heatmaps: bool = False, **quality: object) -> GaitSequence:
    """A body of ellipses whose proportions and stride belong to the person, and whose noise belongs to the walk."""
    body = np.random.default_rng([1, person]).uniform(0.6, 1.4, size=4)
    noise = np.random.default_rng([2, person, walk])
    rows, columns = np.mgrid[:64, :64]
    silhouettes = np.zeros((frames, 64, 64), np.uint8)
    for t in range(frames):
        swing = 6 * body[3] * np.sin(0.4 * t + walk)
        head = ((rows - 6) / 6) ** 2 + ((columns - 32) / (5 * body[0])) ** 2 < 1
        trunk = ((rows - 24) / 15) ** 2 + ((columns - 32) / (9 * body[1])) ** 2 < 1
        legs = np.zeros_like(head)
        for side in (-1, 1):
            centre = 32 + side * swing * (rows - 34) / 30
            legs |= (abs(columns - centre) < 3 * body[2]) & (rows >= 34)
        silhouettes[t] = 255 * ((head | trunk | legs) ^ (noise.random((64, 64)) < 0.002))
    joints = noise.uniform(100, 200, size=(frames, 17, 3)).astype(np.float32)
    joints[..., 2] = 0.9
    times = np.arange(frames) / 30
    return GaitSequence(
        silhouettes=silhouettes,
        joints=joints,
        heatmaps=noise.integers(0, 256, (frames, 17, 64, 48), np.uint8) if heatmaps else None,
        timestamps=times,
        boxes=np.tile(np.float32([90, 90, 210, 210]), (frames, 1)),
        quality=replace(Quality(frames, {}, 0.9, 0.95, 0.0, frames / 30, 30.0, False), **quality),
        track=1,
        perception="blazepose-full/1",
        frame_size=(640, 480),
    )


def new_template(
    seed: int, *, clip: int | None = None, shape: tuple[int, int] = (4, 8), **fields: object
) -> NewTemplate:
    """A template whose embedding and sequence bytes follow from the seed."""
    rng = np.random.default_rng(seed)
    values = {
        "fingerprint": FINGERPRINT,
        "embedding": rng.normal(size=shape).astype(np.float32),
        "sequence": rng.bytes(3000),
        "has_heatmaps": False,
        "quality": Quality(40, {"cut_off": 2}, 0.8, 0.9, 0.05, 1.5, 29.97, False),
        "track": 1,
        "start": 0.1,
        "end": 1.4,
        "clip_sha256": None if clip is None else f"{clip:064x}",
    }
    return NewTemplate(**(values | fields))


@pytest.fixture(name="walker")
def _walker() -> Callable[..., GaitSequence]:
    return walker


@pytest.fixture(name="new_template")
def _new_template() -> Callable[..., NewTemplate]:
    return new_template


@pytest.fixture
def fingerprint() -> Fingerprint:
    return FINGERPRINT


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that is as durable as a store must be, one for all tests."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), *DURABLE)
    yield server
    server.kill()


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """It, with nothing in it."""
    with redis_process.client() as client:
        client.flushall()
    return redis_process


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers with options, and ends them."""
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        servers.append(RedisServer(tmp_path / f"server{len(servers)}", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(params=["redis", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a store, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gallery.db'}"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store with the collection ``default``."""
    store = open_store(store_url)
    store.ensure_collection("default")
    yield store
    store.close()
