"""Latency of the service against offered load: ``python -m bench.service``.

An open loop: requests leave at times drawn in advance (exponential gaps, seeded), whether or not earlier ones were
answered. A latency counts from the time at which its request was due, so it includes waiting. Every rate is limited in
requests and seconds. The service is a process of its own on loopback with its default settings; the
clip is a short rendered walk, the gallery holds one person.

The baselines, in the same run: requests one after the other, and the same clip with pipeline and gallery in this
process, without a service. The knee is the highest offered rate that, together with all lower rates, answers 99 % of
its requests, and 95 % of them within ``KNEE`` times the latency of a lone request.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.report import write
from bench.served import Served, served, short_walk
from gaitkeeper.gallery import Gallery
from gaitkeeper.pipelines import Pipeline

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6)
"""Offered rates, as multiples of the rate of sequential requests."""
REQUESTS, SECONDS = 60, 60.0
KNEE = 3.0
ANSWERED = 0.99
ALONE = 10


def departures(rate: float, requests: int, seconds: float, seed: int = 0) -> list[float]:
    """Times in seconds at which requests leave, limited by ``requests`` and ``seconds``, at least one."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, requests)
    times = np.cumsum(gaps) - gaps[0]
    return [float(t) for t in times if t < seconds]


async def offer(client: httpx.AsyncClient, clip: bytes, rate: float, requests: int, seconds: float) -> dict[str, Any]:
    """Offer one rate; returns its figures."""
    leave = departures(rate, requests, seconds)
    latencies, statuses = [], Counter[str]()
    began = time.perf_counter()

    async def ask(at: float) -> None:
        await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
        try:
            reply = await client.post("/identify", files={"clip": ("walk.mp4", clip)})
        except httpx.HTTPError as error:
            statuses[type(error).__name__] += 1
            return
        statuses[str(reply.status_code)] += 1
        if reply.status_code == 200:
            latencies.append(time.perf_counter() - began - at)

    await asyncio.gather(*map(ask, leave))
    took = time.perf_counter() - began
    cuts = [float(x) for x in np.percentile(latencies, (50, 95, 99))] if latencies else [None] * 3
    return {
        "offered_per_s": rate,
        "requests": len(leave),
        "answered": len(latencies),
        "answered_per_s": len(latencies) / took,
        "statuses": dict(statuses),
        **dict(zip(("p50_s", "p95_s", "p99_s"), cuts, strict=True)),
    }


def knee_of(rates: Sequence[dict[str, Any]], alone_s: float) -> float | None:
    """The highest rate up to which all rates meet the criteria; None if the lowest does not."""
    held = None
    for row in sorted(rates, key=lambda row: row["offered_per_s"]):
        late = row["p95_s"] is None or row["p95_s"] > KNEE * alone_s
        if late or row["answered"] < ANSWERED * row["requests"]:
            break
        held = row["offered_per_s"]
    return held


def in_process(clip: Path, folder: Path, times: int) -> float:
    """Median seconds of the same clip with pipeline and gallery alone, after an uncounted warm-up."""
    pipeline, taken = Pipeline(), []
    with Gallery.open(f"sqlite:///{folder}/plain.db") as gallery:
        gallery.enroll("ann", pipeline.sequences(clip)[0])
        for _ in range(times + 1):
            began = time.perf_counter()
            for walker in pipeline.sequences(clip):
                gallery.identify(walker)
            taken.append(time.perf_counter() - began)
    pipeline.close()
    return median(taken[1:])


async def offer_all(
    service: Served, clip: bytes, shares: Sequence[float], requests: int, seconds: float, alone: int
) -> dict[str, Any]:
    """First sequential requests, then every rate."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(base_url=service.url, timeout=300, limits=limits) as client:
        (await client.post("/enroll", data={"subject": "ann"}, files={"clip": clip})).raise_for_status()
        taken = []
        for _ in range(alone + 1):
            began = time.perf_counter()
            (await client.post("/identify", files={"clip": clip})).raise_for_status()
            taken.append(time.perf_counter() - began)
        alone_s = median(taken[1:])
        rates = [await offer(client, clip, share / alone_s, requests, seconds) for share in shares]
    return {"alone_s": alone_s, "rates": rates, "knee_per_s": knee_of(rates, alone_s)}


def measure(
    folder: Path,
    shares: Sequence[float] = SHARES,
    requests: int = REQUESTS,
    seconds: float = SECONDS,
    alone: int = ALONE,
    **settings: object,
) -> dict[str, Any]:
    """Figures of a service with these settings.

    Args:
        folder: folder for the clip and the galleries.
        shares: offered rates, as multiples of the rate of sequential requests.
        requests: maximum number of requests at each rate.
        seconds: duration of each rate.
        alone: number of sequential requests at the start.
        settings: settings of the service, by name.
    """
    walk = short_walk(folder / "walk.mp4")
    plain_s = in_process(walk, folder, alone)
    with served(folder, **settings) as service:
        found = asyncio.run(offer_all(service, walk.read_bytes(), shares, requests, seconds, alone))
    best = max(row["answered_per_s"] for row in found["rates"])
    return {
        "settings": {name: str(value) for name, value in settings.items()},
        "plain_s": plain_s,
        "alone_over_plain": found["alone_s"] / plain_s,
        "knee_multiple": KNEE,
        "most_per_s": best,
        "most_over_plain": best * plain_s,
        **found,
    }


def show(found: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table("offered/s", "requests", "answered/s", "p50 s", "p95 s", "p99 s", "statuses")
    for row in found["rates"]:
        cuts = ("–" if row[key] is None else f"{row[key]:.2f}" for key in ("p50_s", "p95_s", "p99_s"))
        statuses = ", ".join(f"{name}: {count}" for name, count in row["statuses"].items())
        table.add_row(
            f"{row['offered_per_s']:.2f}", str(row["requests"]), f"{row['answered_per_s']:.2f}", *cuts, statuses
        )
    Console(width=120).print(table)
    knee = "none of the rates" if found["knee_per_s"] is None else f"{found['knee_per_s']:.2f}/s"
    print(f"alone {found['alone_s']:.3f} s, {found['alone_over_plain']:.2f} × without a service; knee: {knee}")
    print(f"at most {found['most_per_s']:.2f}/s, {found['most_over_plain']:.2f} × one process without a service")


def main() -> None:
    """Measure, print, write ``bench/results/service.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three rates of ten requests")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="at each rate, at most")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each rate, at most")
    args = parser.parse_args()
    shares, requests = ((0.3, 0.8, 1.6), 10) if args.quick else (SHARES, args.requests)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), shares, requests, args.seconds)
    show(found)
    write("service", {"quick": args.quick, **found})


if __name__ == "__main__":
    main()
