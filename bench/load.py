"""Many, large and slow uploads at once: ``python -m bench.load``.

Checks the following bounds; the exit code is 1 if one is broken:

- 64 clips of 100 MB at the same time: the service grows by at most ``CROWD_MB``. An upload needs up to 1 MB of
  memory, until it goes to a nameless file, plus socket buffers, and at most ``uploads`` are received at once; the rest
  is the decoding of one clip. Every answer is 2xx or 4xx of the clip, 429, or 503 with ``Retry-After``.
- one body of 2 GB, with and without a declared length: 413; with a length before a byte of it is read, without one
  within one chunk of the limit (within ``SLACK_MB`` as counted by the caller, which includes its kernel's buffers). The
  service grows by at most ``LARGE_MB``.
- slow clients, more than there are places, that send a byte a second: other clients are answered meanwhile.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from bench.report import write
from bench.served import Peak, Served, padded, served, short_walk

CROWD_MB = 96
LARGE_MB = 64
SLACK_MB = 16
LIMIT = 256 * 2**20
TOO_LARGE = 2 * 2**30
KNOWN = frozenset({200, 415, 422, 429, 503})


def crowd(service: Served, clip: Path, clients: int) -> dict[str, Any]:
    """Send one clip many times at once, and measure the memory."""
    before, peak = service.own_rss(), Peak(service)
    peak.start()

    def send(_: int) -> tuple[int, bool]:
        with clip.open("rb") as file, httpx.Client(base_url=service.url, timeout=600) as client:
            try:
                reply = client.post("/identify", files={"clip": ("walk.mp4", file)})
            except httpx.TransportError:  # refused during the upload
                return 0, True
            return reply.status_code, reply.status_code != 503 or "retry-after" in reply.headers

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(send, range(clients)))
    growth = peak.stop() - before
    statuses = Counter(status for status, _ in answers)
    return {
        "clients": clients,
        "clip_mb": clip.stat().st_size / 1e6,
        "answers": {str(status): count for status, count in sorted(statuses.items())},
        "cut_off": statuses[0],
        "took_s": time.perf_counter() - began,
        "growth_mb": growth,
        "bound_mb": CROWD_MB,
        "passed": growth <= CROWD_MB and all(good for _, good in answers) and statuses.keys() <= KNOWN | {0},
    }


def large(service: Served, size: int, limit: int) -> dict[str, Any]:
    """Send one body that is much too large, with and without a declared length."""
    before, peak = service.own_rss(), Peak(service)
    peak.start()
    told = _pour(service, size, declared=True)
    streamed = _pour(service, size, declared=False)
    growth = peak.stop() - before
    over = (streamed["sent"] - limit) / 1e6
    return {
        "size_mb": size / 1e6,
        "limit_mb": limit / 1e6,
        "declared": told,
        "streamed": streamed,
        "over_mb": over,
        "growth_mb": growth,
        "bound_mb": LARGE_MB,
        "passed": told["status"] == streamed["status"] == 413 and over <= SLACK_MB and growth <= LARGE_MB,
    }


def _pour(service: Served, size: int, *, declared: bool) -> dict[str, int]:
    """Status of the answer, and the number of bytes sent before it."""
    form = b'--x\r\nContent-Disposition: form-data; name="clip"; filename="a"\r\n\r\n'
    length = b"Content-Length: %d" % size if declared else b"Transfer-Encoding: chunked"
    with _connected(service) as connection:
        connection.sendall(
            b"POST /identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            + length
            + b"\r\n\r\n"
        )
        sent = 0
        for block in _blocks(form, size):
            with suppress(BlockingIOError):
                connection.setblocking(False)
                if connection.recv(1, socket.MSG_PEEK):
                    break
            connection.setblocking(True)
            try:
                connection.sendall(block if declared else b"%x\r\n%b\r\n" % (len(block), block))
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(block)
        connection.setblocking(True)
        connection.settimeout(60)
        with suppress(ConnectionResetError):
            head = connection.recv(4096)
            return {"status": int(head.split(b" ", 2)[1]) if head else 0, "sent": sent}
    return {"status": 0, "sent": sent}


def _blocks(form: bytes, size: int) -> Iterator[bytes]:
    yield form
    block = bytes(2**16)
    for _ in range(size // len(block)):
        yield block


def slow(service: Served, clip: Path, clients: int, asked: int) -> dict[str, Any]:
    """Hold connections with very slow bodies, and send clips at the same time."""
    stop = threading.Event()
    head = (
        b"POST /identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b'Content-Length: 90000000\r\n\r\n--x\r\nContent-Disposition: form-data; name="clip"; filename="a"\r\n\r\n'
    )
    with ExitStack() as stack:
        held = [stack.enter_context(_connected(service)) for _ in range(clients)]

        def drip() -> None:
            for connection in held:
                connection.sendall(head)
            while not stop.wait(1.0):
                for connection in held:
                    with suppress(OSError):
                        connection.sendall(b"\0")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        time.sleep(4)
        took, statuses = [], Counter[int]()
        for _ in range(asked):
            began = time.perf_counter()
            with clip.open("rb") as file:
                reply = httpx.post(f"{service.url}/identify", files={"clip": ("walk.mp4", file)}, timeout=300)
            statuses[reply.status_code] += 1
            took.append(time.perf_counter() - began)
        stop.set()
        thread.join()
    return {
        "clients": clients,
        "asked": asked,
        "answers": {str(status): count for status, count in statuses.items()},
        "slowest_s": max(took),
        "passed": statuses == Counter({200: asked}),
    }


def _connected(service: Served) -> socket.socket:
    host, _, port = service.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), 60)


def measure(
    folder: Path,
    *,
    clients: int = 64,
    clip_bytes: int = 100 * 10**6,
    large_bytes: int = TOO_LARGE,
    asked: int = 5,
    uploads: int = 32,
) -> dict[str, Any]:
    """Run all three checks against one service with default limits, except for the size of a body.

    Args:
        folder: folder for clips and gallery.
        clients: simultaneous clients; there are three times as many slow ones.
        clip_bytes: size of each clip.
        large_bytes: size of the body that is too large, at least twice the limit.
        asked: number of clips that are sent beside the slow clients.
        uploads: places for bodies that are being received.
    """
    limit = min(LIMIT, large_bytes // 2)
    walk = short_walk(folder / "walk.mp4")
    with served(folder, max_upload_bytes=limit, uploads=uploads) as service:
        with walk.open("rb") as file:
            data = {"subject": "ann"}
            httpx.post(f"{service.url}/enroll", data=data, files={"clip": file}, timeout=300).raise_for_status()
        warm = padded(walk, folder / "warm.mp4", 2 * 10**6)
        crowd(service, warm, 4)  # memory loaded at the first clips does not count as growth
        found = {
            "crowd": crowd(service, padded(walk, folder / "large.mp4", clip_bytes), clients),
            "large": large(service, large_bytes, limit),
            "slow": slow(service, warm, 3 * clients, asked),
        }
    return {**found, "passed": all(part["passed"] for part in found.values())}


def main() -> None:
    """Measure, print, write ``bench/results/load.json``; exit code 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--clip-mb", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), clients=args.clients, clip_bytes=args.clip_mb * 10**6)
    for name in ("crowd", "large", "slow"):
        print(f"{name}: {found[name]}")
    write("load", found)
    raise SystemExit(not found["passed"])


if __name__ == "__main__":
    main()
