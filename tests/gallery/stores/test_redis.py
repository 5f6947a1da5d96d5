"""What is particular to the Redis store: what a server must promise, how it fails and comes back, where it may run."""

from __future__ import annotations

import subprocess
import time

import pytest
from following import Follower, replay
from redis_servers import DURABLE

from gaitkeeper.gallery.errors import BadStore, NotFound, StoreNotDurable, StoreUnavailable, UnknownStore
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.stores.redis import link
from gaitkeeper.gallery.stores.redis import store as redis_store
from gaitkeeper.gallery.stores.redis.link import Address

ALICE, BOB = NewSubject("alice"), NewSubject("bob")


@pytest.mark.parametrize(
    ("url", "kind", "hosts"),
    [
        ("redis://db", "server", [("db", 6379)]),
        ("redis://:secret@db:7000/3?durability=any", "server", [("db", 7000)]),
        ("rediss://me:secret@[::1]:7000/3?replicas=2", "server", [("::1", 7000)]),
        ("redis+sentinel://me:secret@a,b:7000/gallery/1", "sentinel", [("a", 26379), ("b", 7000)]),
        ("redis+cluster://a:1,b:2,c", "cluster", [("a", 1), ("b", 2), ("c", 6379)]),
    ],
)
def test_urls_say_where_and_never_show_a_password(url, kind, hosts):
    address = Address.parse(url)
    assert (address.kind, list(address.hosts)) == (kind, hosts)
    assert address.options["password"] == ("secret" if "secret" in url else None)
    assert "secret" not in address.url
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "redis://db?durability=perhaps",
        "redis://db?replicas=some",
        "redis://db:port",
        "redis://db/zero",
        "redis://db/1/2",
        "redis://",
        "redis+sentinel://a,b",
        "redis+cluster://a/3",
    ],
)
def test_urls_that_name_no_redis(url):
    with pytest.raises(UnknownStore, match="redis://HOST"):
        open_store(url)


def test_a_redis_that_is_not_there(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
        open_store("redis://me:secret@127.0.0.1:1/0")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "append-only file is off"),
        (["--appendonly", "yes"], "appendfsync everysec"),
        ([*DURABLE, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"], "allkeys-lru"),
    ],
)
def test_a_server_that_may_lose_enrolments_is_refused_unless_that_is_accepted(serve, options, fault, new_template):
    server = serve(*options)
    if "everysec" in fault and version(server) >= (7, 2):
        pytest.skip("this Redis has WAITAOF, so that everysec loses nothing acknowledged")
    with pytest.raises(StoreNotDurable, match=fault) as caught:
        open_store(server.url)
    assert "durability=any" in caught.value.detail
    store = open_store(f"{server.url}?durability=any")
    promises = store.promises()
    assert not promises.durable
    assert any(fault in remark for remark in promises.remarks)
    store.ensure_collection("default")
    store.enroll("default", ALICE, new_template(1))
    store.close()


def version(server):
    with server.client() as client:
        return tuple(map(int, client.info("server")["redis_version"].split(".")[:2]))


def test_a_durable_server_says_how(redis_server):
    store = open_store(redis_server.url)
    promises = store.promises()
    assert promises.durable
    how = "WAITAOF" if version(redis_server) >= (7, 2) else "syncs every write"
    assert len(promises.remarks) == 1
    assert how in promises.remarks[0]
    store.close()


def test_replicas_cannot_be_waited_for_without_waitaof(redis_server):
    if version(redis_server) >= (7, 2):
        pytest.skip("this Redis has WAITAOF")
    with pytest.raises(StoreNotDurable, match=r"7\.2"):
        open_store(f"{redis_server.url}?replicas=1")


def test_waitaof_makes_a_slow_disk_durable_and_waits_for_replicas(serve, new_template, monkeypatch):
    server = serve("--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0")
    if version(server) < (7, 2):
        pytest.skip("WAITAOF came with Redis 7.2")
    store = open_store(server.url)
    assert store.promises().durable
    store.ensure_collection("default")
    began = time.monotonic()
    template = store.enroll("default", ALICE, new_template(1))
    assert store.templates("default", "alice") == [template]
    assert time.monotonic() - began > 0.01  # the disk is synced once a second
    store.close()
    replica = serve("--appendonly", "yes", "--appendfsync", "always", "--replicaof", f"127.0.0.1 {server.port}")
    with replica.client() as client:
        while client.info("replication")["master_link_status"] != "up":
            time.sleep(0.01)
    store = open_store(f"{server.url}?replicas=1")
    assert not store.enroll("default", BOB, new_template(2, clip=2)).duplicate
    assert store.erase("default", "alice").pending  # the replica's files are its own
    monkeypatch.setattr(link, "DISK_SECONDS", 0.2)
    replica.kill()
    with pytest.raises(StoreUnavailable, match="could not confirm"):
        store.enroll("default", ALICE, new_template(3, clip=3))
    replica.start()
    monkeypatch.undo()
    assert store.enroll("default", ALICE, new_template(3, clip=3)).duplicate  # it was there, and now it is confirmed
    store.close()


def test_a_server_that_goes_and_comes_back(serve, new_template):
    server = serve(*DURABLE)
    store = open_store(server.url)
    store.ensure_collection("default")
    template = store.enroll("default", ALICE, new_template(1, clip=1))
    server.kill()
    for ask in (
        lambda: store.enroll("default", BOB, new_template(2)),
        store.collections,
        store.ping,
        lambda: store.changes("default"),
        store.promises,
    ):
        with pytest.raises(StoreUnavailable):
            ask()
    server.start()
    store.ping()
    assert store.templates("default", "alice") == [template]
    store.enroll("default", BOB, new_template(2))
    assert len(replay(store)) == 2
    store.close()


def test_a_full_server_refuses_whole_enrolments_and_still_erases(serve, new_template):
    server = serve(*DURABLE)
    store = open_store(server.url)
    store.ensure_collection("default")
    store.enroll("default", ALICE, new_template(1))
    before = store.collection("default")
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            store.enroll("default", BOB, new_template(2))
        assert store.collection("default") == before
        with pytest.raises(NotFound):
            store.subject("default", "bob")
        assert len(replay(store)) == 1  # reads go on
        assert store.erase("default", "alice").templates == 1
        client.config_set("maxmemory", "0")
    assert not store.enroll("default", BOB, new_template(2)).duplicate
    store.close()


def test_a_replica_takes_no_writes_and_recovers(serve, new_template):
    server, other = serve(*DURABLE), serve(*DURABLE)
    store = open_store(server.url)
    store.ensure_collection("default")
    with server.client() as client:
        client.replicaof("127.0.0.1", other.port)
        with pytest.raises(StoreUnavailable, match=r"READONLY|read only|LOADING|MASTERDOWN"):
            store.enroll("default", ALICE, new_template(1))
        client.replicaof("NO", "ONE")
    store.ensure_collection("default")
    assert not store.enroll("default", ALICE, new_template(1)).duplicate
    store.close()


def test_a_user_with_few_rights(serve, new_template):
    server = serve(*DURABLE, "--save", "3600 1")
    with server.client() as client:
        rights = "~gaitkeeper:* on >secret +@read +@write +@scripting +@connection -@dangerous +info"
        client.execute_command("ACL", "SETUSER", "gallery", *rights.split())
        url = server.url.replace("redis://", "redis://gallery:secret@")
        if version(server) < (7, 2):
            # What cannot be seen is not promised.
            with pytest.raises(StoreNotDurable, match="CONFIG"):
                open_store(url)
            client.execute_command("ACL", "SETUSER", "gallery", "+config|get")
        store = open_store(url)
        assert store.promises().durable
        store.ensure_collection("default")
        store.enroll("default", ALICE, new_template(1))
        store.ping()
        assert store.erase("default", "alice").pending  # BGREWRITEAOF is not allowed
        assert store.audit("default").pending
        client.execute_command("ACL", "SETUSER", "gallery", "+bgrewriteaof", "+bgsave")
        assert not store.audit("default").pending
        store.enroll("default", ALICE, new_template(1))
        assert not store.erase("default", "alice").pending
        client.execute_command("ACL", "SETUSER", "gallery", "resetpass", ">other")
        client.client_kill_filter(user="gallery")
        with pytest.raises(StoreUnavailable) as caught:
            store.ping()
        assert "secret" not in caught.value.detail
    store.close()
    with pytest.raises(StoreUnavailable):
        open_store(url)


def test_other_data_under_our_keys_is_an_error(serve):
    server = serve(*DURABLE)
    with server.client() as client:
        client.set("gaitkeeper:{default}", "something else")
    store = open_store(server.url)
    with pytest.raises(BadStore, match="data of another kind"):
        store.collection("default")
    store.close()


def test_whoever_was_away_for_too_long_starts_anew(redis_server, new_template, monkeypatch):
    monkeypatch.setattr(redis_store, "MEMORY", 3)
    store = open_store(redis_server.url)
    store.ensure_collection("default")
    for i in range(8):
        store.enroll("default", NewSubject(f"s{i}"), new_template(i))
    away, reading, near = Follower(store), Follower(store), Follower(store)
    away.follow()
    reading.step(limit=5)
    for i in range(5):
        store.erase("default", f"s{i}")
        if i == 1:
            near.follow()
    news = store.changes("default", away.cursor)
    assert news.reset
    assert len(news.changes) == 3
    assert not store.changes("default", near.cursor).reset
    for follower in (away, reading, near):
        assert {c.subject for c in follower.follow(limit=2).values()} == {"s5", "s6", "s7"}
    with redis_server.client() as client:
        assert client.zcard("gaitkeeper:{default}:gone") == 3
    store.close()


def test_purging_much_goes_in_steps(redis_server, new_template, monkeypatch):
    monkeypatch.setattr(redis_store, "PURGED_AT_ONCE", 4)
    store = open_store(redis_server.url)
    store.ensure_collection("default", ttl_seconds=1)
    last = [store.enroll("default", NewSubject(f"s{i % 3}"), new_template(i)) for i in range(10)][-1]
    removal = store.purge("default", last.expires)
    assert (removal.templates, removal.subjects) == (10, 3)
    store.close()


def test_erased_bytes_are_in_no_file(serve, new_template):
    server = serve(*DURABLE, "--save", "3600 1")
    store = open_store(server.url)
    store.ensure_collection("default")
    secret, kept = new_template(1), new_template(2)
    store.enroll("default", NewSubject("secret-subject", "Secret Name"), secret)
    store.enroll("default", NewSubject("kept-subject"), kept)
    traces = [b"secret-subject", b"Secret Name", secret.embedding.tobytes(), secret.sequence[1000:1064]]
    with server.client() as client:
        client.bgsave()
        while client.info("persistence")["rdb_bgsave_in_progress"]:
            time.sleep(0.01)

    def on_disk(needle):
        files = (file for file in server.folder.rglob("*") if file.is_file())
        return [file for file in files if needle in file.read_bytes()]

    assert all(len(on_disk(trace)) == 2 for trace in traces)  # append-only file and snapshot
    assert not store.erase("default", "secret-subject").pending
    deadline = time.monotonic() + 60
    while any(map(on_disk, traces)) and time.monotonic() < deadline:
        time.sleep(0.01)  # Redis unlinks the old append-only file in a thread of its own
    assert not any(map(on_disk, traces))
    assert on_disk(b"kept-subject")
    assert on_disk(kept.embedding.tobytes())
    with server.client() as client:
        assert not any(b"secret" in key for key in client.scan_iter("*"))
    store.close()


def test_a_cluster(serve, new_template):
    nodes = [
        serve(*DURABLE, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-config-file", "nodes")
        for _ in range(3)
    ]
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    made = subprocess.run(
        ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], capture_output=True, timeout=60, text=True
    )
    assert made.returncode == 0, made.stdout
    for node in nodes:
        with node.client() as client:
            while client.cluster("info")["cluster_state"] != "ok":
                time.sleep(0.02)
    store = open_store(f"redis+cluster://{','.join(addresses)}")
    assert store.promises().durable
    names = [f"c{i}" for i in range(12)]
    templates = {}
    for i, name in enumerate(names):
        store.ensure_collection(name)
        templates[name] = store.enroll(name, ALICE, new_template(i, clip=1))
        assert store.enroll(name, ALICE, new_template(i, clip=1)).duplicate
    assert [c.name for c in store.collections()] == sorted(names)
    held = []
    for node in nodes:
        with node.client() as client:
            held.append({key.split(b"}")[0] for key in client.scan_iter("gaitkeeper:{*")})
    assert sum(map(len, held)) == len(names)  # each collection is on one node, whole
    assert all(held)
    store.ping()
    assert not store.erase("c0", "alice").pending
    assert not store.audit("c0").pending
    # A node that restarts is found again, without the store being opened anew.
    nodes[0].kill()
    time.sleep(0.1)
    nodes[0].start()
    deadline = time.monotonic() + 60
    for name in names[1:]:
        while True:
            try:
                assert store.templates(name, "alice") == [templates[name]]
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    store.close()


def test_a_write_that_is_sent_twice_is_one_enrolment(serve, new_template, monkeypatch):
    """As when the connection breaks after Redis has written and before its reply is read."""
    store = open_store(serve(*DURABLE).url)
    store.ensure_collection("default")
    call = link.Link._call

    def twice(self, *args):
        call(self, *args)
        return call(self, *args)

    monkeypatch.setattr(link.Link, "_call", twice)
    template = store.enroll("default", ALICE, new_template(1))
    assert not template.duplicate
    assert store.templates("default", "alice") == [template]
    store.close()


def test_means_of_cameras_that_were_stored_go_and_nothing_else(redis_server, new_template):
    store = open_store(redis_server.url)
    for name in ("default", "hall"):
        store.ensure_collection(name)
    template = store.enroll("hall", ALICE, new_template(1))
    store.close()
    with redis_server.client() as client:
        older = "gaitkeeper:{hall}:statistics"
        client.hset(older, "a", "the mean of a camera")
        before = set(client.keys())
        store = open_store(redis_server.url)
        assert before - set(client.keys()) == {older.encode()}
    assert store.templates("hall", "alice") == [template] and store.audit("hall").left == ()
    store.close()
