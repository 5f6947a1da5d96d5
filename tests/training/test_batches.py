"""What a batch holds: prepared as the network reads it, too short walks replaced, the same from any process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from making import kinect_config, sequences_config, write_kinect, write_sequences
from torch.utils.data import DataLoader

from gaitkeeper import models
from gaitkeeper.pipelines.tensors import prepare
from gaitkeeper.training.batches import Batches, arrays, training_walks
from gaitkeeper.training.datasets import Dataset, Inputs, Sample
from gaitkeeper.training.errors import BadTrainingConfig, InputMissing
from gaitkeeper.training.loop import make_network


@pytest.mark.parametrize("name", ["gaitset", "jointsgait", "gaitheat", "gaittake"])
def test_walks_are_prepared_as_for_inference(name: str, tmp_path: Path) -> None:
    config = sequences_config(write_sequences(tmp_path), name)
    net = make_network(config, 3)
    inputs = training_walks(config)[0].load()
    expected, _ = prepare([inputs.sequence(net.inputs)], net)
    made = arrays(inputs, net)
    assert tuple(made) == net.inputs
    for frames, tensor in zip(made.values(), expected, strict=True):
        ours = torch.from_numpy(frames).float() / (255 if frames.dtype == np.uint8 else 1)
        assert torch.equal(ours[None], tensor)


def test_a_batch_has_its_people_views_and_ranges(tmp_path: Path) -> None:
    config = sequences_config(write_sequences(tmp_path), "gaittake")
    batch = Batches(config, training_walks(config), make_network(config, 3))[5]
    silhouettes, joints = batch.tensors
    assert silhouettes.shape == (6, 4, 1, 64, 44)
    assert joints.shape == (6, 4, 17, 3)
    assert silhouettes.dtype == joints.dtype == torch.float32
    assert set(silhouettes.unique().tolist()) == {0, 1}
    assert sorted(batch.subjects.tolist()) == [0, 0, 1, 1, 2, 2]
    assert sorted(batch.views.tolist()) == [0, 0, 0, 1, 1, 1]


def test_kinect_walks_are_metres_from_the_hip_or_torsos(tmp_path: Path) -> None:
    config = kinect_config(write_kinect(tmp_path))
    net = make_network(config, 4)
    inputs = training_walks(config)[0].load()
    metres, scaled = (arrays(inputs, net, scaled=s)["joints"] for s in (False, True))
    assert metres.shape == (40, 16, 2)
    assert np.abs(metres[:, 9]).max() == 0
    ratio = metres[:, :9] / scaled[:, :9]
    assert ratio.std() < 1e-4 * ratio.mean()
    assert inputs.joints is not None
    torso = np.linalg.norm((inputs.joints[:, 1] - inputs.joints[:, 11])[:, :2], axis=1)
    assert ratio.mean() == pytest.approx(np.median(torso), rel=1e-4)


def test_batches_are_the_same_whoever_makes_them(tmp_path: Path) -> None:
    config = kinect_config(write_kinect(tmp_path))
    walks = training_walks(config)
    net = make_network(config, 4)
    here = [Batches(config, walks, net)[step] for step in range(3)]
    loader = DataLoader(Batches(config, walks, net), batch_size=None, sampler=range(3), num_workers=1)
    for mine, theirs in zip(here, loader, strict=True):
        assert torch.equal(mine.tensors[0], theirs.tensors[0])
        assert torch.equal(mine.subjects, theirs.subjects)
    assert not torch.equal(here[0].tensors[0], here[1].tensors[0])


def test_ranks_have_the_parts_of_one_batch(tmp_path: Path) -> None:
    config = kinect_config(write_kinect(tmp_path), batch={"people": 4}, augment={"flip": 0.0, "joint_noise": 0.0})
    walks = training_walks(config)
    net = make_network(config, 4)
    whole = Batches(config, walks, net)[1]
    parts = [Batches(config, walks, net, rank=rank, ranks=2)[1] for rank in range(2)]
    assert torch.equal(whole.tensors[0], torch.cat([part.tensors[0] for part in parts]))
    assert torch.equal(whole.subjects, torch.cat([part.subjects for part in parts]))
    with pytest.raises(BadTrainingConfig, match="shared by 3"):
        Batches(config, walks, net, ranks=3)


def walk(frames: int, score: float = 1.0) -> Inputs:
    joints = np.random.default_rng(frames).random((frames, 17, 3), np.float32) * 50
    joints[..., 2] = score
    return Inputs(joints=joints)


def sample(subject: str, frames: int) -> Sample:
    return Sample(subject, "nm", "000", str(frames), lambda: walk(frames))


def test_walks_that_are_too_short_give_way_to_the_persons_others(tmp_path: Path) -> None:
    config = sequences_config(
        tmp_path, "jointsgait", batch={"people": 2, "frames": 8, "window": [8, 8], "min_frames": 15}
    )
    long_enough = [sample("a", 20), sample("a", 14), sample("b", 14), sample("b", 30)]
    batches = Batches(config, Dataset("made", tuple(long_enough)), make_network(config, 2))
    for step in range(5):
        joints = batches[step].tensors[0]
        assert all(len(batches.cache[i]["joints"]) >= 15 for i in batches.cache if i in (0, 3))
        assert joints.shape == (4, 8, 17, 3)
        for subject, own in ((0, 0), (1, 3)):
            frames = {tuple(f.flatten().tolist()) for f in torch.from_numpy(batches.cache[own]["joints"])}
            drawn = joints[batches[step].subjects == subject].flatten(0, 1)
            assert all(tuple(f.flatten().tolist()) in frames for f in drawn)
    hopeless = Dataset("made", (sample("a", 20), sample("b", 14), sample("b", 3)))
    with pytest.raises(BadTrainingConfig, match="'b' has no walk of 15 frames"):
        _ = Batches(config, hopeless, make_network(config, 2))[0]


def test_frames_of_low_score_are_left_out() -> None:
    net = models.build("jointsgait", seed=0, channels=(8, 8), strides=(1, 2))
    inputs = walk(10)
    assert inputs.joints is not None
    inputs.joints[::2, :, 2] = 0.3
    assert len(arrays(inputs, net, min_score=0.4)["joints"]) == 5
    assert len(arrays(inputs, net)["joints"]) == 10
    heat = models.build("gaitheat", seed=0, channels=(16, 16, 16, 16), parts=4)
    heatmaps = np.full((4, 17, 64, 48), 50, np.uint8)
    heatmaps[1:, :, 3, 3] = 200
    assert len(arrays(Inputs(heatmaps=heatmaps), heat, min_score=0.4)["heatmaps"]) == 3


def test_what_the_data_lack_is_named() -> None:
    with pytest.raises(InputMissing, match="silhouettes"):
        arrays(walk(10), models.build("gaitset", seed=0))
    kinect = models.build("jointsgait", seed=0, skeleton="kinect")
    with pytest.raises(InputMissing, match="kinect skeleton"):
        arrays(walk(10), kinect)


def test_cuts_of_different_lengths_are_padded_and_counted(tmp_path: Path) -> None:
    batch = {"frames": 8, "shortest": 2, "min_frames": 2}
    config = sequences_config(write_sequences(tmp_path, frames=8), "gaitset", batch=batch)
    net = make_network(config, 3)
    made = Batches(config, training_walks(config), net)[0]
    (silhouettes,) = made.tensors
    assert made.lengths is not None
    assert len(set(made.lengths.tolist())) > 1
    assert silhouettes.shape[1] == made.lengths.max()
    for row, length in zip(silhouettes, made.lengths.tolist(), strict=True):
        assert row[:length].flatten(1).any(dim=1).all()
        assert not row[length:].any()
    half = made.map(lambda x: x[:2])
    assert half.lengths is not None and half.lengths.tolist() == made.lengths[:2].tolist()


def test_a_network_that_pools_first_gets_what_is_left_of_the_same_cuts(tmp_path: Path) -> None:
    root = write_sequences(tmp_path, frames=8)
    batch = {"frames": 8, "shortest": 2, "min_frames": 2}
    whole = sequences_config(root, "gaitset", batch=batch)
    config = sequences_config(root, "gaittemplate", batch=batch)
    walks, net = training_walks(config), make_network(config, 3)
    made = Batches(config, walks, net)[3]
    frames = Batches(whole, walks, make_network(whole, 3))[3]
    assert made.lengths is None
    assert made.tensors[0].shape == (6, 1, 3, 64, 44)
    expected = net.condense(*frames.tensors, lengths=frames.lengths)
    assert expected is not None
    torch.testing.assert_close(made.tensors[0], expected)
    fat = sequences_config(root, "gaittemplate", batch=batch, augment={"fatten": 1.0, "erase": 1.0})
    wider = Batches(fat, walks, net)[3].tensors[0]
    assert wider[:, :, 2].mean() > made.tensors[0][:, :, 2].mean()
    hidden = (wider == 0).flatten(3).all(dim=2)
    assert all((hidden[i] & (made.tensors[0][i, 0, 0].flatten() > 0)).any() for i in range(6))
    assert torch.equal(wider, Batches(fat, walks, net)[3].tensors[0])


def test_builds_and_outfits_of_the_walks_choose_a_batch(tmp_path: Path) -> None:
    def of(person: int, take: int) -> Sample:
        inputs = Inputs(silhouettes=np.zeros((4, 64, 64), np.uint8))
        return Sample(f"{person:02}", "nm", "", f"{take}", lambda: inputs, outfit=f"{take // 2}", build=(person,))

    walks = Dataset("made", tuple(of(person, take) for person in range(20) for take in range(4)))
    batch = {"people": 3, "takes": 2, "alike": 1.0, "one_outfit": 1.0}
    config = sequences_config(tmp_path, "gaittemplate", batch=batch)
    batches = Batches(config, walks, make_network(config, 20))
    for step in range(20):
        drawn = [walks[i] for i in batches.sampler.batch(step)]
        assert np.ptp([sample.build for sample in drawn]) <= 9
        assert all(a.outfit == b.outfit for a, b in zip(drawn[::2], drawn[1::2], strict=True))
    unknown = Dataset("made", (*walks, Sample("99", "nm", "", "0", walks[0].read)))
    with pytest.raises(BadTrainingConfig, match="body build"):
        Batches(config, unknown, make_network(config, 21))
