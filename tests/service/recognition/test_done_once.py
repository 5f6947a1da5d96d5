"""Nothing is done twice for one request: a clip is hashed and probed once, and a walker embedded once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serving import Start

from gaitkeeper.gallery.decision import calibration
from gaitkeeper.pipelines import embed
from gaitkeeper.pipelines.decode import ClipInfo
from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
from gaitkeeper.pipelines.sandbox import Sandbox
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.background.work import SHORT_BYTES
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings


def counting(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[Any, ...]]:
    """The arguments of the calls of a function from now on."""
    calls: list[tuple[Any, ...]] = []
    real = getattr(owner, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_a_clip_is_hashed_and_probed_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    hashed, probed = counting(monkeypatch, hashlib, "file_digest"), counting(monkeypatch, Sandbox, "probe")
    padding = SHORT_BYTES + 8
    clip = canary.clip() + padding.to_bytes(4, "big") + b"free" + bytes(padding - 8)  # long enough to be probed
    headers = {"Idempotency-Key": "once"}  # which hashes it, too
    for route in ("enroll", "identify"):
        reply = httpx.post(
            f"{service.url}/{route}",
            files={"clip": ("walk.mp4", clip)},
            data={"subject": "ann"} if route == "enroll" else {},
            headers=headers,
            timeout=300,
        )
        assert reply.json()["code"] == "too_short"
        clips = [
            file for file, _ in hashed if not str(file.name).endswith(".safetensors")
        ]  # the network's, on first use
        assert (len(clips), len(probed)) == (1, 1)
        hashed.clear(), probed.clear()


def walker(track: int) -> GaitSequence:
    """A body whose width depends on its number."""
    own = canary.sequence("blazepose-full/1", frames=30)
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j]
    body = np.where((columns / (0.2 * track)) ** 2 + rows**2 < 1, np.uint8(255), np.uint8(0))
    return replace(own, silhouettes=np.repeat(body[None], len(own), axis=0), track=track)


@pytest.fixture
def engine(tmp_path: Path, calibrated: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine to which everybody is unknown and every clip shows two walkers."""
    text = (tmp_path / "calibration.json").read_text()
    (tmp_path / "calibration.json").write_text(text.replace('"distances": [1000000.0]', '"distances": [1e-6]'))
    calibration.shipped_calibrations.cache_clear()
    seqs = [walker(track) for track in (2, 3)]
    result = ClipResult(
        clip=ClipInfo(320, 240, 30.0, 30, 1.0, "h264", "mp4"),
        sequences=seqs,
        skipped=[],
        timings={"total": 0.0},
        thumbnails={},
        picture=canary.picture(),
        spans={seq.track: (0.0, 1.0) for seq in seqs},
    )
    monkeypatch.setattr(Pipeline, "process", lambda *_: result)
    with Engine(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}", network="gei")) as opened:
        opened.gallery("default").enroll("ann", walker(1))
        yield opened


def test_unknown_walkers_who_are_kept_are_embedded_once(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.keep_strangers(3600)
    engine.keep_passers_by(3600)
    (tmp_path / "walk.mp4").write_bytes(b"clip")
    passes = counting(monkeypatch, embed, "forward")
    people = engine.identify(tmp_path / "walk.mp4", camera="door").people
    assert [str(person.verdict) for person in people] == ["unknown", "unknown"]
    assert all(person.stranger for person in people)
    assert len(passes) == 1, "one forward pass for both"
    assert [len(group.strangers) for group in engine.strangers().groups] == [1, 1]
    # What was kept is what would have been computed again.
    alone = engine.gallery("default").network
    for person, seq in zip(people, (walker(2), walker(3)), strict=True):
        kept = engine.store.templates("default~strangers", person.stranger or "")[0]
        stored = engine.store.embedding("default~strangers", kept.id)
        np.testing.assert_allclose(stored, embed.embed([seq], alone)[0].numpy(), atol=1e-6)
