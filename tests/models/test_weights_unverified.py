"""Weights whose digest is not known, and licences that must be accepted, from a real TLS server on loopback."""

from __future__ import annotations

import hashlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gaitkeeper.models import licences, weights
from gaitkeeper.models.errors import LicenceNotAccepted, WeightsCorrupt, WeightsMissing

CONTENT = b"a network that nobody could hash" * 40


class Server:
    """Serves ``content`` at every path, and counts who asks; ``/moved`` leads to plain HTTP."""

    def __init__(self, folder: Path) -> None:
        self.content, self.asked = CONTENT, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the base class wants that name
                outer.asked += 1
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", outer.plain_url)
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_: object) -> None:
                pass

        self.certificate = _certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self._servers[0].socket = context.wrap_socket(self._servers[0].socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._servers[0].server_port}"
        self.plain_url = f"http://127.0.0.1:{self._servers[1].server_port}/toy.pt"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "loopback.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def server(tmp_path: Path):
    opened = Server(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def cache(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and a manifest whose ``toy`` is unverified and under the AGPL, which was not accepted."""
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    monkeypatch.delenv(licences.VARIABLE, raising=False)
    listed(monkeypatch, server.url + "/toy.pt")
    return tmp_path / "cache"


def listed(monkeypatch: pytest.MonkeyPatch, url: str, licence: str = "AGPL-3.0") -> None:
    entry = weights.Entry("toy", "perception", "toy.pt", weights.UNVERIFIED, licence, url=url)
    monkeypatch.setattr(weights, "manifest", lambda: {"toy": entry})


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(licences.VARIABLE, "GPL-2.0-only, AGPL-3.0")


def pull() -> tuple[Path, str]:
    told: list[str] = []
    [path] = weights.pull(["toy"], on_entry=lambda _, state: told.append(state))
    return path, told[-1]


def test_nothing_is_fetched_before_its_licence_was_accepted(cache, server):
    with pytest.raises(LicenceNotAccepted, match=r"'toy'.*AGPL-3\.0.*GAITKEEPER_ACCEPT_LICENSES=AGPL-3\.0"):
        weights.pull(["toy"])
    assert server.asked == 0 and not cache.exists()


def test_another_accepted_licence_does_not_count(cache, server, monkeypatch):
    monkeypatch.setenv(licences.VARIABLE, "AGPL-3.0-or-later")
    with pytest.raises(LicenceNotAccepted):
        weights.pull(["toy"])
    assert server.asked == 0


def test_a_yes_is_remembered_on_the_machine(cache):
    licences.accept("AGPL-3.0")
    assert pull()[1] == "pulled"


def test_permissive_licences_ask_for_nothing(cache, server, monkeypatch):
    listed(monkeypatch, server.url + "/toy.pt", "Apache-2.0")
    assert pull()[1] == "pulled"


def test_the_first_pull_records_the_digest_and_later_ones_must_match(cache, server, accepted):
    path, state = pull()
    assert (path, state, path.read_bytes()) == (cache / "toy.pt", "pulled", CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (cache / "toy.pt.sha256").read_text() == f"{digest}  toy.pt\n"  # as sha256sum -c reads it
    assert weights.locate("toy") == path and pull()[1] == "present"
    path.unlink()
    server.content = CONTENT + b" and something else"
    with pytest.raises(WeightsCorrupt, match=r"toy\.pt\.sha256 says"):
        weights.pull(["toy"])
    assert not path.exists()
    server.content = CONTENT
    assert pull()[1] == "pulled"


def test_a_file_changed_since_is_not_used_and_pulled_anew(cache, accepted):
    path, _ = pull()
    path.write_bytes(b"changed")
    with pytest.raises(WeightsCorrupt, match="delete it"):
        weights.locate("toy")
    assert pull()[1] == "pulled" and path.read_bytes() == CONTENT


def test_a_lock_brought_from_another_machine_holds_here(cache, server, accepted):
    cache.mkdir()
    (cache / "toy.pt.sha256").write_text(f"{'0' * 64}  toy.pt\n")
    with pytest.raises(WeightsCorrupt):
        weights.pull(["toy"])
    assert not (cache / "toy.pt").exists()


def test_a_file_put_there_by_hand_counts_once_a_pull_has_recorded_it(cache, server, accepted):
    cache.mkdir()
    (cache / "toy.pt").write_bytes(b"mine")
    with pytest.raises(WeightsMissing, match="gaitkeeper weights pull toy"):
        weights.locate("toy")
    assert pull() == (cache / "toy.pt", "recorded") and server.asked == 0
    assert weights.locate("toy").read_bytes() == b"mine"


def test_a_redirect_to_plain_http_is_not_followed_to_its_content(cache, server, accepted, monkeypatch):
    listed(monkeypatch, server.url + "/moved")
    with pytest.raises(WeightsMissing, match="not https"):
        weights.pull(["toy"])
    assert not (cache / "toy.pt").exists() and not (cache / "toy.pt.sha256").exists()


def test_a_server_that_is_not_trusted_gives_nothing(cache, accepted, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(WeightsMissing, match="could not be fetched"):
        weights.pull(["toy"])
    assert not (cache / "toy.pt.sha256").exists()
