"""The proxy's configuration in a real nginx, in front of a real service; nothing is changed but addresses and paths."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis_servers import Certificates, free_port
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bench.served import served

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 2**20


class Proxied:
    """A service behind nginx.

    Attributes:
        url: by TLS.
        health: what the container's check asks.
        trust: a client's.
        store: of the service.
    """

    def __init__(self, folder: Path, service: str) -> None:
        self.store = f"sqlite:///{folder}/gallery.db"
        door, check = free_port(), free_port()
        self.url, self.health = f"https://127.0.0.1:{door}", f"http://127.0.0.1:{check}/healthy"
        authority = Certificates(folder)
        self.trust = ssl.create_default_context(cafile=str(authority.authority))
        text = (ROOT / "docker" / "nginx.conf").read_text()
        for old, new in (
            ("/tmp/", f"{folder}/nginx/"),
            ("/run/secrets/tls_certificate", str(authority.authority)),
            ("/run/secrets/tls_key", str(authority.authority.with_suffix(".key"))),
            ("http://api:8321", service),
            ("listen 8443", f"listen 127.0.0.1:{door}"),
            ("127.0.0.1:8080", f"127.0.0.1:{check}"),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "nginx").mkdir()
        config = folder / "nginx.conf"
        config.write_text(text)
        with (folder / "nginx.log").open("wb") as log:
            command = ["nginx", "-c", str(config), "-g", "daemon off;"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(200):
            assert self.process.poll() is None, (folder / "nginx.log").read_text()
            try:
                httpx.get(self.health, timeout=60)
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("nginx does not answer")

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        return httpx.request(method, self.url + path, verify=self.trust, timeout=60, **options)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if shutil.which("nginx") is None:
        pytest.skip("no nginx here: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("proxied")
    with served(folder, max_upload_bytes=LIMIT) as service:
        behind = Proxied(folder, service.url)
        try:
            yield behind
        finally:
            behind.process.terminate()
            behind.process.wait(60)


@pytest.fixture(scope="module")
def key(proxied: Proxied) -> str:
    command = [sys.executable, "-m", "gaitkeeper", "keys", "create", "--scope", "admin", "--json"]
    done = subprocess.run([*command, "--store", proxied.store], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["key"]


def test_without_a_key_other_names_of_this_machine_get_nowhere(proxied: Proxied) -> None:
    assert proxied.ask("GET", "/livez").status_code == 200
    assert httpx.get(proxied.health, timeout=60).status_code == 200
    assert proxied.ask("GET", "/models", headers={"Host": "gait.example"}).status_code == 403


def test_with_a_key_they_get_in_by_tls(proxied: Proxied, key: str) -> None:
    named = {"Host": "gait.example", "Authorization": f"Bearer {key}"}
    reply = proxied.ask("GET", "/models", headers=named)
    assert reply.status_code == 200 and "max-age" in reply.headers["Strict-Transport-Security"]
    assert "nginx/" not in reply.headers.get("Server", "")
    assert proxied.ask("GET", "/models", headers={"Host": "gait.example"}).status_code == 401
    # The page's own requests are told from another page's by the name that it was asked for by.
    assert proxied.ask("GET", "/models", headers=named | {"Origin": "https://gait.example"}).status_code == 200
    assert proxied.ask("GET", "/models", headers=named | {"Origin": "https://evil.example"}).status_code == 403
    assert httpx.get(proxied.url.replace("https", "http") + "/models", headers=named, timeout=60).status_code == 400


def test_a_body_is_counted_by_the_service_and_not_by_the_proxy(proxied: Proxied, key: str) -> None:
    files = {"clip": ("a.mp4", bytes(3 * LIMIT))}
    reply = proxied.ask("POST", "/identify", files=files, headers={"Authorization": f"Bearer {key}"})
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


def test_a_live_stream_goes_through(proxied: Proxied, key: str) -> None:
    address = proxied.url.replace("https", "wss") + "/stream"
    with connect(address, ssl=proxied.trust, additional_headers={"Authorization": f"Bearer {key}"}) as live:
        assert json.loads(live.recv(timeout=60))
    with pytest.raises(InvalidStatus):
        connect(address, ssl=proxied.trust)


def test_tls_is_of_this_decade(proxied: Proxied) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    assert httpx.get(proxied.url + "/livez", verify=old, timeout=60).status_code == 200
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(proxied.url + "/livez", verify=old, timeout=60)
