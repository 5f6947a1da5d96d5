"""Small data sets and configurations for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.walk_quality import Quality
from gaitkeeper.training.config import TrainingConfig


def write_sequences(root: Path, people: int = 3, takes: int = 2, frames: int = 4) -> Path:
    """A folder of gait sequences that tell nothing of the person: each take is a body of its own, with noise."""
    for person in range(people):
        for take in range(takes):
            rng = np.random.default_rng((person, take))
            body = np.kron(rng.random((16, 16)) > 0.5, np.ones((4, 4))) > 0
            silhouettes = body ^ (rng.random((frames, 64, 64)) < 0.05)
            joints = rng.random((1, 17, 3)) * 40 + rng.normal(size=(frames, 17, 3))
            joints[..., 2] = 0.9
            peaks = np.kron(rng.random((17, 16, 12)), np.ones((4, 4))) * 200
            path = root / f"{person:03d}" / f"nm-{take:02d}" / f"{90 * (take % 2):03d}.gait"
            path.parent.mkdir(parents=True, exist_ok=True)
            GaitSequence(
                silhouettes=silhouettes.astype(np.uint8) * 255,
                joints=joints.astype(np.float32),
                heatmaps=(peaks + rng.random((frames, 17, 64, 48)) * 40).astype(np.uint8),
                timestamps=np.arange(frames) / 30,
                boxes=np.zeros((frames, 4), np.float32),
                quality=Quality(frames, {}, 0.9, 1.0, 0.0, 1.0, 30.0, False),
            ).save(path)
    return root


def write_kinect(root: Path, people: int = 4, takes: int = 4, frames: int = 40) -> Path:
    """A packed Kinect data set: everybody with a body of their own that sways in a walk's own way."""
    walks = {}
    for person in range(people):
        body = np.random.default_rng(person).normal(size=(1, 20, 3)) * 1500
        for take in range(takes):
            rng = np.random.default_rng((person, take))
            sway = np.sin(np.arange(frames)[:, None, None] / 5 + rng.random()) * 400
            walks[f"Person{person:03d}_{take + 1}"] = (body + sway + rng.normal(size=(frames, 20, 3)) * 40).astype(
                np.int16
            )
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "walks.npz", **walks)
    return root


TINY: dict[str, dict[str, Any]] = {
    "gaitset": {"channels": [4, 8, 8], "bins": [2, 1], "embed_dim": 8},
    "gaitpart": {"channels": [4, 8, 16], "parts": 4, "embed_dim": 8},
    "gstsn": {"channels": [4, 8, 8], "bins": [2, 1], "hidden": 8, "embed_dim": 8},
    "jointsgait": {"channels": [8, 8], "strides": [1, 2], "temporal_kernel": 3, "embed_dim": 8},
    "gaitheat": {
        "channels": [16, 16, 16, 16],
        "strides": [2, 2, 2, 1],
        "gamma": None,
        "groups": 1,
        "parts": 4,
        "embed_dim": 8,
    },
    "gaittake": {"stem": 4, "channels": [4, 8, 8], "clip": 4},
    "gaitgl": {"channels": [4, 8, 16, 32]},
    "gaitbase": {"channels": [16, 16, 16, 16], "strides": [2, 2, 2, 1], "parts": 4, "embed_dim": 8},
    "deepgaitv2": {"channels": [8, 8, 8, 16], "blocks": [1, 1, 1, 1], "stem_stride": 2, "parts": 4, "embed_dim": 8},
    "skeletongaitpp": {"channels": [8, 8, 8, 16], "stem_stride": 2, "parts": 4, "embed_dim": 8},
    "gaittemplate": {"channels": [8, 8, 16], "strides": [1, 2], "parts": 4, "embed_dim": 8},
    "fusion": {
        "options": [
            [["channels", [4, 8, 16]], ["parts", 4], ["embed_dim", 8]],
            [["channels", [8, 8]], ["strides", [1, 2]], ["temporal_kernel", 3], ["embed_dim", 8]],
        ]
    },
}
"""Options of every network with weights that make it small."""


def kinect_config(root: Path, **changes: Any) -> TrainingConfig:
    """A small JointsGait with dropout, on :func:`write_kinect`'s data: a step takes milliseconds."""
    tables: dict[str, Any] = {
        "steps": 6,
        "seed": 3,
        "network": {"name": "jointsgait", "options": {**TINY["jointsgait"], "skeleton": "kinect", "dropout": 0.3}},
        "data": {"format": "kinect", "root": str(root)},
        "batch": {"people": 2, "takes": 2, "frames": 16, "window": [16, 16], "rate_jitter": 0.1},
        "augment": {"flip": 0.5, "joint_noise": 0.01},
        "losses": [{"kind": "batch_hard", "weight": 0.9}, {"kind": "arcface", "weight": 0.1, "scale": 30}],
        "optimiser": {"kind": "adam", "rate": 1e-3, "schedule": "cosine", "warmup": 1},
        "run": {"device": "cpu", "precision": "fp32", "threads": 1, "log_every": 1, "checkpoint_every": 2},
    }
    for table, values in changes.items():
        tables[table] = {**tables.get(table, {}), **values} if isinstance(values, dict) else values
    return TrainingConfig.model_validate(tables)


def sequences_config(root: Path, name: str, **changes: Any) -> TrainingConfig:
    """A small network on :func:`write_sequences`' data, always with all of the walks and all of their frames."""
    tables: dict[str, Any] = {
        "steps": 60,
        "network": {"name": name, "options": TINY[name]},
        "data": {"format": "sequences", "root": str(root), "cache": True},
        "batch": {"people": 3, "takes": 2, "frames": 4, "window": [4, 4], "min_frames": 4},
        "losses": [{"kind": "batch_all"}],
        "optimiser": {"kind": "adam", "rate": 5e-3},
        "run": {"device": "cpu", "precision": "fp32", "threads": 1, "log_every": 1, "checkpoint_every": 1000},
    }
    for table, values in changes.items():
        tables[table] = {**tables.get(table, {}), **values} if isinstance(values, dict) else values
    return TrainingConfig.model_validate(tables)
