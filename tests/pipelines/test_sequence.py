"""The gait sequence's checks and its file."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gaitkeeper.pipelines.errors import BadSequence
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality


def sequence(t: int, seed: int = 0, heatmaps: bool = True) -> GaitSequence:
    rng = np.random.default_rng(seed)
    maps = np.zeros((t, 17, 64, 48), np.uint8)
    maps[:, :, 30:34, 20:24] = rng.integers(0, 256, (t, 17, 4, 4))
    return GaitSequence(
        silhouettes=(rng.random((t, 64, 64)) > 0.5).astype(np.uint8) * np.uint8(255),
        joints=rng.normal(0, 300, (t, 17, 3)).astype(np.float32),
        heatmaps=maps if heatmaps else None,
        timestamps=np.cumsum(rng.random(t) + 0.001),
        boxes=rng.random((t, 4)).astype(np.float32),
        quality=Quality(t, {"cut_off": 3}, 0.9, 0.95, 0.1, 2.5, 30.0, False, missed=1),
        track=2,
        perception="blazepose-full/1",
        frame_size=(640, 480),
    )


@settings(deadline=None, max_examples=25)
@given(t=st.integers(0, 40), seed=st.integers(0, 9), heatmaps=st.booleans())
def test_saves_and_loads_equal(t, seed, heatmaps):
    seq = sequence(t, seed, heatmaps)
    assert GaitSequence.load(seq.to_bytes()).equals(seq)


def test_from_path_file_and_bytes(tmp_path):
    seq = sequence(5)
    seq.save(tmp_path / "a.gait")
    assert GaitSequence.load(tmp_path / "a.gait").equals(seq)
    assert GaitSequence.load(str(tmp_path / "a.gait")).equals(seq)
    assert GaitSequence.load(io.BytesIO(seq.to_bytes())).equals(seq)


def test_equal_sequences_are_equal_bytes_and_others_are_not_equal():
    assert sequence(5).to_bytes() == sequence(5).to_bytes()
    assert not sequence(5).equals(sequence(5, seed=1))
    assert not sequence(5).equals(replace(sequence(5), track=3))
    assert not sequence(5).equals(sequence(5).without_heatmaps())


def test_heatmaps_can_be_left_out():
    seq = sequence(5)
    assert GaitSequence.load(seq.to_bytes(), heatmaps=False).equals(seq.without_heatmaps())
    assert len(seq.without_heatmaps().to_bytes()) < len(seq.to_bytes())


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("silhouettes", np.zeros((4, 64, 44), np.uint8)),
        ("silhouettes", np.zeros((4, 64, 64), np.float32)),
        ("joints", np.zeros((4, 17, 2), np.float32)),
        ("heatmaps", np.zeros((3, 17, 64, 48), np.uint8)),
        ("boxes", np.zeros((4, 4), np.float64)),
    ],
)
def test_wrong_arrays_are_refused(name, array):
    with pytest.raises(ValueError, match=name):
        replace(sequence(4), **{name: array})


def _rewritten(change) -> bytes:
    """A file whose members went through ``change(members)``."""
    with zipfile.ZipFile(io.BytesIO(sequence(4).to_bytes())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _header(**fields):
    def change(members):
        members["header.json"] = json.dumps({**json.loads(members["header.json"]), **fields}).encode()

    return change


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zip",
        sequence(4).to_bytes()[:200],
        _rewritten(lambda m: m.pop("joints.zst")),
        _rewritten(lambda m: m.update({"joints.zst": b"no zstd"})),
        _rewritten(lambda m: m.update({"joints.zst": zstandard.compress(bytes(10_000_000))})),
        _rewritten(_header(format=2)),
        _rewritten(_header(frames=5)),
        _rewritten(_header(frames=10**9)),
        _rewritten(_header(frames=-1)),
        _rewritten(_header(quality={})),
    ],
    ids=["empty", "text", "cut", "member gone", "bad zstd", "bomb", "newer", "lying", "huge", "negative", "no quality"],
)
def test_damaged_files_are_refused(data):
    with pytest.raises(BadSequence):
        GaitSequence.load(data)
