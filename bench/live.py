"""A live stream at real time: ``python -m bench.live``.

A service in its own process gets ``hall-a`` frame by frame at the times at which it was filmed, as JPEG and as H.264
without B-frames, encoded beforehand. The caller measures the seconds from sending a frame to its boxes, from the
walker's appearance to the first box and to the first verdict that is not ``inconclusive``, and the share of frames
dropped by the service or for lack of a credit. The gallery holds the four walkers of ``quartet-gallery``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.report import data_folder, write
from bench.served import served
from gaitkeeper.gallery import Gallery, Verdict
from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.pictures import Codec
from gaitkeeper.service.client import Client
from gaitkeeper.service.live.events import Dropped, Tracks, VerdictEvent

CLIP, STRANGERS = "hall-a", "quartet-gallery"
APPEARS = 0.44
"""Time of the first frame that shows the walker's face and arm, in seconds."""
BARS = {"first_box_s": 0.5, "first_verdict_s": 3.0}

Frames = list[tuple[float, bytes]]


def coded(clip: Path, codec: Codec) -> Frames:
    """Time in seconds and message of every frame."""
    with av.open(str(clip)) as container:
        pictures = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    if codec == "jpeg":
        way = [cv2.IMWRITE_JPEG_QUALITY, 85]
        return [(t, cv2.imencode(".jpg", image[..., ::-1], way)[1].tobytes()) for t, image in pictures]
    coder = av.CodecContext.create("libx264", "w")
    coder.height, coder.width = pictures[0][1].shape[:2]
    coder.pix_fmt, coder.framerate, coder.time_base = "yuv420p", Fraction(30), Fraction(1, 30)
    coder.options = {"tune": "zerolatency", "preset": "veryfast", "crf": "20"}
    out = []
    for number, (t, image) in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = number
        out.append((t, b"".join(bytes(packet) for packet in coder.encode(frame))))
    return out


def run(client: Client, frames: Frames, codec: Codec) -> dict[str, Any]:
    """One stream at real time."""
    sent: dict[int, float] = {}
    begun, withheld = [0.0], []
    with client.stream() as live:
        # Send the first picture in advance, so that the models are loaded when the clock starts.
        live.send(frames[0][1], seq=0, t=0.0, codec=codec, wait=60)
        for event in live.events(60):
            if isinstance(event, Tracks):
                break

        def feed() -> None:
            begun[0] = time.monotonic()
            for seq, (t, data) in enumerate(frames[1:], 1):
                time.sleep(max(0.0, begun[0] + t - time.monotonic()))
                sent[seq] = time.monotonic()
                # Later H.264 frames need all earlier ones.
                if not live.send(data, seq=seq, t=t, codec=codec, wait=0.0 if codec == "jpeg" else None):
                    withheld.append(seq)
            live.finish()

        feeder = threading.Thread(target=feed)
        feeder.start()
        latencies, dropped, verdicts = [], 0, 0
        box = verdict = None
        for event in live.events(60):
            now = time.monotonic()
            if isinstance(event, Tracks):
                latencies.append(now - sent[event.seq])
                box = box or (now if event.people else None)
            elif isinstance(event, Dropped):
                dropped += len(event.frames)
            elif isinstance(event, VerdictEvent) and event.person is not None:
                verdicts += event.person.verdict is not Verdict.INCONCLUSIVE
                verdict = verdict or (now if event.person.verdict is not Verdict.INCONCLUSIVE else None)
        feeder.join()
    appeared = begun[0] + APPEARS
    return {
        "latency_median_s": float(median(latencies)),
        "latency_p95_s": float(np.percentile(latencies, 95)),
        "first_box_s": None if box is None else box - appeared,
        "first_verdict_s": None if verdict is None else verdict - appeared,
        "dropped_share": (dropped + len(withheld)) / (len(frames) - 1),
        "verdicts": verdicts,
    }


def enrol_strangers(folder: Path) -> None:
    """Enrol the four walkers of ``quartet-gallery`` in ``folder/gallery.db``."""
    pipeline = Pipeline()
    with Gallery.open(f"sqlite:///{folder / 'gallery.db'}") as gallery:
        for number, walker in enumerate(pipeline.sequences(data_folder() / "videos" / f"{STRANGERS}.mp4"), start=1):
            gallery.enroll(f"stranger-{number}", walker)
    pipeline.close()


def measure(folder: Path, codecs: list[Codec], runs: int) -> list[dict[str, Any]]:
    """Figures of every run, after an uncounted warm-up run."""
    videos = data_folder() / "videos"
    enrol_strangers(folder)
    rows = []
    with served(folder) as service, Client(service.url) as client:
        for codec in codecs:
            frames = coded(videos / f"{CLIP}.mp4", codec)
            for number in range(runs + 1):
                load = os.getloadavg()[0]
                figures = run(client, frames, codec)
                if number:
                    rows.append({"codec": codec, "load": load, **figures})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures as a table."""
    keys = ("latency_median_s", "latency_p95_s", "first_box_s", "first_verdict_s", "dropped_share")
    table = Table("codec", "load", *keys)
    for row in rows:
        figures = ("–" if row[key] is None else f"{row[key]:.3f}" for key in keys)
        table.add_row(row["codec"], f"{row['load']:.1f}", *figures)
    Console(width=130).print(table)


def main() -> None:
    """Measure, print, write ``bench/results/live.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codec", action="append", choices=["jpeg", "h264"])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), args.codec or ["jpeg", "h264"], args.runs)
    show(rows)
    write("live", {"clip": CLIP, "appears_s": APPEARS, "bars": BARS, "runs": rows})


if __name__ == "__main__":
    main()
