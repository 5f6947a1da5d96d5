"""A Redis behind Sentinel, a Redis that speaks TLS, and what a failover does to those who use the store."""

from __future__ import annotations

import shutil
import time

import pytest
import redis
from following import Follower, replay
from redis_servers import DURABLE, Certificates, SentinelServer, free_port

from gaitkeeper.gallery.errors import Overtaken, StoreUnavailable
from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.gallery.stores.protocol import NewSubject
from gaitkeeper.gallery.stores.redis import link

ALICE, BOB = NewSubject("alice"), NewSubject("bob")


def until(done, seconds=120):
    """What ``done`` gives once it is true; whatever it raises of Redis until then is passed over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := done():
                return found
        except (StoreUnavailable, redis.RedisError):
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def test_tls(serve, certificates, tmp_path, new_template, monkeypatch):
    port = free_port()
    server = serve(*DURABLE, *certificates.options(port))
    store = open_store(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificates.authority}")
    store.ensure_collection("default")
    template = store.enroll("default", ALICE, new_template(1))
    assert store.promises().durable
    plain = open_store(server.url)
    assert plain.templates("default", "alice") == [template]  # the same server
    for one in (store, plain):
        one.close()
    stranger = Certificates(tmp_path, "127.0.0.2")
    monkeypatch.setattr(link, "REPLY_SECONDS", 0.5)  # a plain server waits for the rest of a handshake
    for refused in (
        f"rediss://127.0.0.1:{port}/0",  # nobody known has signed it
        f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={stranger.authority}",
        f"redis://127.0.0.1:{port}/0",
        f"rediss://127.0.0.1:{server.port}/0?ssl_ca_certs={certificates.authority}",
    ):
        with pytest.raises(StoreUnavailable):
            open_store(refused)


def test_a_certificate_of_another_host_is_refused(serve, tmp_path):
    port, other = free_port(), Certificates(tmp_path, "127.0.0.2")
    serve(*DURABLE, *other.options(port))
    with pytest.raises(StoreUnavailable, match="certificate"):
        open_store(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={other.authority}")


@pytest.mark.parametrize("secure", [False, True])
def test_a_failover_to_a_replica(serve, certificates, tmp_path, new_template, secure):
    ports = [free_port() for _ in range(3)]
    tls = [certificates.options(port) if secure else () for port in ports]
    master = serve(*DURABLE, *tls[0])
    watched = ports[0] if secure else master.port
    replica = serve(*DURABLE, *tls[1], "--replicaof", "127.0.0.1", str(watched))
    with replica.client() as client:
        until(lambda: client.info("replication")["master_link_status"] == "up")
    sentinel = SentinelServer(tmp_path / "sentinel", watched, 0 if secure else ports[2], *tls[2])
    ssl = {"ssl": True, "ssl_ca_certs": str(certificates.authority)} if secure else {}
    scheme, query = ("rediss", f"?ssl_ca_certs={certificates.authority}") if secure else ("redis", "")
    try:
        with redis.Redis("127.0.0.1", ports[2], **ssl) as client:
            until(lambda: client.execute_command("SENTINEL REPLICAS gallery"))
        store = open_store(f"{scheme}+sentinel://127.0.0.1:{ports[2]}/gallery/0{query}")
        promises = store.promises()
        assert promises.durable
        assert any("failover" in remark for remark in promises.remarks)
        with pytest.raises(StoreUnavailable):
            open_store(f"{scheme}+sentinel://127.0.0.1:{ports[2]}/another/0{query}")
        store.ensure_collection("default")
        templates = [store.enroll("default", ALICE, new_template(seed, clip=seed)) for seed in range(5)]
        follower = Follower(store)
        follower.follow()
        with master.client() as client:
            client.set("written", "last")
            assert client.wait(1, 10_000) == 1  # and so was everything before it
        master.kill()
        with pytest.raises(StoreUnavailable):
            store.enroll("default", BOB, new_template(9, clip=9))
        templates.append(until(lambda: store.enroll("default", BOB, new_template(9, clip=9))))
        assert store.templates("default", "alice") + store.templates("default", "bob") == templates
        assert follower.follow().keys() == {template.id for template in templates}
        assert store.promises().durable
        store.close()
    finally:
        sentinel.kill()


@pytest.mark.parametrize("others", [0, 1, 2])
def test_whoever_followed_what_a_failover_lost_starts_anew(serve, tmp_path, new_template, others):
    """A replica that had not got the last writes takes over: here, the server as it was before them."""
    server = serve(*DURABLE)
    store = open_store(server.url)
    store.ensure_collection("default")
    kept = {store.enroll("default", ALICE, new_template(seed)).id for seed in (1, 2)}
    server.kill()
    shutil.copytree(server.folder, tmp_path / "replica")
    server.start()
    store.enroll("default", BOB, new_template(3))
    follower = Follower(store)
    follower.follow()
    server.kill()
    shutil.rmtree(server.folder)
    shutil.copytree(tmp_path / "replica", server.folder)
    server.start()
    kept |= {store.enroll("default", ALICE, new_template(10 + i)).id for i in range(others)}
    with pytest.raises(Overtaken):
        store.enroll("default", BOB, new_template(4), follower.cursor)
    assert store.changes("default", follower.cursor).reset
    assert follower.follow().keys() == replay(store).keys() == kept
    store.close()
