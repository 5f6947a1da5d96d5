"""A cluster of two hosts, which are processes of this machine: one is lost while it works, and nothing else is."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis_servers import DURABLE, RedisServer
from serving import Clips

from service.batch.lines import Line, Order
from service.batch.run import run as run_batch
from service.engine import Engine
from service.errors import ClusterUnavailable
from service.hosts.cluster import LOOPBACK, NO_SPILLING, QUIET
from service.settings import load_settings

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'gaitkeeper[ray]'"),
    pytest.mark.timeout(900),
]

HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 6}


@dataclass
class Hosts:
    """A head and workers, each a raylet of its own on loopback."""

    folder: Path
    cluster: Any = None
    second: Any = None

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def begin(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self._add(include_dashboard=False, _system_config=HEALTH | NO_SPILLING)

    def _add(self, **options: object) -> Any:
        given = {"num_cpus": 1, "object_store_memory": 200 * 2**20, "node_ip_address": "127.0.0.1", **options}
        for _ in range(2):
            try:
                return self.cluster.add_node(**given)
            except Exception as error:  # of no class of its own, after 30 seconds that Ray does not let one choose
                if "timed out during startup" not in str(error):
                    raise
        return self.cluster.add_node(**given)

    def join(self) -> None:
        """Have a second host."""
        if self.second is None:
            self.second = self._add()

    def lose(self) -> None:
        """End every process of the second host, as where its power fails."""
        lost, self.second = self.second, None
        self.cluster.remove_node(lost, allow_graceful=False)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A cluster on a Redis, both ended in any case."""
    folder = tmp_path_factory.mktemp("hosts")
    redis = RedisServer(folder / "redis", *DURABLE)
    patch = pytest.MonkeyPatch()
    for name, value in {
        **QUIET,
        **LOOPBACK,
        "GAITKEEPER_STORE": redis.url,
        "GAITKEEPER_STATE": str(folder / "service.db"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]),
    }.items():
        patch.setenv(name, value)
    import ray

    # Read from the environment when Ray is first imported, which another test may have done.
    patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
    found = Hosts(folder)
    try:
        found.begin()
        yield found
    finally:
        ray.shutdown()
        found.cluster.shutdown()
        redis.kill()
        patch.undo()


@pytest.fixture
def apart(clip: Clips, tmp_path: Path) -> Callable[[str, int], Path]:
    """A clip by name with bytes of its own: the same pictures, and a number behind them in a box that is skipped."""

    def get(name: str, number: int) -> Path:
        path = tmp_path / "apart" / f"{name}-{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(clip(name).read_bytes() + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big"))
        return path

    return get


def test_a_batch_goes_on_when_a_host_is_lost_and_enrols_every_clip_once(
    hosts: Hosts, apart: Callable[[str, int], Path], tmp_path: Path
) -> None:
    from service.hosts.batch import on_ray

    hosts.join()
    archive = tmp_path / "archive"
    for subject, name in (("ann", "ann-1"), ("bob", "bob-1")):
        (archive / subject).mkdir(parents=True)
        for number in range(4):
            apart(name, number).rename(archive / subject / f"{number}.mp4")
    settings = load_settings()
    with Engine(settings) as engine:
        made = engine.gallery("archive", create=True).collection.created
    order = Order(kind="enroll", place=str(archive), collection="archive", made=made)
    lost = threading.Event()

    def told(clip: str, share: float) -> None:
        if not lost.is_set():
            lost.set()
            threading.Thread(target=hosts.lose).start()

    report = run_batch(order, tmp_path / "results", on_ray(hosts.address, settings, None), tell=told)
    assert lost.is_set()
    assert (report.clips, report.done, report.failed) == (8, 8, [])
    with Engine(settings) as engine:
        assert {s.id: s.templates for s in engine.subjects(collection="archive").subjects} == {"ann": 4, "bob": 4}
    lines = [Line.model_validate_json(text) for text in (tmp_path / "results").read_text().splitlines()[1:]]
    assert sorted(line.name for line in lines) == sorted({line.name for line in lines}) and len(lines) == 8


def test_without_a_cluster_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.hosts.cluster import joined

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterUnavailable, match="not installed"), joined("local", load_settings()):
        pass
