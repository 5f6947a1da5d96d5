"""The bone-length baseline by hand and on the Kinect data; networks of the Kinect's skeleton in an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.kinect import fold_accuracies
from gaitkeeper.models import build
from gaitkeeper.training.datasets import Dataset, Inputs, Sample, load_partition, open_dataset
from gaitkeeper.training.errors import InputMissing
from gaitkeeper.training.evaluation import embed_dataset, evaluate_embedded, find_protocol
from gaitkeeper.training.evaluation.bone_lengths import BONES_16, BONES_20, bone_lengths, embed_bone_lengths
from gaitkeeper.training.evaluation.evaluate import EvaluationSettings


def test_bone_lengths_by_hand() -> None:
    joints = np.zeros((2, 3, 2))
    joints[0, 1], joints[1, 1] = (3, 4), (0, 1)
    joints[:, 2] = joints[:, 1] + [0, 2]
    np.testing.assert_allclose(bone_lengths(joints, ((0, 1), (1, 2))), [3, 2])
    assert (len(BONES_16), len(BONES_20)) == (15, 19)


def person(size: float, seed: int) -> Sample:
    rng = np.random.default_rng(7)
    pose = rng.normal(size=(20, 3)) * size
    walk = (pose + 0.01 * np.random.default_rng(seed).normal(size=(9, 20, 3))).astype(np.float32)
    return Sample(f"{size}", "", "", f"{seed}", lambda: Inputs(joints=walk, skeleton="kinect"))


def test_metres_tell_size_and_scale_normalised_joints_do_not() -> None:
    walks = Dataset("made", tuple(person(size, seed) for size in (1.0, 1.3, 1.6) for seed in range(4)))
    metres = evaluate_embedded(embed_bone_lengths(walks, "x, y in metres"), find_protocol("leave_one_out"))
    assert metres.rows["all"].groups["all"].identification.metrics["rank_1"].value == 1
    scaled = embed_bone_lengths(walks, "x, y scale-normalised").embeddings
    means = scaled.view(3, 4, -1).mean(dim=1)
    assert (means[0] - means[2]).abs().max() < 0.05 * means.max()


def test_a_network_of_the_kinect_skeleton_can_be_evaluated() -> None:
    walks = Dataset("made", tuple(person(size, seed) for size in (1.0, 1.6) for seed in range(3)))
    net = build("jointsgait", seed=0, skeleton="kinect", channels=(8, 8, 8), strides=(1, 2, 1), embed_dim=8)
    found = embed_dataset(net, walks)
    assert found.embeddings.shape == (6, 6, 8)
    assert not found.embeddings.allclose(embed_dataset(net, walks, scaled=True).embeddings)
    silhouettes = Sample("a", "", "", "", lambda: Inputs(silhouettes=np.zeros((3, 64, 64), np.uint8)))
    with pytest.raises(InputMissing, match="Kinect"):
        embed_dataset(net, Dataset("other", (silhouettes,)))


def test_baseline_on_the_real_walks(shared_data: Path) -> None:
    walks = open_dataset("kinect", shared_data / "kinect-gait")
    shares = fold_accuracies(embed_bone_lengths(walks, "20 joints, x, y, z in metres"), walks)
    assert len(shares) == 10
    assert 0.75 < np.mean(shares) < 0.82
    test = load_partition("kinect_70").of(walks, "test")
    train = load_partition("kinect_70").of(walks, "train")
    assert (len(test.subjects), len(train.subjects)) == (70, 70)
    assert not set(test.subjects) & set(train.subjects)
    result = evaluate_embedded(
        embed_bone_lengths(test, "x, y in metres"),
        find_protocol("leave_one_out"),
        EvaluationSettings(replicates=50, pairwise=False),
    )
    assert 0.6 < result.rows["all"].groups["all"].identification.metrics["rank_1"].value < 0.85
