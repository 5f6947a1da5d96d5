"""Memory of a service under an hour of mixed use: ``python -m bench.mixed_use``.

Callers in turn: the page and its files, a live stream of a real clip at real time, an identification, a job that
annotates a clip, a look with a handle and its pictures, an enrolment and an erasure, and the lists that the page shows.
Memory is the proportional set size of the service and its descendants (PSS), sampled every second; the table has the
median and the peak of every tenth of the time.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from bench.live import Frames, coded, enrol_strangers, run
from bench.memory import pss
from bench.report import data_folder, write
from bench.served import Served, served
from gaitkeeper.service.client import Client

SECONDS = 3600.0
MOST_MB = 900.0
"""The peak that must not be passed."""
LISTS = (
    *("/collections/default/subjects", "/collections/default/strangers"),
    *("/collections", "/jobs", "/models", "/system", "/metrics"),
)
CLIPS = ("hall-a", "quartet-back", "road-bc")


class Sampled(threading.Thread):
    """Samples memory every second until stopped: ``seen`` holds seconds since the start and megabytes."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self._process, self._ended, self._began = process, threading.Event(), time.monotonic()
        self.seen: list[tuple[float, float]] = []

    def run(self) -> None:
        """Sample."""
        while not self._ended.wait(1.0):
            self.seen.append((time.monotonic() - self._began, pss(self._process)))

    def stop(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()


def open_page(client: httpx.Client) -> None:
    """Load the page and every file that it names."""
    page = client.get("/").raise_for_status()
    for path in re.findall(r'(?:src|href)="(/?static/[^"]+)"', page.text):
        client.get("/" + path.lstrip("/")).raise_for_status()
    for path in LISTS:
        client.get(path).raise_for_status()


def finished(client: httpx.Client, job: str) -> None:
    """Wait for a job, and fetch its annotated clip."""
    while client.get(f"/jobs/{job}").raise_for_status().json()["state"] in ("queued", "running"):
        time.sleep(0.5)
    client.get(f"/jobs/{job}/annotated.mp4").raise_for_status()


def one_round(service: Served, client: httpx.Client, clips: dict[str, bytes], live: Frames, number: int) -> None:
    """Each kind of use once.

    Raises:
        HTTPStatusError: an answer was not 2xx.
    """
    name = list(clips)[number % len(clips)]
    files = {"clip": (f"{name}.mp4", clips[name], "video/mp4")}
    open_page(client)
    with Client(service.url) as caller:
        run(caller, live, "jpeg")
    client.post("/identify", files=files).raise_for_status()
    job = client.post("/identify", files=files, data={"annotate": "true"}).raise_for_status().json()["id"]
    look = client.post("/walkers", files=files).raise_for_status().json()
    if look.get("handle"):
        client.get(f"/walkers/{look['handle']}").raise_for_status()
        client.delete(f"/walkers/{look['handle']}").raise_for_status()
    guest = {"clip": (f"{CLIPS[0]}.mp4", clips[CLIPS[0]], "video/mp4")}
    client.post("/enroll", files=guest, data={"subject": "guest"}).raise_for_status()
    client.delete("/collections/default/subjects/guest").raise_for_status()
    finished(client, job)


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Rounds for some seconds; memory by tenths of the time."""
    enrol_strangers(folder)
    videos = data_folder() / "videos"
    clips = {name: (videos / f"{name}.mp4").read_bytes() for name in CLIPS}
    live = coded(videos / f"{CLIPS[0]}.mp4", "jpeg")
    with served(folder, rate="1000000/minute") as service, httpx.Client(base_url=service.url, timeout=600) as client:
        client.get("/readyz").raise_for_status()
        ready, sampled, end, rounds = pss(service.process), Sampled(service.process), time.monotonic() + seconds, 0
        sampled.start()
        while time.monotonic() < end:
            one_round(service, client, clips, live, rounds)
            rounds += 1
        sampled.stop()
        time.sleep(5)
        after = pss(service.process)
    took = sampled.seen[-1][0]
    tenths = [[mb for t, mb in sampled.seen if int(min(9, 10 * t / took)) == tenth] for tenth in range(10)]
    return {
        "rounds": rounds,
        "seconds": took,
        "ready_mb": ready,
        "after_mb": after,
        "peak_mb": max(mb for _, mb in sampled.seen),
        "most_mb": MOST_MB,
        "tenths": [{"median_mb": median(own), "peak_mb": max(own)} for own in tenths if own],
    }


def show(found: dict[str, Any]) -> None:
    """Print a row for every tenth of the time."""
    title = (
        f"{found['rounds']} rounds in {found['seconds']:.0f} s: {found['ready_mb']:.0f} MB when ready, peak "
        f"{found['peak_mb']:.0f} (bar: {found['most_mb']:.0f}), {found['after_mb']:.0f} at rest afterwards"
    )
    table = Table("tenth", "median, MB", "peak, MB", title=title)
    for number, row in enumerate(found["tenths"], 1):
        table.add_row(str(number), f"{row['median_mb']:.0f}", f"{row['peak_mb']:.0f}")
    Console(width=120).print(table)


def main() -> None:
    """Measure, print, write ``bench/results/mixed_use.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.seconds)
    show(found)
    write("mixed_use", found)


if __name__ == "__main__":
    main()
