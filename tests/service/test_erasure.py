"""After an erasure nothing of the subject is in any file that a running service, or its Redis, has written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from redis_servers import DURABLE, RedisServer
from serving import Clips

from gaitkeeper.gallery.stores.open import open_store
from gaitkeeper.service.client import Client

ANN, BOB = "ann-of-the-north", "bob-of-the-south"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Under which everything lies that anybody writes here: stores, the state file, logs, temporary files."""
    for name in ("tmp", "service"):
        (tmp_path / "all" / name).mkdir(parents=True)
    return tmp_path / "all"


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, root: Path) -> Iterator[str]:
    """The URL of a store that keeps its files there; Redis takes snapshots, too."""
    if request.param == "sqlite":
        yield f"sqlite:///{root}/gallery.db"
        return
    server = RedisServer(root / "redis", *DURABLE, "--save", "3600 1")
    yield server.url
    server.kill()


@pytest.fixture
def url(root: Path, store: str) -> Iterator[str]:
    """A service in a process of its own, its log in a file."""
    command = [sys.executable, "-m", "gaitkeeper", "serve", "--port", "0", "--store", store]
    given = {"GAITKEEPER_NETWORK": "gei", "GAITKEEPER_STATE": str(root / "service" / "state.db"), "COLUMNS": "200"}
    own = {"TMPDIR": str(root / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}
    log = root / "service" / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=root / "service", env=os.environ | given | own
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[0]
        process.terminate()
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def holding(root: Path, needles: dict[str, bytes]) -> set[tuple[str, str]]:
    """Which of these are in which file."""
    found = set()
    for file in root.rglob("*"):
        try:
            content = file.read_bytes() if file.is_file() else b""
        except FileNotFoundError:  # a temporary one, or one that Redis has just replaced
            continue
        found |= {(name, str(file.relative_to(root))) for name, needle in needles.items() if needle in content}
    return found


def telling(embedding: npt.NDArray[np.floating]) -> bytes:
    """The bytes of 16 numbers of it, those in a row that differ most from each other: background is 0 everywhere."""
    rows = embedding.reshape(-1, 16)
    return max(rows, key=lambda row: len(np.unique(row))).tobytes()


def middle(jpeg: bytes) -> bytes:
    """Bytes of a picture that no other has: the tables at its beginning are the same in all."""
    return jpeg[len(jpeg) // 2 :][:64]


def test_nothing_of_an_erased_subject_is_in_any_file(root: Path, store: str, url: str, clip: Clips) -> None:
    upload = clip("ann-1").read_bytes()
    with Client(url, timeout=120) as client:
        client.update_collection(sightings_seconds=3600)
        template = client.enroll(clip("ann-1"), ANN, idempotency_key="once").template
        client.enroll(clip("bob-1"), BOB)
        seen = client.identify(clip("ann-1")).people[0].sighting
        client.identify(clip("bob-1"))
        assert seen is not None
        # Whatever answers may name her by, kept or logged: replies to repeat, jobs, requests that go wrong.
        job = httpx.post(
            f"{url}/identify",
            files={"clip": clip("ann-2").read_bytes()},
            headers={"Prefer": "respond-async", "Idempotency-Key": "later"},
            timeout=60,
        ).json()["id"]
        client.update_subject(ANN, display_name="Ann Northerly", metadata={"team": "northern lights"})
        assert (
            httpx.post(f"{url}/enroll", data={"subject": ANN}, files={"clip": b"no clip"}, timeout=60).status_code
            == 415
        )
        assert httpx.get(f"{url}/collections/default/subjects/{ANN}/{ANN}", timeout=60).status_code == 404
        assert httpx.get(f"{url}/collections/{ANN}/subjects", timeout=60).status_code == 404
        while client.job(job).ended is None:
            time.sleep(0.1)
        gallery = open_store(store)
        embedding = gallery.embedding("default", template.id)
        sequence = gallery.sequence("default", template.id)
        bob = gallery.templates("default", BOB)[0].id
        kept = {"id": BOB.encode(), "sequence": gallery.sequence("default", bob)[1000:1064]}
        gallery.close()
        traces = {
            "id": ANN.encode(),
            "name": b"Ann Northerly",
            "metadata": b"northern lights",
            "float32": telling(embedding),
            "float16": telling(embedding.astype(np.float16)),
            "sequence": sequence[1000:1064],
            "clip": upload[len(upload) // 2 :][:64],
            "picture": middle(client.subject_picture(ANN)),
            "thumbnail": middle(client.sighting_thumbnail(seen)),
        }
        database = {"gallery.db", "gallery.db-wal"} if store.startswith("sqlite") else {"redis"}
        before = holding(root, traces)
        for name in ("id", "name", "metadata", "float32", "sequence", "picture", "thumbnail"):
            files = {file.split("/")[0] for trace, file in before if trace == name}
            assert files & database, (name, before)
        assert any(trace == "id" and "state" in file for trace, file in before)

        erased = client.erase(ANN)
        assert not erased.pending and erased.sightings == 1
        deadline = time.monotonic() + 60
        while (left := holding(root, traces)) and time.monotonic() < deadline:
            time.sleep(0.05)  # Redis unlinks the files it has replaced in a thread of its own
        assert left == set()
        assert {name for name, _ in holding(root, kept)} == set(kept)
        assert httpx.get(f"{url}/jobs/{job}", timeout=60).status_code == 404
        assert [subject.subject for subject in client.subjects().subjects] == [BOB]
    assert holding(root, traces) == set()
