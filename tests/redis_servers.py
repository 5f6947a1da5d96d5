"""Redis servers of the tests' own: real processes, on loopback, each in a folder that is thrown away."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class RedisServer:
    """A redis-server process; :meth:`start` again after :meth:`kill` finds what was on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("no redis-server here: apt-get install redis-server")
        self.folder, self.options = folder, options
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, **options)

    def command(self) -> list[str]:
        """What runs it."""
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        # "save" with nothing after it must come last of its kind: no snapshots unless an option asks for them.
        return ["redis-server", *where, "--save", "", *self.options]

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
                return
            except redis.RedisError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.01)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()


class Certificates:
    """A certificate of 127.0.0.1, its own authority.

    Attributes:
        authority: file of what a client must trust.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        now = datetime.now(UTC)
        address = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        signed = made.add_extension(address, False).add_extension(x509.BasicConstraints(True, None), True)
        self.authority, private = folder / f"{host}.pem", folder / f"{host}.key"
        self.authority.write_bytes(signed.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files = ("cert", self.authority), ("key", private), ("ca-cert", self.authority)
        self._options = [text for kind, file in files for text in (f"--tls-{kind}-file", str(file))]

    def options(self, port: int) -> tuple[str, ...]:
        """Of a server that speaks TLS on this port, to its replicas, too, and plainly on another."""
        return ("--tls-port", str(port), *self._options, "--tls-auth-clients", "no", "--tls-replication", "yes")


class SentinelServer:
    """A Sentinel that watches the server on a port as ``gallery``, and takes it for dead within half a second."""

    def __init__(self, folder: Path, master: int, port: int, *options: str) -> None:
        folder.mkdir()
        config = folder / "sentinel.conf"
        timings = "sentinel down-after-milliseconds gallery 500\nsentinel failover-timeout gallery 3000\n"
        config.write_text(f"sentinel monitor gallery 127.0.0.1 {master} 1\n{timings}")
        command = ["redis-server", str(config), "--sentinel", "--bind", "127.0.0.1", "--dir", str(folder), *options]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


_FIRST = 12_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_TURN = itertools.count(os.getpid())


def free_port() -> int:
    """A free port, another one each time, whose cluster bus (10000 above) is free, too.

    Both are below the ports that the system gives to connections, and the processes that tests are shared among have
    a thousand each, so nobody takes them before they are used.
    """
    while True:
        port = _FIRST + next(_TURN) % 1_000
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
