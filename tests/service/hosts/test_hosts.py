"""A cluster of two hosts, which are processes of this machine: one is lost while it works, and nothing else is."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from redis_servers import DURABLE, RedisServer, free_port
from serving import Clips

from gaitkeeper.gallery.search.index import CollectionIndex
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject, NewTemplate
from gaitkeeper.pipelines.errors import DeadlineExceeded, NoPerson
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality
from gaitkeeper.service.batch.lines import Line, Order
from gaitkeeper.service.batch.run import run as run_batch
from gaitkeeper.service.client import Client
from gaitkeeper.service.errors import BadSettings, ClusterUnavailable, HostsUnavailable
from gaitkeeper.service.hosts.cluster import LOOPBACK, NO_SPILLING, PATIENT, QUIET
from gaitkeeper.service.operations.listening import listen
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import load_settings

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'gaitkeeper-id[ray]'"),
    pytest.mark.timeout(1800),
]

PRINT = Fingerprint("gaitpart", "0123456789abcdef", "1", "blazepose-full/1")
HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 20}


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
        **PATIENT,
        **LOOPBACK,
        "GAITKEEPER_STORE": redis.url,
        "GAITKEEPER_STATE": str(folder / "service.db"),
        "GAITKEEPER_DEADLINE": "1800",  # on a busy machine a lost host's work is done again after minutes
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")]),
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


def listening() -> dict[str, str]:
    """By Ray's processes: "everywhere" for those that listen on every address, "own" for others that listen."""
    listeners: dict[str, str] = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listeners[f"socket:[{fields[9]}]"] = "own" if fields[1].rpartition(":")[0].strip("0") else "everywhere"
    found: dict[str, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (process / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
            if name.startswith("ray::"):
                theirs = {listeners.get(str(link.readlink())) for link in (process / "fd").iterdir()} - {None}
                if theirs:
                    found[name] = "everywhere" if "everywhere" in theirs else "own"
    return found


def template(seed: int) -> NewTemplate:
    rng = np.random.default_rng(seed)
    return NewTemplate(
        fingerprint=PRINT,
        embedding=rng.normal(size=(4, 8)).astype(np.float32),
        sequence=b"",
        has_heatmaps=False,
        quality=Quality(40, {}, 0.8, 0.9, 0.0, 1.5, 30.0, False),
        track=1,
        start=0.0,
        end=1.0,
    )


def test_searchers_answer_as_one_search_does_also_after_a_host_was_lost(hosts: Hosts) -> None:
    from gaitkeeper.gallery.search.sharded import ShardedIndex
    from gaitkeeper.service.hosts.cluster import joined
    from gaitkeeper.service.hosts.searchers import RaySearchers, start_searchers

    hosts.join()
    settings = load_settings()
    store = open_store(settings.store_url)
    collection = store.ensure_collection("searched")
    for seed in range(60):
        store.enroll("searched", NewSubject(f"s{seed % 17}"), template(seed))
    probes = torch.from_numpy(np.random.default_rng(99).normal(size=(5, 4, 8)).astype(np.float32))
    one = CollectionIndex(store, "searched")
    with joined(hosts.address, settings):
        index = ShardedIndex(RaySearchers(start_searchers(2), collection))
        assert index.search(PRINT, probes, 6).hits == one.search(PRINT, probes, 6).hits
        hosts.lose()
        store.enroll("searched", NewSubject("late"), template(100))
        found = index.search(PRINT, probes, 6)
        assert (found.hits, found.size) == (one.search(PRINT, probes, 6).hits, 61)
        assert index.ready()
        wrong = collection.model_copy(update={"created": collection.created.replace(year=2000)})
        with pytest.raises(ClusterUnavailable, match="another store"):
            ShardedIndex(RaySearchers(start_searchers(1), wrong)).search(PRINT, probes, 1)
    store.delete_collection("searched")
    store.close()


def test_a_search_does_not_wait_for_ever_for_a_searcher(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from gaitkeeper.service.hosts import searchers
    from gaitkeeper.service.hosts.cluster import joined

    class Stuck:
        def ask(self, *args: object) -> None:
            threading.Event().wait(600)

    settings = load_settings()
    store = open_store(settings.store_url)
    collection = store.ensure_collection("stuck")
    with joined(hosts.address, settings):
        actor: Any = ray.remote(Stuck)
        monkeypatch.setattr(searchers, "ANSWER_WITHIN", 0.5)
        with pytest.raises(DeadlineExceeded):
            searchers.RaySearchers([actor.remote()], collection).ask("followed")
    store.delete_collection("stuck")
    store.close()


def test_a_batch_goes_on_when_a_host_is_lost_and_enrols_every_clip_once(
    hosts: Hosts, apart: Callable[[str, int], Path], tmp_path: Path
) -> None:
    from gaitkeeper.service.hosts.batch import on_ray

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
        assert {s.subject: s.templates for s in engine.subjects(collection="archive").subjects} == {"ann": 4, "bob": 4}
    lines = [Line.model_validate_json(text) for text in (tmp_path / "results").read_text().splitlines()[1:]]
    assert sorted(line.name for line in lines) == sorted({line.name for line in lines}) and len(lines) == 8


def test_the_service_answers_on_when_a_host_is_lost(
    hosts: Hosts, clip: Clips, apart: Callable[[str, int], Path]
) -> None:
    from gaitkeeper.service.ray_app import run

    hosts.join()
    port, ready, stop = free_port(), threading.Event(), threading.Event()
    settings = load_settings(port=port)
    replicas = settings.ray.perception.model_copy(update={"least": 2, "most": 2, "cpus": 0.5, "batch": 2})
    small = settings.ray.embedding.model_copy(update={"cpus": 0, "most": 1})
    settings.ray = settings.ray.model_copy(update={"perception": replicas, "embedding": small})
    broken: list[BaseException] = []

    def served() -> None:
        try:
            run(settings, hosts.address, lambda url: ready.set(), stop)
        except BaseException as error:
            broken.append(error)
            ready.set()

    thread = threading.Thread(target=served)
    thread.start()
    try:
        assert ready.wait(900) and not broken, broken
        with Client(f"http://127.0.0.1:{port}", timeout=1800) as client:
            assert any("ServeReplica" in name for name in listening()) and "everywhere" not in listening().values()
            assert client.ready().checks.keys() == {"decoder", "perception", "network", "store", "index"}
            forged = httpx.get(f"http://127.0.0.1:{port}/models", headers={"Host": "gait.example"}, timeout=60)
            assert forged.json()["code"] == "forbidden"
            answers: dict[int, str] = {}

            def enrol(number: int) -> None:
                reply = client.enroll(apart("ann-1", number), "ann")
                answers[number] = reply.template.id

            callers = [threading.Thread(target=enrol, args=(number,)) for number in range(10, 14)]
            for caller in callers:
                caller.start()
            time.sleep(2)
            hosts.lose()
            for caller in callers:
                caller.join(1800)
            assert len(set(answers.values())) == 4
            assert client.enroll(apart("bob-1", 10), "bob").template.duplicate is False
            person = client.identify(clip("ann-2")).people[0]
        with Engine(load_settings()) as engine:
            assert {s.subject: s.templates for s in engine.subjects().subjects} == {"ann": 4, "bob": 1}
            same = engine.identify(clip("ann-2")).people[0]
        assert [c.subject for c in person.candidates] == [c.subject for c in same.candidates] == ["ann", "bob"]
        for theirs, ours in zip(person.candidates, same.candidates, strict=True):
            assert theirs.distance == pytest.approx(ours.distance, abs=1e-5)
        assert (person.verdict, person.fingerprint) == (same.verdict, same.fingerprint)
    finally:
        stop.set()
        thread.join(120)


def test_a_port_that_another_program_holds_is_told(hosts: Hosts) -> None:
    from gaitkeeper.service.ray_app import run

    with listen("127.0.0.1", 0) as door, pytest.raises(BadSettings, match="cannot be listened on"):
        run(load_settings(port=door.getsockname()[1]), hosts.address, pytest.fail)


def test_a_web_server_that_is_slow_to_start_is_waited_for() -> None:
    from gaitkeeper.service.ray_app import MINUTES, patiently

    slow = iter([TimeoutError("HTTP proxies not available after 60s.")] * 2)

    def start() -> None:
        for error in slow:
            raise error

    patiently(start)
    assert next(slow, None) is None
    with pytest.raises(ClusterUnavailable, match=f"{MINUTES} minutes"):
        patiently(lambda: (_ for _ in ()).throw(TimeoutError("HTTP proxies not available after 60s.")))


@pytest.mark.timeout(300)  # half of Ray's own patience
@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "127.0.0.1", "nowhere.invalid:6379", "127.0.0.1:99999999999"])
def test_where_nobody_listens_there_is_a_sentence_at_once(address: str) -> None:
    from gaitkeeper.service.hosts.cluster import joined

    with (
        pytest.raises(ClusterUnavailable, match="no Ray cluster"),
        joined(address.format(port=free_port()), load_settings()),
    ):
        pass


def test_without_a_cluster_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gaitkeeper.service.hosts.cluster import joined

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterUnavailable, match="not installed"), joined("local", load_settings()):
        pass


def test_a_host_that_is_lost_is_tried_for_as_long_as_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.exceptions import ActorUnavailableError, RayTaskError

    from gaitkeeper.service.hosts import cluster

    slept: list[float] = []
    monkeypatch.setattr(cluster.time, "sleep", slept.append)

    def giving(*outcomes: object) -> Callable[[], object]:
        left = list(outcomes)

        def do() -> object:
            outcome = left.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return do

    lost = ActorUnavailableError("gone", None)
    assert cluster.persistently(giving(lost, lost, "answer")) == "answer" and len(slept) == 2
    with pytest.raises(HostsUnavailable, match="ActorUnavailableError"):
        cluster.persistently(giving(*[lost] * cluster.TRIES))
    with pytest.raises(HostsUnavailable):
        cluster.persistently(giving(lost, "too late"), deadline=time.monotonic())
    with pytest.raises(DeadlineExceeded):
        cluster.persistently(giving(TimeoutError()), deadline=time.monotonic())
    # What is wrong with a clip is wrong on every host: it comes out as it was raised there, and at once.
    told = RayTaskError("look", "traceback", NoPerson("Nobody."))
    with pytest.raises(NoPerson) as caught:
        cluster.persistently(giving(told.as_instanceof_cause()))
    assert type(caught.value) is NoPerson
