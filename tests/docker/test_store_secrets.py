"""The store's password: made by the script, known to Redis as a digest, read by the service from a file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis_servers import RedisServer

from gaitkeeper.gallery import open_store
from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.service.operations.doctor import examine
from gaitkeeper.service.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path) -> str:
    done = subprocess.run(
        [str(ROOT / "scripts" / "secrets.sh"), str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "secrets"
    make(folder)
    return folder


class Started(RedisServer):
    """Redis as ``docker/redis.sh`` starts it, with another port."""

    def command(self) -> list[str]:
        script = ["sh", str(ROOT / "docker" / "redis.sh"), *map(str, (self.options[0], self.folder, self.folder))]
        return [*script, "--port", str(self.port), "--bind", "127.0.0.1"]


@pytest.fixture
def server(secrets: Path, tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path, str(secrets / "redis_password"))
    yield started
    started.kill()


def test_the_script_makes_what_is_not_there_and_keeps_what_is(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700
    before = {file.name: file.read_text() for file in secrets.iterdir()}
    assert before.keys() == {"redis_password", "store_key", "grafana_password"} and len(set(before.values())) == 3
    assert all(len(text) == 64 and set(text) <= set("0123456789abcdef") for text in before.values())
    assert make(secrets).count("kept:") == 3
    assert {file.name: file.read_text() for file in secrets.iterdir()} == before
    assert load_settings(store_key_file=secrets / "store_key").vault is not None


def test_the_service_gets_in_by_the_file_and_others_may_only_ask_whether_it_lives(
    server: Started, secrets: Path
) -> None:
    settings = load_settings(
        store=f"redis://gaitkeeper@127.0.0.1:{server.port}/0", store_password_file=secrets / "redis_password"
    )
    store = open_store(settings.store_url)
    store.ensure_collection("hall")
    assert store.promises().durable
    assert store.audit("hall").entries
    store.delete_collection("hall")
    store.close()
    with server.client() as stranger:
        assert stranger.ping()
        for request in (("GET", "gaitkeeper:x"), ("KEYS", "*"), ("INFO",), ("CONFIG", "GET", "*"), ("ACL", "LIST")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                stranger.execute_command(*request)
    with server.client(username="gaitkeeper", password=(secrets / "redis_password").read_text()) as service:
        for request in (("FLUSHALL",), ("CONFIG", "SET", "dir", "/"), ("GET", "another:key"), ("ACL", "LIST")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                service.execute_command(*request)
    wrong = server.folder / "wrong"
    wrong.write_text("wrong")
    with pytest.raises(StoreUnavailable):
        open_store(load_settings(store=settings.store, store_password_file=wrong).store_url)


def test_the_password_is_in_no_environment_no_list_of_processes_and_no_file_of_redis(
    server: Started, secrets: Path
) -> None:
    password = (secrets / "redis_password").read_bytes()
    about = Path(f"/proc/{server.process.pid}")
    assert b"redis-server" in (about / "cmdline").read_bytes()
    assert password not in (about / "cmdline").read_bytes() + (about / "environ").read_bytes()
    for file in server.folder.rglob("*"):
        assert not file.is_file() or password not in file.read_bytes(), file
    assert (server.folder / "users.acl").stat().st_mode & 0o077 == 0


def test_the_doctor_shows_no_password(server: Started, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = (secrets / "redis_password").read_text()
    for user, file in ((f"gaitkeeper:{password}", None), ("gaitkeeper", secrets / "redis_password")):
        monkeypatch.setenv("GAITKEEPER_STORE", f"redis://{user}@127.0.0.1:{server.port}/0")
        if file is not None:
            monkeypatch.setenv("GAITKEEPER_STORE_PASSWORD_FILE", str(file))
        check = next(check for check in examine() if check.name == "store")
        assert check.ok, check
        assert check.finding == f"redis://127.0.0.1:{server.port}/0 can be written and read"
